package supervisor

import (
	"maps"
	"slices"
	"strings"

	"mesh/runtime/policy"
	"mesh/runtime/resiliency"
	"mesh/supervisor/config"
)

// policies turns what mesh.toml says into the policies that the sidecars share.
// A breaker whose settings are those of old keeps what it has counted.
func policies(m, old *config.Mesh, running *policy.Book) map[string][]policy.Scoped {
	targets := make(map[string][]policy.Scoped, len(m.Resiliency))
	for id, t := range m.Resiliency {
		p := policy.Policy{Timeout: policy.Timeout{FirstByte: t.FirstByte, Idle: t.Idle, Total: t.Total}}
		if r := t.Retry; r != nil {
			p.Retry = &policy.Retry{Max: r.Max, Interval: r.Duration, MaxInterval: r.Interval, Exponential: r.Policy == "exponential"}
		}
		if b := t.Breaker; b != nil {
			p.Breaker = policy.NewBreaker(policy.BreakerOptions{Name: id, Failures: b.Failures, Timeout: b.Timeout})
			if old != nil {
				if was := old.Resiliency[id].Breaker; was != nil && *was == *b {
					if kept := running.Declared("", id).Breaker; kept != nil {
						p.Breaker = kept
					}
				}
			}
		}
		targets[id] = []policy.Scoped{{Policy: p}}
	}
	return targets
}

// faults turns the faults of mesh.toml into those of the sidecars, by name.
func faults(m *config.Mesh) []policy.Fault {
	var all []policy.Fault
	for name, f := range m.Faults {
		all = append(all, policy.Fault{
			Name: name, Target: f.Target, Delay: f.Delay, Rate: f.Rate, Abort: f.Abort,
			Bandwidth: f.Bandwidth, CutAfter: f.CutAfter, Off: f.Off,
		})
	}
	slices.SortFunc(all, func(a, b policy.Fault) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// outbound adds what mesh.toml says of components to their policies; it wins.
// What is the name of an app is about the app.
func outbound(all map[policy.Component][]policy.Scoped, m *config.Mesh, h *supplies, targets map[string][]policy.Scoped) {
	for i := range h.want.Components {
		name := h.want.Components[i].Name
		if _, said := m.Resiliency[name]; said && m.Find(name) == nil {
			c := policy.Component{Name: name}
			all[c] = slices.Insert(all[c], 0, targets[name][0])
		}
	}
}

// adoptPolicies makes the policies and faults of m those of the mesh. Faults
// are left as the user has switched them unless the file changes them.
func (s *Supervisor) adoptPolicies(m *config.Mesh, h *supplies, old *config.Mesh) {
	targets := policies(m, old, s.policies)
	resiliency.Add(targets, h.resiliency, s.stock.have.resiliency, s.policies)
	s.policies.Set(targets)
	components := resiliency.Components(h.resiliency, s.stock.have.resiliency, s.policies)
	outbound(components, m, h, targets)
	s.policies.SetComponents(components)
	if old == nil || !maps.Equal(m.Faults, old.Faults) {
		fresh := faults(m)
		for _, f := range s.policies.Faults.All() {
			if f.Hand {
				fresh = append(fresh, f)
			}
		}
		s.policies.Faults.Set(fresh)
	}
	if old == nil || m.Capture != old.Capture {
		s.o.Flows.Capture(int(m.Capture))
	}
}
