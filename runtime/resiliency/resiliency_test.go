package resiliency

import (
	"testing"
	"time"

	"mesh/runtime/policy"
	"mesh/runtime/resource"
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
		if got := b.Find(tc.app, tc.target).Timeout.Total; got != tc.want {
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
