package component

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"mesh/runtime/resource"
)

// set is which components there are at one time. Nobody edits it once it is
// shared.
type set struct {
	entries []entry
}

// entry is one component of a set, with the scopes that hold in it.
type entry struct {
	*slot
	scopes []string
}

// visible says whether an app may use the component.
func (e *entry) visible(app string) bool {
	return (e.app == "" || e.app == app) && (len(e.scopes) == 0 || slices.Contains(e.scopes, app))
}

// find gives a component that an app may use.
func (s *set) find(kind Kind, app, name string) (*entry, error) {
	none := true
	for i := range s.entries {
		e := &s.entries[i]
		if kindOf(e.spec.Type) != kind || !e.visible(app) {
			continue
		}
		if e.spec.Name == name {
			return e, nil
		}
		none = false
	}
	return nil, &NotFoundError{Kind: kind, Name: name, None: none}
}

// has says whether a slot is part of the set.
func (s *set) has(want *slot) bool {
	return slices.ContainsFunc(s.entries, func(e entry) bool { return e.slot == want })
}

// same says whether two sets have the same components in the same scopes.
func (s *set) same(other *set) bool {
	return slices.EqualFunc(s.entries, other.entries, func(a, b entry) bool {
		return a.slot == b.slot && slices.Equal(a.scopes, b.scopes)
	})
}

// build makes the set that is wanted. What did not change is taken over from
// the old set; the rest is being started, all at the same time, and what does not
// start is degraded. Only secret stores, which are local files, have started
// before those that may need them begin. The old set is not touched.
func (g *engine) build(ctx context.Context, want Desired, old *set) *building {
	next := &set{}
	types := g.types()
	add := func(c *resource.Component, app string) *slot {
		m, _ := lookup(types, c.Type, c.Version) // Check has seen it
		var secrets *slot
		if c.SecretStore != "" {
			if e, err := next.secretStore(c.SecretStore, c.Scopes); err == nil {
				secrets = e.slot
			}
		}
		s := g.newSlot(c, app, m, secrets)
		before := old.before(s, c.Scopes)
		if before != nil && before.key == s.key {
			next.entries = append(next.entries, entry{slot: before.slot, scopes: c.Scopes})
			return nil
		}
		if before != nil {
			s.inherit(before.slot)
		}
		next.entries = append(next.entries, entry{slot: s, scopes: c.Scopes})
		return s
	}
	var begun []*slot
	for _, secret := range []bool{true, false} {
		var wg sync.WaitGroup
		for i := range want.Components {
			c := &want.Components[i]
			if (kindOf(c.Type) == KindSecrets) != secret {
				continue
			}
			for _, app := range tenants(c, want.Apps) {
				switch s := add(c, app); {
				case s == nil:
				case secret:
					wg.Go(func() { s.begin(ctx) })
				default:
					begun = append(begun, s)
				}
			}
		}
		wg.Wait()
	}
	slices.SortStableFunc(next.entries, func(a, b entry) int { return strings.Compare(a.spec.Name, b.spec.Name) })
	b := &building{set: next, pending: map[*slot]bool{}, tried: make(chan *slot, len(begun))}
	for _, s := range begun {
		b.pending[s] = true
		go func() { // joined by Apply, which awaits all
			s.begin(ctx)
			b.tried <- s
		}()
	}
	return b
}

// building is a set of which some components are being started.
type building struct {
	*set
	pending map[*slot]bool // that have not started, nor failed to
	tried   chan *slot     // those that have since; never blocks
}

// await waits until all have been tried, or for enough.
func (b *building) await(enough <-chan time.Time) {
	for len(b.pending) > 0 {
		select {
		case s := <-b.tried:
			delete(b.pending, s)
		case <-enough:
			return
		}
	}
}

// soFar gives the set with what each component was before in the place of those
// that are being started.
func (b *building) soFar(old *set) *set {
	if len(b.pending) == 0 {
		return b.set
	}
	now := &set{}
	for _, e := range b.entries {
		if b.pending[e.slot] {
			before := old.before(e.slot, e.scopes)
			if before == nil || now.has(before.slot) {
				continue
			}
			e = *before
		}
		now.entries = append(now.entries, e)
	}
	return now
}

// tenants gives the apps for which a component is started: one for all, unless
// its metadata names the app.
func tenants(c *resource.Component, apps []string) []string {
	if !perApp(c) {
		return []string{""}
	}
	var all []string
	for _, app := range apps {
		if c.Visible(app) {
			all = append(all, app)
		}
	}
	return all
}

// before finds what a component was in this set: the one of the same name, kind
// and app, with a scope in common.
func (s *set) before(next *slot, scopes []string) *entry {
	for i := range s.entries {
		e := &s.entries[i]
		if e.spec.Name == next.spec.Name && kindOf(e.spec.Type) == kindOf(next.spec.Type) && e.app == next.app && meet(e.scopes, scopes) {
			return e
		}
	}
	return nil
}

// secretStore finds a secret store by name; of several it takes one that shares
// a scope.
func (s *set) secretStore(name string, scopes []string) (*entry, error) {
	for i := range s.entries {
		if e := &s.entries[i]; e.spec.Name == name && kindOf(e.spec.Type) == KindSecrets && meet(e.scopes, scopes) {
			return e, nil
		}
	}
	return nil, &NotFoundError{Kind: KindSecrets, Name: name}
}

func meet(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(app string) bool { return slices.Contains(b, app) })
}
