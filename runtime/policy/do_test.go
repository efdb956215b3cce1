package policy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errAway = errors.New("the server is away")

// TestComponentRetries: what a component fails is tried again, up to the limit;
// what the app did wrong is not.
func TestComponentRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Book
		b.SetComponents(map[Component][]Scoped{
			{Name: "store"}: {
				{Scopes: []string{"patient"}, Policy: Policy{Retry: &Retry{Max: -1, Interval: time.Second}}},
				{Policy: Policy{Retry: &Retry{Max: 2, Interval: time.Second}}},
			},
		})
		for _, c := range []struct {
			name, app, component string
			fails                int
			err                  error
			tries                int
			succeeds             bool
		}{
			{"succeeds in the end", "app", "store", 2, errAway, 3, true},
			{"gives up", "app", "store", 3, errAway, 3, false},
			{"never gives up", "patient", "store", 50, errAway, 51, true},
			{"final", "app", "store", 1, Final(errAway), 1, false},
			{"no policy", "app", "other", 1, errAway, 1, false},
		} {
			tries, began := 0, time.Now()
			err := b.Outbound(t.Context(), c.app, c.component, func(context.Context) error {
				if tries++; tries <= c.fails {
					return c.err
				}
				return nil
			})
			if tries != c.tries || (err == nil) != c.succeeds || err != nil && !errors.Is(err, errAway) {
				t.Errorf("%s: %d tries, %v", c.name, tries, err)
			}
			if took := time.Since(began); took != time.Duration(c.tries-1)*time.Second {
				t.Errorf("%s: the pauses took %v", c.name, took)
			}
		}
		if err := b.Inbound(t.Context(), "app", "store", func(context.Context) error { return errAway }); !errors.Is(err, errAway) {
			t.Errorf("what comes in has no policy: %v", err)
		}
	})
}

// TestComponentTimeout: each try has its time; what a try has begun lives on.
func TestComponentTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Policy{Timeout: Timeout{Total: time.Second}, Retry: &Retry{Max: 1, Interval: time.Millisecond}}
		tries := 0
		err := p.Do(t.Context(), func(ctx context.Context) error {
			tries++
			<-ctx.Done()
			return ctx.Err()
		})
		if limit, ok := errors.AsType[*TimeoutError](err); !ok || limit.After != time.Second || tries != 2 {
			t.Errorf("%d tries, %v", tries, err)
		}
		var begun context.Context
		err = p.Do(t.Context(), func(ctx context.Context) error {
			begun = ctx //nolint:fatcontext // to see how long it lives
			return nil
		})
		<-time.After(time.Hour) // by the bubble's clock
		if err != nil || begun.Err() != nil {
			t.Errorf("%v, and what was begun ended with %v", err, begun.Err())
		}
	})
}

// TestComponentBreaker: after failures in a row nothing is asked of the
// component for a while.
func TestComponentBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Policy{Breaker: NewBreaker(BreakerOptions{Name: "store", Failures: 2, Timeout: time.Minute}), Retry: &Retry{Max: 5, Interval: time.Millisecond}}
		tries := 0
		failing := func(context.Context) error { tries++; return errAway }
		if err := p.Do(t.Context(), func(context.Context) error { return Final(errAway) }); !errors.Is(err, errAway) || p.Breaker.State() != "closed" {
			t.Errorf("what the app did wrong counts: %v, %s", err, p.Breaker.State())
		}
		err := p.Do(t.Context(), failing)
		if _, ok := errors.AsType[*OpenError](err); !ok || tries != 2 || !strings.Contains(err.Error(), "store") {
			t.Errorf("%d tries, %v", tries, err)
		}
		<-time.After(2 * time.Minute) // by the bubble's clock
		if err := p.Do(t.Context(), func(context.Context) error { return nil }); err != nil || p.Breaker.State() != "closed" {
			t.Errorf("after the pause: %v, %s", err, p.Breaker.State())
		}
	})
}
