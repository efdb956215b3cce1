package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mesh/runtime/stream"
	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

// step is one thing to be done to get from one configuration to another.
type step struct {
	app string
	do  stepKind
}

type stepKind int

const (
	stepAdopt   stepKind = iota // the new values take effect without touching the process
	stepScale                   // more or fewer instances; the others are left alone
	stepRestart                 // the processes are restarted, their sidecars stay
	stepRebuild                 // sidecars and processes are replaced
	stepAdd
	stepRemove
)

var errStopping = errors.New("the mesh is stopping")

// Look says that a file has changed. It never blocks.
func (s *Supervisor) Look() {
	select {
	case s.look <- struct{}{}:
	default: // one look is already due, and it will see this change too
	}
}

// reload reads the configuration again whenever something has changed, and
// applies it. A file that is wrong changes nothing; its errors are shown until
// it is right again.
func (s *Supervisor) reload(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.look:
		}
		m, err := s.o.Load()
		if err == nil {
			err = s.Apply(ctx, m)
		}
		if ctx.Err() != nil || errors.Is(err, errStopping) {
			return
		}
		s.post(func() {
			if err != nil {
				s.notice(state.Notice{
					Level: "error", Code: "config", Text: err.Error(),
					Hint: "nothing was changed; the mesh goes on with the last good file",
				})
				return
			}
			s.withdraw("config", "")
		})
	}
}

// lockEdits makes the caller the only one who changes the mesh.
func (s *Supervisor) lockEdits(ctx context.Context) (unlock func(), err error) {
	select {
	case <-s.edit:
		return func() { s.edit <- struct{}{} }, nil
	case <-s.over:
		return nil, errStopping
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Apply makes the running mesh like m and returns when it is. On error nothing
// has changed.
func (s *Supervisor) Apply(ctx context.Context, m *config.Mesh) error {
	unlock, err := s.lockEdits(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	began := time.Now()
	var change config.Change
	if err := s.ask(ctx, func() { change = config.Diff(s.cfg, m) }); err != nil {
		return err
	}
	if change.Empty() { // but places in the file and its warnings may have moved
		return s.ask(ctx, func() { s.commit(m, nil) })
	}
	_ = s.ask(ctx, func() { // what the file says of the number counts again
		for _, a := range change.Changed {
			if a.Effect&config.Scale != 0 {
				delete(s.scaled, a.ID)
			}
		}
	})
	if err := s.carryOut(ctx, m, plan(change)); err != nil {
		return err
	}
	if s.o.Applied != nil {
		s.o.Applied(m)
	}
	lines := change.Lines()
	for _, l := range lines {
		s.say("", "", "%s", l)
	}
	s.post(func() {
		s.notice(state.Notice{
			Level: "info", Code: "reload",
			Text: fmt.Sprintf("mesh.toml applied in %v: %s", time.Since(began).Round(time.Millisecond), strings.Join(lines, "; ")),
		})
	})
	return nil
}

// plan turns a change into steps. Adding comes first and removing last, so that
// whatever can be had before something goes, is.
func plan(c config.Change) []step {
	var steps []step
	for _, id := range c.Added {
		steps = append(steps, step{id, stepAdd})
	}
	for _, a := range c.Changed {
		switch {
		case a.Effect&config.Sidecar != 0, movesPort(a):
			steps = append(steps, step{a.ID, stepRebuild})
			continue
		case a.Effect&config.Restart != 0:
			steps = append(steps, step{a.ID, stepRestart})
		case a.Effect&config.Scale == 0:
			steps = append(steps, step{a.ID, stepAdopt})
		}
		if a.Effect&config.Scale != 0 {
			steps = append(steps, step{a.ID, stepScale})
		}
	}
	for _, id := range c.Removed {
		steps = append(steps, step{id, stepRemove})
	}
	return steps
}

// movesPort says whether the app is to listen elsewhere, so that its sidecar
// has to reach it there.
func movesPort(a config.AppChange) bool {
	return slices.ContainsFunc(a.Fields, func(f config.Field) bool { return f.Key == "port" })
}

// carryOut tries everything that can fail, then does all of it. The caller
// holds the edit lock.
func (s *Supervisor) carryOut(ctx context.Context, m *config.Mesh, steps []step) error {
	var fresh, leaving, restart []*unit
	var rebuild []string
	var failed error
	err := s.ask(ctx, func() {
		if s.stop {
			failed = errStopping
			return
		}
		for _, st := range steps {
			have := s.of(st.app)
			switch st.do {
			case stepAdopt:
			case stepAdd, stepScale:
				a := m.Find(st.app)
				if a == nil || !s.wanted(m, st.app) {
					continue
				}
				s.claim(a)
				us, err := s.newUnits(m, a, len(have)+1, s.count(a))
				fresh = append(fresh, us...)
				failed = errors.Join(failed, err)
				for _, u := range have {
					if u.at.index > s.count(a) {
						leaving = append(leaving, u)
					}
				}
			case stepRestart:
				restart = append(restart, have...)
			case stepRebuild:
				leaving = append(leaving, have...)
				rebuild = append(rebuild, st.app)
			case stepRemove:
				leaving = append(leaving, have...)
			}
		}
		if failed != nil {
			for _, u := range fresh {
				u.discard()
			}
			return
		}
		s.commit(m, fresh)
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	for _, u := range restart {
		select {
		case u.asks <- askRestart:
		case <-u.gone:
		}
	}
	s.stopUnits(leaving, errors.New("removed from mesh.toml"))
	return s.replace(ctx, m, leaving, rebuild)
}

// commit makes m the configuration and lets the new units run.
func (s *Supervisor) commit(m *config.Mesh, fresh []*unit) {
	s.adoptPolicies(m, s.cfg)
	s.cfg = m
	for _, u := range s.units {
		u.sidecar.Use(stream.Transport(m.Transport))
		if a := m.Find(u.app); a != nil {
			u.configure(m, a)
		}
	}
	for _, u := range fresh {
		s.units = append(s.units, u)
		s.runUnit(u)
	}
}

// replace forgets the units that have left and makes those of the apps whose
// sidecars had to be rebuilt, on the ports that are free again now.
func (s *Supervisor) replace(ctx context.Context, m *config.Mesh, left []*unit, rebuild []string) error {
	var failed error
	err := s.ask(context.WithoutCancel(ctx), func() {
		for _, u := range left {
			s.release(u)
		}
		s.units = slices.DeleteFunc(s.units, func(u *unit) bool { return slices.Contains(left, u) })
		if s.stop {
			return
		}
		for _, id := range rebuild {
			a := m.Find(id)
			s.claim(a)
			us, err := s.newUnits(m, a, 1, s.count(a))
			failed = errors.Join(failed, err)
			for _, u := range us {
				s.units = append(s.units, u)
				s.runUnit(u)
			}
		}
	})
	return errors.Join(err, failed)
}

// of gives the units of an app, in the order of their indexes.
func (s *Supervisor) of(app string) (units []*unit) {
	for _, u := range s.units {
		if u.app == app {
			units = append(units, u)
		}
	}
	return units
}

// count says how many instances of an app are to run.
func (s *Supervisor) count(a *config.App) int {
	if n, ok := s.scaled[a.ID]; ok {
		return n
	}
	return a.Instances
}
