package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mesh/runtime/stream"
	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

// lostError says that the places of apps could not be had although they were
// free when it was tried.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }

func (e *lostError) Unwrap() error { return e.err }

// RebuildError says that an edit could not be carried out and not be taken back
// for all apps: these do not run. The next look at mesh.toml tries again.
type RebuildError struct{ Err error }

func (e *RebuildError) Error() string { return e.Err.Error() }

// Unwrap gives why.
func (e *RebuildError) Unwrap() error { return e.Err }

// carryOut tries everything that can fail, then does all of it. A *lostError says
// that some of it could not be done nevertheless. The caller holds the edit lock.
func (s *Supervisor) carryOut(ctx context.Context, e *edit) error {
	m := e.mesh
	var fresh, leaving []*unit
	var rebuild []string
	var failed, lost error
	err := s.ask(ctx, func() {
		if s.stop {
			failed = errStopping
			return
		}
		fixed := s.ports.fixed
		s.ports.fixed = map[int]bool{}
		for i := range m.Apps {
			s.claim(&m.Apps[i])
		}
		var restart []*unit
		for _, st := range e.steps {
			have := s.of(st.app)
			switch st.do {
			case stepAdopt:
			case stepAdd, stepScale:
				a := m.Find(st.app)
				if a == nil || !s.wanted(m, st.app) {
					continue
				}
				us, err := s.newUnits(m, a, len(have)+1, e.count(a))
				if err != nil && e.back {
					for _, u := range us {
						u.discard()
					}
					us = nil
					lost = errors.Join(lost, err)
				} else {
					failed = errors.Join(failed, err)
				}
				fresh = append(fresh, us...)
				for _, u := range have {
					if u.at.index > e.count(a) {
						leaving = append(leaving, u)
					}
				}
			case stepRestart:
				for _, u := range have {
					if a := m.Find(st.app); u.at.index <= e.count(a) { // the others go
						restart = append(restart, u)
					}
				}
			case stepRebuild:
				leaving = append(leaving, have...)
				rebuild = append(rebuild, st.app)
			case stepRemove:
				leaving = append(leaving, have...)
			}
		}
		if !e.back {
			failed = errors.Join(failed, s.fixedPorts(m, rebuild))
		}
		if failed == nil { // the last that can fail, since others hear of it
			if err := s.moveTo(m.Interface); e.back {
				lost = errors.Join(lost, err)
			} else {
				failed = err
			}
		}
		if failed != nil {
			for _, u := range fresh {
				u.discard()
			}
			s.ports.fixed = fixed
			return
		}
		s.commit(e, fresh)
		for _, u := range restart { // together with their configuration
			u.renew("mesh.toml has changed")
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	for _, id := range rebuild {
		s.peers.Expect(id, m.Find(id).Hold, maxHeld)
	}
	s.stopUnits(leaving, errRemoved)
	if err := errors.Join(lost, s.replace(ctx, e, leaving, rebuild)); err != nil {
		return &lostError{err}
	}
	return nil
}

// rollBack makes the mesh again what it was before an edit that could not be
// carried out, and says so. The caller holds the edit lock.
func (s *Supervisor) rollBack(ctx context.Context, before *edit, why *lostError) error {
	before.back = true
	ctx = context.WithoutCancel(ctx) // half an edit is worse than a late answer
	err := s.ask(ctx, func() { s.steps(before, config.Diff(s.cfg, before.mesh)) })
	if err == nil {
		err = s.carryOut(ctx, before)
	}
	if err != nil {
		return &RebuildError{fmt.Errorf("%w; the rest is as it was before, but: %w", why, err)}
	}
	return fmt.Errorf("%w; everything is as it was before", why)
}

// fixedPorts says which port that an app is to move to is taken, while the app
// still runs where it is.
func (s *Supervisor) fixedPorts(m *config.Mesh, rebuild []string) (err error) {
	ours := map[int]bool{}
	for _, u := range s.units {
		for _, p := range []int{u.at.app, u.at.http, u.at.grpc} {
			ours[p] = true
		}
	}
	for _, id := range rebuild {
		a := m.Find(id)
		var ports []int
		if s.o.Salt == "" {
			ports = []int{a.HTTPPort, a.GRPCPort}
		}
		if !s.external(a) {
			ports = append(ports, a.Port)
		}
		for _, p := range ports {
			if p == 0 || ours[p] {
				continue
			}
			if why := portFree(p); why != nil {
				err = errors.Join(err, fmt.Errorf("%s cannot move to port %d: %w", id, p, portTaken(why, p)))
			}
		}
	}
	return err
}

// commit makes the edit's configuration ours and lets the new units run.
func (s *Supervisor) commit(e *edit, fresh []*unit) {
	m := e.mesh
	s.adoptPolicies(m, e.have, s.cfg)
	s.cfg, s.scaled = m, e.scaled
	s.useToken(m)
	for id, q := range s.sources {
		if a := m.Find(id); a != nil && !s.external(a) {
			q.configure(m, a)
			continue
		}
		q.end()
		delete(s.sources, id)
	}
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
	s.restocked(e.have)
}

// replace forgets the units that have left and makes those of the apps whose
// sidecars had to be rebuilt, on the ports that are free again now.
func (s *Supervisor) replace(ctx context.Context, e *edit, left []*unit, rebuild []string) error {
	var failed error
	err := s.ask(context.WithoutCancel(ctx), func() {
		for _, u := range left {
			s.release(u)
		}
		s.units = slices.DeleteFunc(s.units, func(u *unit) bool { return slices.Contains(left, u) })
		s.forgetNotices()
		for _, u := range left {
			s.tellHealth(u.app)
		}
		for _, id := range rebuild {
			err := errStopping
			if !s.stop {
				err = s.remake(e.mesh, id)
				failed = errors.Join(failed, err)
			}
			if err != nil || len(s.of(id)) == 0 {
				s.peers.Abandon(id)
			}
		}
		s.publish() // whoever applied the edit sees it at once
	})
	return errors.Join(err, failed)
}

// remake makes all instances of an app and lets them run, or none, so that it is
// missing and tried again.
func (s *Supervisor) remake(m *config.Mesh, id string) error {
	a := m.Find(id)
	us, err := s.newUnits(m, a, 1, s.count(a))
	if err != nil {
		for _, u := range us {
			u.discard()
		}
		return err
	}
	for _, u := range us {
		s.units = append(s.units, u)
		s.runUnit(u)
	}
	return nil
}

// forgetNotices takes back what was said about apps that are no longer there.
func (s *Supervisor) forgetNotices() {
	s.notices = slices.DeleteFunc(s.notices, func(n state.Notice) bool { return n.App != "" && s.cfg.Find(n.App) == nil })
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
func (s *Supervisor) count(a *config.App) int { return counted(s.scaled, a) }

// count says how many instances of an app are to run after the edit.
func (e *edit) count(a *config.App) int { return counted(e.scaled, a) }

func counted(scaled map[string]int, a *config.App) int {
	if n, ok := scaled[a.ID]; ok {
		return n
	}
	return a.Instances
}
