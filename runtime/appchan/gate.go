package appchan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mesh/runtime/flow"
)

// mode is what a gate does with calls.
type mode uint8

const (
	held    mode = iota // they wait
	open                // they pass
	refused             // they fail
)

// gate is one state of an App. It is immutable: a change puts another gate in
// its place and closes moved.
type gate struct {
	mode  mode
	why   string        // held: shown to calls that waited in vain
	err   error         // refused: why
	moved chan struct{} // closed when another gate has taken over
}

// ErrWaited is what an error is that ends a call which has waited for the app as
// long as it may.
var ErrWaited = errors.New("waited in vain")

// waitedError says what a call has waited for, and how long.
type waitedError struct {
	why  string
	hold time.Duration
}

func (e *waitedError) Error() string { return fmt.Sprintf("%s (waited %v)", e.why, e.hold) }

// Is makes errors.Is(err, ErrWaited) true.
func (e *waitedError) Is(target error) bool { return target == ErrWaited }

func (a *App) set(g *gate) {
	g.moved = make(chan struct{})
	close(a.gate.Swap(g).moved)
	switch {
	case g.mode != open:
		// A server that shuts down politely waits for idle connections.
		a.closeIdle()
	case a.rpc != nil:
		// A call that passed before the gate was shut may have connected to
		// the last process since.
		a.rpc.retire()
	}
}

// Open lets calls pass: the app is ready.
func (a *App) Open() { a.set(&gate{mode: open}) }

// Hold makes new calls wait, why being the reason shown to those that wait in
// vain. Calls in flight go on; see Drain.
func (a *App) Hold(why string) { a.set(&gate{mode: held, why: why}) }

// Refuse makes waiting and new calls fail with err: the app was stopped, or
// given up. Calls in flight go on.
func (a *App) Refuse(err error) { a.set(&gate{mode: refused, err: err}) }

// Drain waits until no call is in flight. It is called after Hold or Refuse;
// with an open gate new calls keep it waiting. It returns the cause of ctx's
// end when that comes first.
func (a *App) Drain(ctx context.Context) error {
	for a.calls.Load() > 0 {
		select {
		case <-a.idle:
		case <-ctx.Done():
			return fmt.Errorf("draining %s: %d calls still in flight: %w", a.o.Addr, a.calls.Load(), context.Cause(ctx))
		}
	}
	a.signal() // another Drain may be waiting
	return nil
}

func (a *App) signal() {
	select {
	case a.idle <- struct{}{}:
	default:
	}
}

// leave ends what enter began.
func (a *App) leave() {
	if a.slots != nil {
		<-a.slots
	}
	if a.calls.Add(-1) == 0 {
		a.signal()
	}
}

// enter takes a call past the gate. When it returns nil, leave must follow.
func (a *App) enter(ctx context.Context, f *flow.Flow) error {
	if a.slots == nil {
		// Counted first: whoever closes the gate after we saw it open finds
		// us in the count, so that Drain misses nobody.
		a.calls.Add(1)
		if a.gate.Load().mode == open {
			return nil
		}
		if a.calls.Add(-1) == 0 {
			a.signal()
		}
	} else {
		select {
		case a.slots <- struct{}{}:
			a.calls.Add(1)
			if a.gate.Load().mode == open {
				return nil
			}
			a.leave()
		default:
		}
	}
	return a.wait(ctx, f)
}

// Await waits until calls pass, as a call would. It is for who cannot take a
// call back that was refused.
func (a *App) Await(ctx context.Context, f *flow.Flow) error {
	if a.Ready() {
		return nil
	}
	if err := a.enter(ctx, f); err != nil {
		return err
	}
	a.leave()
	return nil
}

// wait is enter for a call that cannot pass at once.
func (a *App) wait(ctx context.Context, f *flow.Flow) error {
	g := a.gate.Load()
	if g.mode == refused {
		return a.unreachable(g.err)
	}
	leave, err := a.queue(g, f)
	if err != nil {
		return err
	}
	defer leave()
	hold := time.Duration(a.hold.Load())
	timer := time.NewTimer(hold)
	defer timer.Stop()
	for ; ; g = a.gate.Load() {
		switch g.mode {
		case refused:
			return a.unreachable(g.err)
		case held:
			select {
			case <-g.moved:
			case <-timer.C:
				return a.unreachable(&waitedError{why: g.why, hold: hold})
			case <-ctx.Done():
				return a.unreachable(context.Cause(ctx))
			}
		case open:
			if a.slots != nil {
				select {
				case a.slots <- struct{}{}:
				case <-g.moved:
					continue
				case <-ctx.Done():
					return a.unreachable(context.Cause(ctx))
				}
			}
			a.calls.Add(1)
			if a.gate.Load() == g {
				return nil
			}
			a.leave()
		}
	}
}

// queue counts a call that waits, unless too many do already.
func (a *App) queue(g *gate, f *flow.Flow) (leave func(), err error) {
	if n := a.waiting.Add(1); g.mode == held && n > int64(a.o.MaxHeld) {
		a.waiting.Add(-1)
		return nil, a.unreachable(fmt.Errorf("%s, and %d calls wait for it already (the limit)", g.why, a.o.MaxHeld))
	}
	f.Hold()
	return func() {
		f.Release()
		a.waiting.Add(-1)
	}, nil
}

// Queue counts a call that waits for this App or for another one like it,
// elsewhere than at the gate, until leave is called, and says how long it may.
func (a *App) Queue(f *flow.Flow) (leave func(), hold time.Duration, err error) {
	leave, err = a.queue(a.gate.Load(), f)
	return leave, time.Duration(a.hold.Load()), err
}

// Refuses says whether calls fail at the moment, instead of waiting.
func (a *App) Refuses() bool { return a.gate.Load().mode == refused }

// Ready says whether calls pass at the moment.
func (a *App) Ready() bool { return a.gate.Load().mode == open }

// Watch says whether calls pass at the moment; moved is closed when the gate
// changes, also when it is then the same again.
func (a *App) Watch() (ready bool, moved <-chan struct{}) {
	g := a.gate.Load()
	return g.mode == open, g.moved
}

// Moved is closed when the App's state next changes: it opened, began to hold
// calls, or to refuse them.
func (a *App) Moved() <-chan struct{} { return a.gate.Load().moved }
