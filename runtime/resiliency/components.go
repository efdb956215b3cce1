package resiliency

import (
	"mesh/runtime/policy"
	"mesh/runtime/resource"
)

// Components gives the policies of Resiliency resources for components. A
// breaker whose declaration is that of old keeps what it has counted in the
// policies that are running.
func Components(now, old []resource.Resiliency, running *policy.Book) map[policy.Component][]policy.Scoped {
	all := map[policy.Component][]policy.Scoped{}
	for i := range now {
		r := &now[i]
		for name, both := range r.Components {
			for _, c := range []policy.Component{{Name: name}, {Name: name, Inbound: true}} {
				t := direction(both, c)
				if (t == resource.Target{Place: t.Place}) {
					continue
				}
				p := policy.Policy{Timeout: policy.Timeout{Try: r.Timeouts[t.Timeout]}}
				if t.Retry != "" {
					p.Retry = retryOf(r.Retries[t.Retry])
				}
				if t.Breaker != "" {
					p.Breaker = breakerOf(name, r.Breakers[t.Breaker])
					before := func(was *resource.Resiliency) resource.Target { return direction(was.Components[name], c) }
					if kept := running.DeclaredComponent(r.Name, c).Breaker; kept != nil && sameBreaker(old, r, t.Breaker, before) {
						p.Breaker = kept
					}
				}
				all[c] = append(all[c], policy.Scoped{Policy: p, Scopes: r.Scopes, Source: r.Name})
			}
		}
	}
	return all
}

// direction gives what is declared for one direction of a component.
func direction(d resource.Directions, c policy.Component) resource.Target {
	if c.Inbound {
		return d.Inbound
	}
	return d.Outbound
}
