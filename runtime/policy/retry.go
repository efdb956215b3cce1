package policy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"google.golang.org/grpc/status"

	"mesh/runtime/stream"
)

// Retry tries calls again that have failed before the first byte of a reply.
type Retry struct {
	Max         int                // tries after the first; -1: no end
	Interval    time.Duration      // of the first pause
	Exponential bool               // pauses grow by half each time, with jitter; otherwise they stay the same
	MaxInterval time.Duration      // longest pause; 0: no limit
	Again       func(Outcome) bool // whether this outcome is worth another try; nil: AgainOnFailure
}

// Outcome is how one try of a call ended.
type Outcome struct {
	Err    error          // there was no reply
	Status int            // HTTP status of the reply
	GRPC   *status.Status // what an app that speaks gRPC answered; nil: it does not
}

// AgainOnFailure tries again what failed in the mesh or in the app, but not
// what the app has refused.
func AgainOnFailure(o Outcome) bool {
	if o.Err != nil {
		return !errors.Is(o.Err, context.Canceled) && !errors.Is(o.Err, context.DeadlineExceeded)
	}
	return o.Status >= http.StatusInternalServerError
}

// AgainOn tries again replies of these HTTP statuses and gRPC codes, each as
// Dapr writes them in a Resiliency resource; without any of a kind, whatever
// AgainOnFailure says of it. Calls without a reply are tried again.
func AgainOn(http, grpc Codes) func(Outcome) bool {
	return func(o Outcome) bool {
		switch {
		case o.Err == nil && o.GRPC != nil && grpc != nil:
			return grpc.Has(int(o.GRPC.Code()))
		case o.Err == nil && o.GRPC == nil && http != nil:
			return http.Has(o.Status)
		}
		return AgainOnFailure(o)
	}
}

// NotReplayableError says that a call was not tried again because its body
// could not be sent a second time.
type NotReplayableError struct {
	Why string
	Err error // how the only try ended
}

func (e *NotReplayableError) Error() string {
	return fmt.Sprintf("%v (not tried again: %s)", e.Err, e.Why)
}

// Unwrap gives how the only try ended.
func (e *NotReplayableError) Unwrap() error { return e.Err }

// Wrap puts the retries around next, which resolves and balances anew each time.
func (r *Retry) Wrap(next stream.Handler) stream.Handler {
	again := r.Again
	if again == nil {
		again = AgainOnFailure
	}
	return stream.HandlerFunc(func(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
		call := *c
		var kept *stream.Kept
		if c.Body != nil {
			kept = stream.Keep(c.Body, c.Length >= 0)
		}
		for try := 0; ; try++ {
			each := call
			var body *stream.Attempt
			if kept != nil {
				body = kept.Try()
				each.Body = body
			}
			reply, err := next.Handle(ctx, &each)
			outcome := Outcome{Err: err}
			if err == nil {
				outcome.Status, outcome.GRPC = reply.Status, reply.GRPC
			}
			if _, tooLarge := errors.AsType[*stream.BodyLimitError](err); tooLarge {
				return nil, err
			}
			if (r.Max >= 0 && try >= r.Max) || ctx.Err() != nil || !again(outcome) {
				return reply, err
			}
			if kept != nil {
				if why := kept.Again(); why != "" {
					if err != nil {
						err = &NotReplayableError{Why: why, Err: err}
					}
					return reply, err
				}
			}
			if body != nil {
				body.GiveUp() // or closing the reply would wait for the client to send more
			}
			if reply != nil {
				_ = reply.Body.Close()
			}
			if !pause(ctx, r.delay(try, rand.Float64())) { //nolint:gosec // jitter, not a secret
				return nil, fmt.Errorf("waiting for try %d: %w", try+2, context.Cause(ctx))
			}
		}
	})
}

// delay gives the pause after a failed try, counted from 0. spread is a random
// number in [0,1).
func (r *Retry) delay(try int, spread float64) time.Duration {
	d := float64(r.Interval)
	if r.Exponential {
		d *= math.Pow(1.5, float64(try)) * (0.5 + spread)
	}
	if r.MaxInterval > 0 {
		d = min(d, float64(r.MaxInterval))
	}
	return time.Duration(min(d, float64(time.Hour)))
}

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
