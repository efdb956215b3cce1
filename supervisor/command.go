package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"mesh/supervisor/state"
)

// Do carries out a command and returns when it is done, or has failed.
func (s *Supervisor) Do(ctx context.Context, c state.Command) error {
	switch c.Op {
	case state.Down:
		s.quitting.Do(func() { close(s.quit) })
		select {
		case <-s.over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	case state.Scale:
		return s.scale(ctx, c.App, c.Count)
	case state.Review:
		return s.review(ctx)
	case state.Apply:
		return s.approve(ctx)
	case state.Restart, state.Start, state.Stop:
		units, err := s.find(ctx, c.App)
		if err != nil {
			return err
		}
		return s.tell(ctx, c.Op, units)
	case state.SetFault:
		return s.setFault(ctx, c)
	case state.SetCapture:
		return s.setCapture(ctx, c)
	}
	return fmt.Errorf("%q is not a command; there are restart, stop, start, scale, fault, capture, down, review and apply", c.Op)
}

// find gives the units that a name means: an app's, one instance, or all.
func (s *Supervisor) find(ctx context.Context, name string) ([]*unit, error) {
	var found []*unit
	var apps []string
	empty := false
	err := s.ask(ctx, func() {
		for i := range s.cfg.Apps {
			apps = append(apps, s.cfg.Apps[i].ID)
			empty = empty || s.cfg.Apps[i].ID == name
		}
		for _, u := range s.units {
			if name == "" || u.app == name || u.name == name || fmt.Sprintf("%s-%d", u.app, u.at.index) == name {
				found = append(found, u)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	switch {
	case len(found) > 0:
	case empty:
		return nil, fmt.Errorf("%s has no instances; mesh scale %s=1 starts one", name, name)
	default:
		return nil, fmt.Errorf("no app or instance is named %q; there are %s", name, strings.Join(apps, ", "))
	}
	return found, nil
}

// tell asks units to restart, start or stop and waits until they have.
func (s *Supervisor) tell(ctx context.Context, op state.Op, units []*unit) error {
	errs := make([]error, len(units))
	var wg sync.WaitGroup
	for i, u := range units {
		if u.external {
			if len(units) == 1 {
				errs[i] = fmt.Errorf("%s is external: mesh does not run its process", u.name)
			}
			continue
		}
		wg.Go(func() { errs[i] = u.tell(ctx, op) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (u *unit) tell(ctx context.Context, op state.Op) error {
	var gen uint64
	done := false
	if err := u.s.ask(ctx, func() { gen, done = u.command(op) }); err != nil {
		return err
	}
	if done {
		return nil
	}
	return u.settle(ctx, gen, op == state.Stop)
}

// command changes what the unit is to be, in the loop. It gives the generation
// to wait for, or says that there is nothing to do.
func (u *unit) command(op state.Op) (gen uint64, done bool) {
	d, phase := u.want.Load(), u.shown.Phase
	over := phase == state.Done || phase == state.Failed
	switch {
	case op == state.Stop && (!d.run || over):
		return d.gen, phase == state.Stopped || over
	case op == state.Start && d.run && !over && phase != state.Backoff:
		return d.gen, false // it starts, or runs, already
	}
	u.wish(func(d *desired) {
		d.gen, d.run, d.why = u.s.nextGeneration(), op != state.Stop, ""
	})
	return u.want.Load().gen, false
}

// settle waits until the unit has become what was asked for with generation gen.
func (u *unit) settle(ctx context.Context, gen uint64, stop bool) error {
	alive, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with alive
		select {
		case <-u.broken:
			cancel()
		case <-alive.Done():
		}
	}()
	for m := u.s.State(); ; {
		done, err := settled(m, u.name, gen, stop)
		if done {
			return err
		}
		version := m.Version
		if m = u.s.Wait(alive, version); m.Version != version {
			continue
		}
		phase := state.Stopped
		if now := find(m, u.name); now != nil {
			phase = now.Phase
		}
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("waiting for %s, which is %s: %w", u.name, phase, err)
		}
		if alive.Err() != nil { // it ended by itself
			if stop {
				return nil
			}
			return fmt.Errorf("%s is no longer kept by this mesh, `mesh logs` says why; mesh down, then mesh up", u.name)
		}
		return fmt.Errorf("the mesh stopped while %s was %s", u.name, phase)
	}
}

// find gives the instance of that name, nil when there is none.
func find(m *state.Mesh, name string) *state.Instance {
	for i := range m.Apps {
		for j := range m.Apps[i].Instances {
			if m.Apps[i].Instances[j].Name == name {
				return &m.Apps[i].Instances[j]
			}
		}
	}
	return nil
}

// scale changes how many instances of an app run, until the file says otherwise.
func (s *Supervisor) scale(ctx context.Context, id string, count int) error {
	unlock, err := s.lockEdits(ctx)
	if err != nil {
		return err
	}
	unlock = sync.OnceFunc(unlock)
	defer unlock()
	e := &edit{steps: []step{{app: id, do: stepScale}}}
	var refused error
	if err := s.ask(ctx, func() {
		e.mesh, e.have, e.scaled = s.cfg, s.stock.have, maps.Clone(s.scaled)
		e.scaled[id], refused = count, s.scalable(id, count)
	}); err != nil {
		return err
	}
	if refused != nil {
		return fmt.Errorf("scaling %s to %d: %w", id, count, refused)
	}
	if err := s.carryOut(ctx, e); err != nil {
		return fmt.Errorf("scaling %s to %d: %w", id, count, err)
	}
	unlock()
	return s.arrived(ctx, id)
}

// arrived waits until every instance of an app is ready, or says which has
// failed.
func (s *Supervisor) arrived(ctx context.Context, id string) error {
	wait := map[*unit]uint64{}
	if err := s.ask(ctx, func() {
		for _, u := range s.of(id) {
			if d := u.want.Load(); d.run && !u.external {
				wait[u] = d.gen
			}
		}
	}); err != nil {
		return err
	}
	var errs []error
	for u, gen := range wait {
		errs = append(errs, u.settle(ctx, gen, false))
	}
	return errors.Join(errs...)
}

// maxInstances is how many instances of an app there can be, as in mesh.toml.
const maxInstances = 1000

// scalable says whether an app can have that many instances.
func (s *Supervisor) scalable(id string, count int) error {
	for i := range s.cfg.Apps {
		a := &s.cfg.Apps[i]
		switch {
		case a.ID != id:
			continue
		case count < 0 || count > maxInstances:
			return fmt.Errorf("the number of instances is to be from 0 to %d", maxInstances)
		case s.external(a):
			return errors.New("the app is external: mesh does not run its processes")
		case a.Port > 0 && count > 1:
			return fmt.Errorf("it listens on the fixed port %d, so it can have only one instance; set apps.%s.port = \"auto\"", a.Port, id)
		}
		return nil
	}
	return errors.New("there is no such app")
}
