package component

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// drainTime is how long handlers of an old component may take to finish
// before it is left.
const drainTime = 10 * time.Second

// follower is something that lasts, such as a subscription, and moves along
// when its component is swapped.
type follower struct {
	live *Live
	app  string
	kind Kind
	name string
	// attach begins at a slot; it returns the unit where it is now, and how to
	// end there.
	attach func(ctx context.Context, s *slot) (at *unit, detach func(), err error)
	// alone: it may not be attached twice at a time, so that it ends at the old
	// component before it begins at the new one.
	alone bool

	slot   *slot  // where it is attached; nil: nowhere
	unit   *unit  // of that slot
	turn   int64  // of the slot, when it was attached
	served bool   // the unit was the one that serves requests, not one to read from
	detach func() // from there
	prior  func() // from where it was before, while publishers still go there; nil: done

	settling sync.WaitGroup // of prior places
}

// follow keeps f attached until ctx ends. It begins at new components before
// requests go there and ends at old ones after that, so that nothing published
// meanwhile is missed.
func (l *Live) follow(ctx context.Context, f *follower) {
	f.live = l
	l.turns.Lock()
	l.turns.followers[f] = nil
	l.turns.Unlock()
	defer func() {
		l.turns.Lock()
		delete(l.turns.followers, f)
		l.turns.Unlock()
		l.advance()
		f.leave()
		f.settle()
		f.settling.Wait()
	}()
	for tries := 0; ; {
		l.turns.Lock()
		turn := l.turns.next
		l.turns.Unlock()
		ahead, committed := l.ahead.Load(), l.set.Load()
		err := f.step(ctx, ahead, committed)
		var again <-chan time.Time
		if err == nil {
			tries = 0
		} else {
			if tries++; tries == 1 && ctx.Err() == nil {
				l.opt.Log.WarnContext(ctx, "subscribing, trying again", slog.String("component", f.name), slog.String("app", f.app), slog.Any("error", err))
			}
			again = time.After(backoff(tries))
		}
		l.turns.Lock()
		l.turns.followers[f] = ahead
		l.turns.Unlock()
		l.advance()
		select {
		case <-ctx.Done():
			return
		case <-turn:
		case <-again:
		}
	}
}

// step does what the present sets ask for.
func (f *follower) step(ctx context.Context, ahead, committed *set) error {
	look := ahead
	if f.alone {
		look = committed
	}
	e, err := look.find(f.kind, f.app, f.name)
	switch {
	case err != nil: // removed, or never there
		if look == committed {
			f.leave()
		}
	case e.slot != f.slot || e.turn.Load() != f.turn || (f.served && e.cur.Load() != f.unit):
		turn := e.turn.Load()
		if f.alone {
			f.leave()
			f.settle()
		}
		at, detach, err := f.attach(ctx, e.slot)
		if err != nil {
			return err
		}
		f.leave()
		f.slot, f.unit, f.turn, f.served, f.detach = e.slot, at, turn, e.cur.Load() == at, detach
	}
	if ahead == committed {
		f.settle()
	}
	return nil
}

// leave makes the present place the prior one.
func (f *follower) leave() {
	if f.slot == nil {
		return
	}
	f.settle()
	f.prior, f.slot, f.unit, f.detach = f.detach, nil, nil, nil
}

// settle ends at the prior place: meanwhile, because what is left there may take
// long, unless f may not be attached twice.
func (f *follower) settle() {
	switch {
	case f.prior == nil:
	case f.alone:
		f.prior()
	default:
		f.settling.Go(f.prior)
	}
	f.prior = nil
}

// turn tells the followers that a set changed.
func (l *Live) turn() {
	l.turns.Lock()
	close(l.turns.next)
	l.turns.next = make(chan struct{})
	l.turns.Unlock()
}

// advance tells awaitFollowers to look.
func (l *Live) advance() {
	select {
	case l.progress <- struct{}{}:
	default:
	}
}

// awaitFollowers waits until every follower saw the set, for a limited time.
func (l *Live) awaitFollowers(ctx context.Context, next *set) {
	limit := time.NewTimer(moveTime)
	defer limit.Stop()
	for {
		behind := false
		l.turns.Lock()
		for _, seen := range l.turns.followers {
			behind = behind || seen != next
		}
		l.turns.Unlock()
		if !behind {
			return
		}
		select {
		case <-l.progress:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// inflight counts handlers that run and waits for them.
type inflight struct {
	mu    sync.Mutex
	n     int
	empty chan struct{} // closed when n falls to 0 while someone waits
}

func (i *inflight) begin() {
	i.mu.Lock()
	i.n++
	i.mu.Unlock()
}

func (i *inflight) end() {
	i.mu.Lock()
	if i.n--; i.n == 0 && i.empty != nil {
		close(i.empty)
		i.empty = nil
	}
	i.mu.Unlock()
}

// wait waits until no handler runs, for a limited time.
func (i *inflight) wait(limit time.Duration) {
	i.mu.Lock()
	if i.n == 0 {
		i.mu.Unlock()
		return
	}
	if i.empty == nil {
		i.empty = make(chan struct{})
	}
	empty := i.empty
	i.mu.Unlock()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-empty:
	case <-t.C:
	}
}
