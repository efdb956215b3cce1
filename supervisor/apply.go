package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mesh/runtime/stream"
	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

var (
	errStopping = errors.New("the mesh is stopping")
	errOver     = errors.New("the mesh has stopped")
	errNoApps   = errors.New("mesh.toml declares no apps; nothing was changed")
	errRemoved  = errors.New("no longer wanted")
)

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
		if err := s.reread(ctx); ctx.Err() != nil || errors.Is(err, errStopping) {
			return
		}
	}
}

// rereading is the pause before a file that takes apps away is believed: some
// editors write a file in pieces.
const rereading = 300 * time.Millisecond

// load reads mesh.toml again, twice when apps are missing from it.
func (s *Supervisor) load(ctx context.Context) (*config.Mesh, error) {
	m, err := s.o.Load()
	if err != nil {
		return nil, err
	}
	removed, runs := false, 0
	if err := s.ask(ctx, func() {
		removed, runs = len(config.Diff(s.cfg, m).Removed) > 0, len(s.cfg.Apps)
	}); err != nil {
		return nil, err
	}
	if !removed {
		return m, nil
	}
	select {
	case <-time.After(rereading):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if m, err = s.o.Load(); err != nil {
		return nil, err
	}
	if len(m.Apps) == 0 && runs > 0 {
		return nil, errNoApps
	}
	return m, nil
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
// has changed, unless a *RebuildError says otherwise.
func (s *Supervisor) Apply(ctx context.Context, m *config.Mesh) error {
	unlock, err := s.lockEdits(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	began := time.Now()
	h, err := supply(m)
	if err != nil {
		return err
	}
	var before *supplies
	var change config.Change
	e := &edit{mesh: m, have: h}
	if err := s.ask(ctx, func() {
		change, before = config.Diff(s.cfg, m), s.stock.have
		e.scaled = maps.Clone(s.scaled)
		for _, a := range change.Changed {
			if a.Effect&config.Scale != 0 { // what the file says of the number counts again
				delete(e.scaled, a.ID)
			}
		}
		s.steps(e, change)
		if len(e.steps) > 0 || !change.Empty() {
			s.edits.last = &state.Edit{At: began, State: state.EditApplying, Plan: s.preview(m)}
		}
	}); err != nil {
		return err
	}
	if err := s.restock(ctx, h); err != nil {
		return err
	}
	if change.Empty() && len(e.steps) == 0 { // but places in the file and its warnings may have moved
		if err := s.ask(ctx, func() { s.commit(e, nil) }); err != nil {
			return err
		}
		if s.o.Applied != nil {
			s.o.Applied(m)
		}
		return nil
	}
	err = s.carryOut(ctx, e)
	if _, most := errors.AsType[*RebuildError](err); err != nil && !most {
		return errors.Join(err, s.restock(ctx, before))
	}
	if s.o.Applied != nil {
		s.o.Applied(m)
	}
	if err != nil {
		return err
	}
	lines := change.Lines()
	for _, l := range lines {
		s.say("", "", "%s", l)
	}
	s.post(func() {
		s.warn(m)
		s.notice(state.Notice{
			Level: "info", Code: "reload",
			Text: fmt.Sprintf("mesh.toml applied in %v: %s", time.Since(began).Round(time.Millisecond), strings.Join(lines, "; ")),
		})
	})
	return nil
}

// warn shows what of the file does not hold until mesh is started again.
func (s *Supervisor) warn(m *config.Mesh) {
	if m.Interface == s.o.First.Interface {
		s.withdraw("mdns", "")
		return
	}
	s.notice(state.Notice{
		Level: "warning", Code: "mdns",
		Text: fmt.Sprintf("mesh still announces its apps on the interface %q; %q counts when mesh is started again", s.o.First.Interface, m.Interface),
		Hint: "mesh down, then mesh up",
	})
}

// RebuildError says that apps could not be started anew with what mesh.toml
// says of them. They run as before, or, where that is impossible too, not at
// all; everything else is as mesh.toml wants it. The next look at mesh.toml
// tries again.
type RebuildError struct{ Err error }

func (e *RebuildError) Error() string { return e.Err.Error() }

// Unwrap gives why.
func (e *RebuildError) Unwrap() error { return e.Err }

// carryOut tries everything that can fail, then does all of it. The caller
// holds the edit lock.
func (s *Supervisor) carryOut(ctx context.Context, e *edit) error {
	m := e.mesh
	var before *config.Mesh
	var fresh, leaving []*unit
	var rebuild []string
	var failed error
	err := s.ask(ctx, func() {
		if s.stop {
			failed = errStopping
			return
		}
		before = s.cfg
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
				fresh = append(fresh, us...)
				failed = errors.Join(failed, err)
				for _, u := range have {
					if u.at.index > e.count(a) {
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
		if failed = errors.Join(failed, s.fixedPorts(m, rebuild)); failed != nil {
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
	s.stopUnits(leaving, errRemoved)
	return s.replace(ctx, e, before, leaving, rebuild)
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
// sidecars had to be rebuilt, on the ports that are free again now. An app that
// cannot be had as the edit wants it is made as it was before.
func (s *Supervisor) replace(ctx context.Context, e *edit, before *config.Mesh, left []*unit, rebuild []string) error {
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
		if s.stop {
			return
		}
		for _, id := range rebuild {
			err := s.remake(e.mesh, id)
			if err == nil {
				continue
			}
			if s.revert(id, before) && s.remake(before, id) == nil {
				err = fmt.Errorf("%s runs as before: %w", id, err)
			}
			failed = errors.Join(failed, err)
		}
	})
	if failed != nil {
		failed = &RebuildError{failed}
	}
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

// revert puts what the mesh was before for one app into the configuration, so
// that the next edit finds it changed. It fails when that app was not there.
func (s *Supervisor) revert(id string, before *config.Mesh) bool {
	was := before.Find(id)
	if was == nil {
		return false
	}
	m := *s.cfg
	m.Apps = slices.Clone(m.Apps)
	*m.Find(id) = *was
	s.cfg = &m
	s.claim(was)
	return true
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
