package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

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
// has changed: what had begun has been taken back. A *RebuildError says that
// this could not be done for all apps.
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
	var before edit
	var change config.Change
	e := &edit{mesh: m, have: h}
	if err := s.ask(ctx, func() {
		before = edit{mesh: s.cfg, have: s.stock.have, scaled: s.scaled}
		change = changes(s.cfg, m, s.stock.have, h)
		e.scaled = maps.Clone(s.scaled)
		for _, a := range change.Changed {
			if a.Effect&config.Scale != 0 { // what the file says of the number counts again
				delete(e.scaled, a.ID)
			}
		}
		s.steps(e, change)
		if len(e.steps) > 0 || !change.Empty() {
			s.edits.last = &state.Edit{At: began, State: state.EditApplying, Plan: s.preview(m, h)}
		}
	}); err != nil {
		return err
	}
	if err := s.restock(ctx, h); err != nil {
		return err
	}
	if err := s.carryOut(ctx, e); err != nil {
		back := context.WithoutCancel(ctx) // half an edit is worse than a late answer
		if lost, ok := errors.AsType[*lostError](err); ok {
			return errors.Join(s.rollBack(ctx, &before, lost), s.restock(back, before.have))
		}
		return errors.Join(err, s.restock(back, before.have))
	}
	if s.o.Applied != nil {
		s.o.Applied(m)
	}
	if change.Empty() && len(e.steps) == 0 { // only places in the file have moved
		return nil
	}
	s.applied(change, time.Since(began))
	return nil
}

// applied tells the user what an edit has changed.
func (s *Supervisor) applied(change config.Change, took time.Duration) {
	lines := change.Lines()
	for _, l := range lines {
		s.say("", "", "%s", l)
	}
	s.post(func() {
		s.notice(state.Notice{
			Level: "info", Code: "reload",
			Text: fmt.Sprintf("mesh.toml applied in %v: %s", took.Round(time.Millisecond), strings.Join(lines, "; ")),
		})
	})
}
