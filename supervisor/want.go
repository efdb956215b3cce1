package supervisor

import (
	"context"
	"errors"
	"time"

	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

// desired is what a unit is to be. The loop puts another one in its place when
// something changes; the unit compares it with what it does, so that nothing
// can be missed and many changes in a row are one.
type desired struct {
	mesh *config.Mesh
	app  *config.App
	run  bool   // whether the process is to run; a command can stop it
	gen  uint64 // grows with every wish for a new process
	why  string // why gen has grown, for people
}

// errSuperseded ends what a unit does because something else is wanted now.
var errSuperseded = errors.New("something else is wanted now")

// wish changes what the unit is to be. Only the loop calls it, and New before it.
func (u *unit) wish(change func(*desired)) {
	next := *u.want.Load()
	change(&next)
	u.want.Store(&next)
	select {
	case u.wake <- struct{}{}:
	default: // it has not looked since the last change, and will see this one too
	}
}

// renew asks for a new process, also when the present one has ended for good,
// but not when a command has stopped it. It gives the generation to wait for,
// 0 when the unit stays stopped.
func (u *unit) renew(why string) (gen uint64) {
	if !u.want.Load().run {
		return 0
	}
	u.wish(func(d *desired) { d.gen, d.why = u.s.nextGeneration(), why })
	return u.want.Load().gen
}

// nextGeneration numbers the starts that were asked for, across all units, so
// that one that replaces another has a higher number.
func (s *Supervisor) nextGeneration() uint64 {
	s.generation++
	return s.generation
}

// still says whether d is what is wanted, whatever the configuration says now.
func (u *unit) still(d *desired) bool {
	now := u.want.Load()
	return now.run == d.run && now.gen == d.gen
}

// await blocks until something else than d is wanted or ctx ends, at most for
// limit unless that is 0.
func (u *unit) await(ctx context.Context, d *desired, limit time.Duration) {
	var over <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		over = timer.C
	}
	for u.still(d) {
		select {
		case <-u.wake:
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// during runs f and ends its context as soon as something else than d is
// wanted; the error is errSuperseded then.
func (u *unit) during(ctx context.Context, d *desired, f func(context.Context) error) error {
	life, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- f(life) }() // joined below
	for {
		select {
		case err := <-done:
			if !u.still(d) {
				return errSuperseded
			}
			return err
		case <-u.wake:
			if !u.still(d) {
				cancel(errSuperseded)
				if err := <-done; ctx.Err() != nil {
					return err
				}
				return errSuperseded
			}
		}
	}
}

// settled says whether an instance has become what a command or an edit asked
// for with generation gen, or what keeps it from that.
func settled(m *state.Mesh, name string, gen uint64, stop bool) (done bool, err error) {
	now := find(m, name)
	switch {
	case now == nil:
		return true, errors.New(name + " has been removed")
	case now.Generation < gen:
		return false, nil
	case stop: // a later wish may have started it again
		return now.Phase == state.Stopped || now.Generation > gen, nil
	}
	switch now.Phase {
	case state.Ready, state.Done:
		return true, nil
	case state.Backoff, state.Failed:
		return true, errors.New(name + " " + now.Reason)
	case state.Stopped:
		return true, errors.New(name + " has been stopped meanwhile")
	case state.Pending:
		if now.Blocked {
			return true, errors.New(name + " " + now.Reason)
		}
	case state.Starting, state.Stopping:
	}
	return false, nil
}
