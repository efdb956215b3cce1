package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"mesh/supervisor/config"
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
	case state.Restart, state.Start, state.Stop:
		units, err := s.find(ctx, c.App)
		if err != nil {
			return err
		}
		return s.tell(ctx, c.Op, units)
	}
	return fmt.Errorf("%q is not a command; there are restart, stop, start, scale and down", c.Op)
}

// find gives the units that a name means: an app's, one instance, or all.
func (s *Supervisor) find(ctx context.Context, name string) ([]*unit, error) {
	var found []*unit
	var apps []string
	err := s.ask(ctx, func() {
		for _, u := range s.units {
			if !slices.Contains(apps, u.app) {
				apps = append(apps, u.app)
			}
			if name == "" || u.app == name || u.name == name || fmt.Sprintf("%s-%d", u.app, u.at.index) == name {
				found = append(found, u)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		slices.Sort(apps)
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
			errs[i] = fmt.Errorf("%s is external: mesh does not run its process", u.name)
			continue
		}
		wg.Go(func() { errs[i] = u.tell(ctx, op) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (u *unit) tell(ctx context.Context, op state.Op) error {
	m := u.s.State()
	before := find(m, u.name)
	if before == nil {
		return fmt.Errorf("%s has been removed", u.name)
	}
	a := map[state.Op]ask{state.Restart: askRestart, state.Start: askStart, state.Stop: askStop}[op]
	if a == askStart && before.Phase.Live() {
		return nil
	}
	if a == askStop && (before.Phase == state.Stopped || before.Phase == state.Done || before.Phase == state.Failed) {
		return nil
	}
	select {
	case u.asks <- a:
	case <-u.gone:
		return fmt.Errorf("%s has been removed", u.name)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		now := find(m, u.name)
		if now == nil {
			return fmt.Errorf("%s has been removed", u.name)
		}
		if done, err := settled(a, *before, *now); done {
			return err
		}
		version := m.Version
		m = u.s.Wait(ctx, version)
		if m.Version == version {
			if err := context.Cause(ctx); err != nil {
				return fmt.Errorf("waiting for %s, which is %s: %w", u.name, now.Phase, err)
			}
			return fmt.Errorf("the mesh stopped while %s was %s", u.name, now.Phase)
		}
	}
}

// settled says whether an instance has become what was asked for.
func settled(a ask, before, now state.Instance) (done bool, err error) {
	if a == askStop {
		return now.Phase == state.Stopped, nil
	}
	started := now.Starts > before.Starts
	switch now.Phase {
	case state.Ready, state.Done:
		return started, nil
	case state.Backoff, state.Failed:
		if started || now.Since.After(before.Since) {
			return true, fmt.Errorf("%s %s", now.Name, now.Reason)
		}
	case state.Pending, state.Starting, state.Stopping, state.Stopped:
	}
	return false, nil
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
	defer unlock()
	var m *config.Mesh
	var refused error
	if err := s.ask(ctx, func() { m, refused = s.cfg, s.rescale(id, count) }); err != nil {
		return err
	}
	if refused != nil {
		return fmt.Errorf("scaling %s to %d: %w", id, count, refused)
	}
	return s.carryOut(ctx, m, []step{{app: id, do: stepScale}})
}

// rescale notes the wanted number of instances, when it is possible at all.
func (s *Supervisor) rescale(id string, count int) error {
	for i := range s.cfg.Apps {
		a := &s.cfg.Apps[i]
		switch {
		case a.ID != id:
			continue
		case count < 0:
			return errors.New("the number of instances cannot be negative")
		case a.External():
			return errors.New("the app is external: mesh does not run its processes")
		case a.Port > 0 && count > 1:
			return fmt.Errorf("it listens on the fixed port %d, so it can have only one instance; set apps.%s.port = \"auto\"", a.Port, id)
		}
		s.scaled[id] = count
		return nil
	}
	return errors.New("there is no such app")
}
