package supervisor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

// Plan says what Apply would do with a configuration, and changes nothing.
func (s *Supervisor) Plan(ctx context.Context, c state.Candidate) (*state.Plan, error) {
	m, err := s.candidate(c)
	if err != nil {
		return nil, err
	}
	h, err := supply(m)
	if err != nil {
		return nil, err
	}
	var p *state.Plan
	err = s.ask(ctx, func() { p = s.preview(m, h) })
	if err != nil {
		return nil, err
	}
	return p, nil
}

// candidate reads a configuration that may become that of the mesh.
func (s *Supervisor) candidate(c state.Candidate) (m *config.Mesh, err error) {
	if c.Text == nil {
		m, err = s.o.Load()
	} else {
		m, err = config.Parse(s.State().File, c.Text, config.Options{Environ: s.o.Environ})
	}
	if err == nil && len(c.Resources) > 0 {
		m.Resources = c.Resources
	}
	return m, err //nolint:wrapcheck // it is about the file, in full
}

// Fresh says what starting a mesh that does not run would do.
func Fresh(m *config.Mesh) (*state.Plan, error) {
	h, err := supply(m)
	if err != nil {
		return nil, err
	}
	c := changes(&config.Mesh{}, m, &supplies{}, h)
	c.Mesh, c.Configuration = nil, false
	return preview(c, m, &state.Mesh{}), nil
}

// preview gives the plan that leads from what runs to m, which is supplied with
// h, as far as m's apps are wanted. Only the loop calls it.
func (s *Supervisor) preview(m *config.Mesh, h *supplies) *state.Plan {
	running := *s.cfg
	running.Apps = slices.DeleteFunc(slices.Clone(running.Apps), func(a config.App) bool { return !s.wanted(s.cfg, a.ID) })
	wanted := *m
	wanted.Apps = slices.DeleteFunc(slices.Clone(m.Apps), func(a config.App) bool { return !s.wanted(m, a.ID) })
	return preview(changes(&running, &wanted, s.stock.have, h), &wanted, s.State())
}

// preview puts a change into the words of a plan. wanted is what the change leads
// to, now is what runs.
func preview(c config.Change, wanted *config.Mesh, now *state.Mesh) *state.Plan {
	p := &state.Plan{Items: []state.PlanItem{}}
	add := func(kind, name string, a state.Action, streams int, why ...string) {
		p.Items = append(p.Items, state.PlanItem{Kind: kind, Name: name, Action: a, Why: why, Streams: streams})
	}
	for i := range wanted.Apps {
		a := &wanted.Apps[i]
		switch change := c.App(a.ID); {
		case slices.Contains(c.Added, a.ID):
			add("app", a.ID, state.PlanStart, 0)
		case change == nil:
			add("app", a.ID, state.PlanNothing, 0)
		default:
			previewApp(*change, now, add)
		}
	}
	for _, id := range c.Removed {
		add("app", id, state.PlanStop, calls(now, id, 0), "not in the file")
	}
	for _, f := range c.Mesh {
		if f.Effect == config.Live { // what costs apps something is said of them
			add("mesh", f.Key, state.PlanSwap, 0, f.String())
		}
	}
	for _, group := range []struct {
		kind  string
		names config.Names
	}{{"component", c.Components}, {"resiliency", c.Resiliency}, {"fault", c.Faults}} {
		for _, name := range group.names.Added {
			add(group.kind, name, state.PlanAdd, 0)
		}
		for _, name := range group.names.Changed {
			add(group.kind, name, state.PlanSwap, 0)
		}
		for _, name := range group.names.Removed {
			add(group.kind, name, state.PlanRemove, 0, "no longer declared")
		}
	}
	if c.Subscriptions {
		add("subscriptions", "", state.PlanSwap, 0)
	}
	if c.Configuration {
		add("configuration", "", state.PlanSwap, 0)
	}
	return p
}

// previewApp says what happens to an app that stays: what steps says, with what
// it costs.
func previewApp(c config.AppChange, now *state.Mesh, add func(kind, name string, a state.Action, streams int, why ...string)) {
	var scale, rest []string
	for _, f := range c.Fields {
		if f.Effect == config.Scale {
			scale = append(scale, f.String())
		} else {
			rest = append(rest, f.String())
		}
	}
	for _, s := range plan(config.Change{Changed: []config.AppChange{c}}) {
		switch s.do {
		case stepRebuild:
			add("app", c.ID, state.PlanRebuild, calls(now, c.ID, 0), slices.Concat(rest, scale)...)
		case stepRestart:
			add("app", c.ID, state.PlanRestart, calls(now, c.ID, 0), rest...)
		case stepAdopt:
			add("app", c.ID, state.PlanSwap, 0, rest...)
		case stepScale:
			why := scale
			if c.Effect&^(config.Scale|config.Live) == 0 {
				why = slices.Concat(scale, rest)
			}
			add("app", c.ID, state.PlanScale, calls(now, c.ID, c.To), why...)
		case stepAdd, stepRemove: // an app that stays has neither
		}
	}
}

// calls counts the calls under way at the instances of an app that are numbered
// above keep.
func calls(now *state.Mesh, app string, keep int) (n int) {
	a := now.Find(app)
	if a == nil {
		return 0
	}
	for _, i := range a.Instances {
		if index(app, i.Name) > keep {
			n += i.Calls
		}
	}
	return n
}

// index gives the number of an instance from its name.
func index(app, instance string) int {
	n := 1
	if rest, ok := strings.CutPrefix(instance, app+"-"); ok {
		_, _ = fmt.Sscanf(rest, "%d", &n) // the first instance has no number
	}
	return n
}
