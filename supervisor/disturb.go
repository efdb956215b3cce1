package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mesh/runtime/policy"
	"mesh/supervisor/state"
)

// setFault switches a fault, or makes one by hand until it is switched off.
func (s *Supervisor) setFault(ctx context.Context, c state.Command) error {
	var refused error
	err := s.ask(ctx, func() {
		if c.Fault == nil {
			refused = s.switchFault(c.Name, c.On)
		} else {
			refused = s.makeFault(c.Fault)
		}
		s.publish() // whoever asked sees it at once
	})
	if err = errors.Join(err, refused); err != nil {
		return fmt.Errorf("disturbing calls: %w", err)
	}
	return nil
}

// makeFault makes a fault, or replaces the one of that name, in the loop.
func (s *Supervisor) makeFault(f *state.Fault) error {
	if err := f.Check(); err != nil {
		return err
	}
	if !slices.ContainsFunc(s.units, func(u *unit) bool { return u.app == f.Target }) {
		return fmt.Errorf("there is no app %q", f.Target)
	}
	set := slices.Clone(s.policies.Faults.All())
	for _, old := range set {
		if old.Name == f.Name && !old.Hand {
			return fmt.Errorf("mesh.toml has a fault of the name %s: switch that on or off, or edit it", f.Name)
		}
	}
	set = slices.DeleteFunc(set, func(old policy.Fault) bool { return old.Name == f.Name })
	s.policies.Faults.Set(append(set, policy.Fault{
		Name: f.Name, Target: f.Target, Delay: f.Delay, Rate: f.Rate, Abort: f.Abort,
		Bandwidth: f.Bandwidth, CutAfter: f.CutAfter, Hand: true,
	}))
	return nil
}

// switchFault turns faults on or off: the one of that name, or those of an app.
// One that was made by hand is gone once it is off.
func (s *Supervisor) switchFault(name string, on bool) error {
	set := slices.Clone(s.policies.Faults.All())
	mine := func(f policy.Fault) bool { return f.Name == name }
	if !slices.ContainsFunc(set, mine) {
		mine = func(f policy.Fault) bool { return f.Target == name }
	}
	if !slices.ContainsFunc(set, mine) {
		known := "there are none"
		if len(set) > 0 {
			var names []string
			for _, f := range set {
				names = append(names, f.Name)
			}
			known = "there are " + strings.Join(names, ", ")
		}
		return fmt.Errorf("no fault is named %q, and no app of that name has one; %s; `mesh fault APP delay=200ms` makes one", name, known)
	}
	set = slices.DeleteFunc(set, func(f policy.Fault) bool { return mine(f) && f.Hand && !on })
	for i := range set {
		if mine(set[i]) {
			set[i].Off = !on
		}
	}
	s.policies.Faults.Set(set)
	return nil
}

// shownFaults gives the faults as the state shows them.
func (s *Supervisor) shownFaults() (all []state.Fault) {
	for _, f := range s.policies.Faults.All() {
		all = append(all, state.Fault{
			Name: f.Name, Target: f.Target, Delay: f.Delay, Rate: f.Rate, Abort: f.Abort,
			Bandwidth: f.Bandwidth, CutAfter: f.CutAfter, On: !f.Off, Hand: f.Hand,
		})
	}
	slices.SortFunc(all, func(a, b state.Fault) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// setCapture makes one invocation, or all that begin from now on, keep bytes of
// their bodies, or stops that.
func (s *Supervisor) setCapture(ctx context.Context, c state.Command) error {
	limit := 0
	if c.On {
		if limit = c.Bytes; limit <= 0 {
			limit = state.DefaultCapture
		}
	}
	if c.Flow == "" {
		return s.ask(ctx, func() {
			s.o.Flows.Capture(limit)
			s.publish()
		})
	}
	if !s.o.Flows.CaptureFlow(c.Flow, limit) {
		return fmt.Errorf("capturing bodies: the invocation %s has ended, or is not known", c.Flow)
	}
	return nil
}
