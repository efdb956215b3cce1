package supervisor

import (
	"context"
	"errors"
	"time"

	"mesh/runtime/resource"
	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

// edits is what became of the edits of mesh.toml. The loop owns it.
type edits struct {
	last *state.Edit // nil: there was none
	good *state.Edit // the last one that was applied

	review bool // edits wait for a command
}

// review makes edits wait for a command.
func (s *Supervisor) review(ctx context.Context) error {
	return s.ask(ctx, func() { s.edits.review = true })
}

// approve applies what waits and ends the waiting.
func (s *Supervisor) approve(ctx context.Context) error {
	if err := s.ask(ctx, func() { s.edits.review = false }); err != nil {
		return err
	}
	return s.reread(ctx)
}

// reread reads mesh.toml again and applies it, or notes what it would change
// while edits wait. What went wrong is shown until it is put right.
func (s *Supervisor) reread(ctx context.Context) error {
	began := time.Now()
	m, err := s.load(ctx)
	if wrong, ok := errors.AsType[config.Errors](err); ok {
		err = wrong.From(s.o.First.Dir) // the screen has no room for the way to the project
	}
	broken := err != nil
	var h *supplies
	if err == nil {
		h, err = supply(m)
	}
	if wrong, ok := errors.AsType[resource.Errors](err); ok {
		err = wrong.From(s.o.First.Dir)
	}
	if err == nil {
		waits := false
		if err := s.ask(ctx, func() { waits = s.waits(began, m, h) }); err != nil {
			return err
		}
		if waits {
			return nil
		}
		err = s.Apply(ctx, m)
	}
	if ctx.Err() != nil || errors.Is(err, errStopping) {
		return err
	}
	s.post(func() {
		s.edited(began, broken, err)
		s.noticeEdit(err)
	})
	return err
}

// waits notes the plan of an edit that has to wait, and says whether it has to.
func (s *Supervisor) waits(at time.Time, m *config.Mesh, h *supplies) bool {
	if !s.edits.review {
		return false
	}
	p := s.preview(m, h)
	if p.Empty() {
		return false
	}
	s.edits.last = &state.Edit{At: at, State: state.EditPending, Plan: p}
	s.withdraw("config", "") // the file can be read
	return true
}

// noticeEdit shows why an edit does not count; nil: it does.
func (s *Supervisor) noticeEdit(err error) {
	if err == nil {
		s.withdraw("config", "")
		return
	}
	hint := "nothing was changed; the mesh goes on with the last good file"
	if errors.Is(err, errNoApps) {
		hint = "`mesh down` stops the mesh"
	}
	if _, ok := errors.AsType[*RebuildError](err); ok {
		hint = "free the port or change mesh.toml; saving it tries again"
	}
	s.notice(state.Notice{Level: "error", Code: "config", Text: err.Error(), Hint: hint})
}

// edited notes how an edit has ended that was noticed at that time. broken says
// that the file could not be read. Values that were published are not changed.
func (s *Supervisor) edited(at time.Time, broken bool, err error) {
	e := &s.edits
	switch {
	case broken:
		e.last = &state.Edit{At: at, State: state.EditBroken, Error: err.Error()}
	case err != nil:
		failed := state.Edit{At: at, State: state.EditFailed, Error: err.Error()}
		if e.last != nil && e.last.State == state.EditApplying {
			failed.Plan = e.last.Plan
		}
		e.last = &failed
	case e.last != nil && e.last.State == state.EditApplying:
		done := *e.last
		done.State, done.Took = state.EditApplied, time.Since(done.At)
		e.last, e.good = &done, &done
	default: // the file is as it was before it broke, or nothing of it counts
		e.last = e.good
	}
}
