package policy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// finalError is an error after which trying again is of no use, and for which
// the target is not to blame.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// Final marks an error of Do's function that says that the caller was wrong: it
// is not tried again and does not count against the target. Nil stays nil.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return finalError{err}
}

// Do is Wrap for what is no call of an app: it runs f under the policy, each
// try within the timeout. The context that f gets lives on after a try that
// succeeded, for what f has begun, until ctx ends.
func (p Policy) Do(ctx context.Context, f func(context.Context) error) error {
	for try := 0; ; try++ {
		err := p.once(ctx, f)
		if final, ok := errors.AsType[finalError](err); ok {
			return final.error
		}
		_, open := errors.AsType[*OpenError](err)
		if err == nil || open || p.Retry == nil || ctx.Err() != nil || p.Retry.Max >= 0 && try >= p.Retry.Max {
			return err
		}
		if !pause(ctx, p.Retry.delay(try, rand.Float64())) { //nolint:gosec // jitter, not a secret
			return fmt.Errorf("%w (not tried again: %w)", err, context.Cause(ctx))
		}
	}
}

// once is one try.
func (p Policy) once(ctx context.Context, f func(context.Context) error) error {
	settle := func(error) {}
	if p.Breaker != nil {
		var err error
		if settle, err = p.Breaker.cb.Allow(); err != nil {
			return &OpenError{Name: p.Breaker.o.Name}
		}
	}
	limited, end := p.Timeout.limit(ctx)
	err := f(limited)
	if err != nil {
		err = because(limited, err)
	}
	end(err)
	_, final := errors.AsType[finalError](err)
	switch {
	case final:
		settle(nil)
	case err != nil && ctx.Err() != nil:
		settle(errGivenUp)
	default:
		settle(err)
	}
	return err
}

// limit gives the context of a try. end is told how the try ended; the context
// goes on when it did well.
func (t Timeout) limit(ctx context.Context) (limited context.Context, end func(error)) {
	after, name := t.Try, "try"
	if after == 0 {
		after, name = t.Total, "total"
	}
	if after == 0 {
		after, name = t.FirstByte, "first byte"
	}
	if after == 0 {
		return ctx, func(error) {}
	}
	limited, cancel := context.WithCancelCause(ctx)
	clock := time.AfterFunc(after, func() { cancel(&TimeoutError{Limit: name, After: after}) })
	return limited, func(err error) {
		clock.Stop()
		if err != nil {
			cancel(nil)
		}
	}
}
