package policy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"mesh/runtime/stream"
)

// BreakerOptions says when a circuit opens and for how long.
type BreakerOptions struct {
	Name     string                // for errors
	Failures int                   // this many failures in a row open it, when Trip is nil
	Trip     func(Counts) bool     // decides after each failure whether to open
	Timeout  time.Duration         // how long it stays open before one call may try; 0: 60 s
	Interval time.Duration         // how often a closed one forgets its counts; 0: never
	Probes   int                   // calls let through while half open; 0: one
	Failed   func(status int) bool // whether a reply counts as a failure; nil: 500 and above
	Changed  func(from, to string) // told of every change: closed, half-open, open; may be nil
}

// Counts is what a breaker has counted since it last changed.
type Counts = gobreaker.Counts

// Breaker refuses calls to a target that keeps failing.
type Breaker struct {
	o  BreakerOptions
	cb *gobreaker.TwoStepCircuitBreaker[any]
}

// OpenError says that a call was refused because its circuit is open.
type OpenError struct{ Name string }

func (e *OpenError) Error() string {
	return fmt.Sprintf("the circuit breaker of %s is open after too many failures", e.Name)
}

var (
	errReplyFailed = errors.New("the reply counts as a failure")
	errGivenUp     = errors.New("the caller gave the call up, which says nothing of the target")
)

// NewBreaker gives a closed breaker.
func NewBreaker(o BreakerOptions) *Breaker {
	if o.Failed == nil {
		o.Failed = func(status int) bool { return status >= 500 }
	}
	trip := o.Trip
	if trip == nil {
		trip = func(c Counts) bool { return int64(c.ConsecutiveFailures) >= int64(max(1, o.Failures)) }
	}
	s := gobreaker.Settings{
		Name: o.Name, MaxRequests: uint32(max(1, o.Probes)), Interval: o.Interval, Timeout: o.Timeout, ReadyToTrip: trip,
		IsExcluded: func(err error) bool { return errors.Is(err, errGivenUp) },
	}
	if o.Changed != nil {
		s.OnStateChange = func(_ string, from, to gobreaker.State) { o.Changed(from.String(), to.String()) }
	}
	return &Breaker{o: o, cb: gobreaker.NewTwoStepCircuitBreaker[any](s)}
}

// State gives closed, half-open or open.
func (b *Breaker) State() string { return b.cb.State().String() }

// Wrap puts the breaker before next. A call counts when its reply is over: a
// reply that breaks off is a failure too. While the circuit is half open the
// head of a reply decides, or a stream without end would keep all others out. A
// call that the caller gives up before there is a reply does not count.
func (b *Breaker) Wrap(next stream.Handler) stream.Handler {
	return stream.HandlerFunc(func(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
		settle, err := b.cb.Allow()
		if err != nil {
			return nil, &OpenError{Name: b.o.Name}
		}
		r, err := next.Handle(ctx, c)
		if err != nil {
			if ctx.Err() != nil {
				settle(errGivenUp)
			} else {
				settle(err)
			}
			return nil, err
		}
		var outcome error
		if b.o.Failed(r.Status) {
			outcome = errReplyFailed
		}
		end := sync.OnceFunc(func() { settle(outcome) })
		if b.cb.State() == gobreaker.StateHalfOpen {
			end()
		}
		reply := *r
		reply.Body = &endBody{
			ReadCloser: r.Body,
			read: func(_ int, err error) {
				if err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
					outcome = err
				}
			},
			end: end,
		}
		return &reply, nil
	})
}
