package resiliency

import (
	"reflect"

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
					if kept := keptBreaker(old, r, c, t.Breaker, running); kept != nil {
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

// keptBreaker gives the breaker that a component had before by the very same
// declaration; nil when it had none.
func keptBreaker(old []resource.Resiliency, r *resource.Resiliency, c policy.Component, name string, running *policy.Book) *policy.Breaker {
	for i := range old {
		was, is := old[i].Breakers[name], r.Breakers[name]
		was.Place, is.Place = resource.Place{}, resource.Place{}
		if old[i].Name != r.Name || direction(old[i].Components[c.Name], c).Breaker != name || !reflect.DeepEqual(was, is) || !reflect.DeepEqual(old[i].Scopes, r.Scopes) {
			continue
		}
		app := ""
		if len(r.Scopes) > 0 {
			app = r.Scopes[0]
		}
		return running.Component(app, c).Breaker
	}
	return nil
}
