package policy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"mesh/runtime/stream"
)

// ReplayLimit is how much of a request's body is kept so that it can be sent
// again. A call whose body is longer, or whose length is not known, is not
// tried again once its body was read.
const ReplayLimit = 256 << 10

// Retry tries calls again that have failed before the first byte of a reply.
type Retry struct {
	Max         int                              // tries after the first; -1: no end
	Interval    time.Duration                    // of the first pause
	Exponential bool                             // pauses grow by half each time, with jitter; otherwise they stay the same
	MaxInterval time.Duration                    // longest pause; 0: no limit
	Again       func(status int, err error) bool // whether this outcome is worth another try; nil: AgainOnFailure
}

// AgainOnFailure tries again what failed in the mesh or in the app, but not
// what the app has refused.
func AgainOnFailure(status int, err error) bool {
	if err != nil {
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
	return status >= 500
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
		var kept *keeper
		if c.Body != nil {
			kept = &keeper{body: c.Body, known: c.Length >= 0}
		}
		for try := 0; ; try++ {
			each := call
			if kept != nil {
				each.Body = &attempt{k: kept}
			}
			reply, err := next.Handle(ctx, &each)
			status := 0
			if err == nil {
				status = reply.Status
			}
			if (r.Max >= 0 && try >= r.Max) || ctx.Err() != nil || !again(status, err) {
				return reply, err
			}
			if kept != nil {
				if why := kept.again(); why != "" {
					if err != nil {
						err = &NotReplayableError{Why: why, Err: err}
					}
					return reply, err
				}
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
