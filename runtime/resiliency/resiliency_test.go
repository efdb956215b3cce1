package resiliency

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mesh/runtime/policy"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

const scoped = `
kind: Resiliency
metadata: { name: shops }
scopes: [ shop, till ]
spec:
  policies:
    timeouts: { short: 1s }
    circuitBreakers: { soon: { trip: consecutiveFailures >= 2, timeout: 1h } }
  targets:
    apps:
      back: { timeout: short, circuitBreaker: soon }
      declared: { timeout: short }
---
kind: Resiliency
metadata: { name: everyone }
spec:
  policies:
    timeouts: { long: 2s }
    circuitBreakers: { soon: { trip: consecutiveFailures >= 2, timeout: 1h } }
  targets:
    apps:
      back: { timeout: long, circuitBreaker: soon }
`

// TestScopesOfApps: the first resource in scope wins after mesh.toml; a breaker
// is one for all apps in scope and is kept while its declaration is the same.
func TestScopesOfApps(t *testing.T) {
	found, err := resource.Parse("test.yaml", scoped)
	if err != nil {
		t.Fatal(err)
	}
	var b policy.Book
	load := func(old []resource.Resiliency) {
		targets := map[string][]policy.Scoped{"declared": {{Policy: policy.Policy{Timeout: policy.Timeout{Total: time.Minute}}}}}
		Add(targets, found.Resiliency, old, &b)
		b.Set(targets)
	}
	load(nil)
	for _, tc := range []struct {
		app, target string
		want        time.Duration
	}{
		{"shop", "back", time.Second},
		{"till", "back", time.Second},
		{"web", "back", 2 * time.Second},
		{"shop", "declared", time.Minute},
		{"web", "declared", time.Minute},
		{"shop", "web", 0},
	} {
		limit := b.Find(tc.app, tc.target).Timeout
		if got := max(limit.Try, limit.Total); got != tc.want {
			t.Errorf("a call of %s to %s may take %v, want %v", tc.app, tc.target, got, tc.want)
		}
	}
	shop, web := b.Find("shop", "back").Breaker, b.Find("web", "back").Breaker
	if shop == nil || web == nil || shop == web || shop != b.Find("till", "back").Breaker {
		t.Fatal("a breaker should be one for the apps in scope of its resource, and only for them")
	}
	load(found.Resiliency)
	if b.Find("shop", "back").Breaker != shop || b.Find("web", "back").Breaker != web {
		t.Error("breakers whose declaration is the same forget what they have counted")
	}
}

const hasty = `
kind: Resiliency
metadata: { name: hasty }
spec:
  policies:
    timeouts: { short: 1s }
    retries: { some: { policy: constant, duration: 1s, maxRetries: 5 } }
    circuitBreakers: { soon: { trip: consecutiveFailures >= 3, timeout: 1h } }
  targets:
    apps:
      back: { timeout: short, retry: some, circuitBreaker: soon }
`

// TestTimeoutOfEachTry: the timeout of a Resiliency is that of one try, as in
// Dapr: a try that takes too long is a failure, for retries and for breakers.
func TestTimeoutOfEachTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		found, err := resource.Parse("test.yaml", hasty)
		if err != nil {
			t.Fatal(err)
		}
		targets := map[string][]policy.Scoped{}
		Add(targets, found.Resiliency, nil, &policy.Book{})
		hangs, tries := 2, 0
		h := targets["back"][0].Wrap(stream.HandlerFunc(func(ctx context.Context, _ *stream.Call) (*stream.Reply, error) {
			if tries++; tries <= hangs {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return &stream.Reply{Status: 200, Body: io.NopCloser(strings.NewReader(""))}, nil
		}))
		r, err := h.Handle(t.Context(), &stream.Call{})
		if err != nil || r.Status != 200 || tries != 3 {
			t.Fatalf("an app that answers the third time: %v after %d tries", err, tries)
		}
		_ = r.Body.Close()
		hangs, tries = 100, 0
		began := time.Now()
		_, err = h.Handle(t.Context(), &stream.Call{})
		if _, open := errors.AsType[*policy.OpenError](err); !open || tries != 3 {
			t.Errorf("an app that never answers: %v after %d tries, want an open circuit after 3", err, tries)
		}
		if took := time.Since(began); took != 8*time.Second { // three tries, five pauses
			t.Errorf("it took %v", took)
		}
	})
}

// TestBreakersOfComponents: where the scopes of two resources overlap, each keeps
// its own breaker while its declaration is the same.
func TestBreakersOfComponents(t *testing.T) {
	const overlapping = `
kind: Resiliency
metadata: { name: first }
scopes: [ shop ]
spec:
  policies: { circuitBreakers: { soon: { trip: consecutiveFailures >= 2, timeout: TIMEOUT } } }
  targets: { components: { store: { outbound: { circuitBreaker: soon }, inbound: { circuitBreaker: soon } } } }
---
kind: Resiliency
metadata: { name: second }
scopes: [ shop, till ]
spec:
  policies: { circuitBreakers: { soon: { trip: consecutiveFailures >= 2, timeout: 1h } } }
  targets: { components: { store: { outbound: { circuitBreaker: soon } } } }
`
	var b policy.Book
	var old []resource.Resiliency
	load := func(timeout string) (breakers [3]*policy.Breaker) {
		t.Helper()
		found, err := resource.Parse("test.yaml", strings.ReplaceAll(overlapping, "TIMEOUT", timeout))
		if err != nil {
			t.Fatal(err)
		}
		b.SetComponents(Components(found.Resiliency, old, &b))
		old = found.Resiliency
		store := policy.Component{Name: "store"}
		return [3]*policy.Breaker{b.Component("shop", store).Breaker, b.Component("till", store).Breaker, b.Component("shop", policy.Component{Name: "store", Inbound: true}).Breaker}
	}
	first := load("1h")
	if first[0] == nil || first[1] == nil || first[2] == nil || first[0] == first[1] || first[0] == first[2] {
		t.Fatalf("the breakers are %v, want three", first)
	}
	if again := load("1h"); again != first {
		t.Errorf("the same declarations have the breakers %v, before %v", again, first)
	}
	if changed := load("2h"); changed[0] == first[0] || changed[2] == first[2] || changed[1] != first[1] {
		t.Errorf("with one resource changed the breakers are %v, before %v", changed, first)
	}
}
