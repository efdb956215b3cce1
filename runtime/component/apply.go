package component

import (
	"context"
	"time"
)

// Apply makes the components be the desired ones. It returns when the new ones
// serve: started beside the old, subscriptions moved, then requests; the old
// ones close behind it. All start at the same time, and one that takes long
// delays only itself, beside what Apply returns. A component that does not start
// is no error: it is degraded, or stays what it was, until Run gets it to start.
// The error is resource.Errors for components that can never start, or the reason
// why ctx ended; then nothing has changed. Once the first of the new ones serve,
// only the end of Run ends Apply, with ErrEnded.
func (l *Live) Apply(ctx context.Context, want Desired) error {
	if err := Check(want.Components, want.Denied); err != nil {
		return err
	}
	l.applying.Lock()
	defer l.applying.Unlock()
	if l.ended {
		return ErrEnded
	}
	starting, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	detach := context.AfterFunc(ctx, func() { stop(context.Cause(ctx)) })
	defer detach()
	go func() { // ends with starting
		select {
		case <-l.over:
			stop(ErrEnded)
		case <-starting.Done():
		}
	}()
	was := l.set.Load()
	next := l.build(starting, want, was)
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	for begun := false; ; settled.Reset(settleTime) {
		next.await(settled.C)
		now := next.soFar(was)
		whole := len(next.pending) == 0
		if !whole && now.same(was) {
			continue
		}
		if !begun && !detach() {
			stop(context.Cause(ctx))
		}
		if starting.Err() != nil {
			next.await(nil)
			l.dropAllBut(next.set, was)
			return context.Cause(starting)
		}
		begun = true
		l.exchange(starting, was, now)
		if whole {
			return nil
		}
		was = now
	}
}

// exchange puts a set in the place of another one.
func (l *Live) exchange(ctx context.Context, old, next *set) {
	l.ahead.Store(next)
	l.turn()
	l.awaitFollowers(ctx, next)
	l.set.Store(next)
	l.turn()
	l.dropAllBut(old, next)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	l.opt.Changed()
}

// dropAllBut ends the slots of a set that another one does not have.
func (l *Live) dropAllBut(gone, kept *set) {
	for _, e := range gone.entries {
		if !kept.has(e.slot) {
			e.drop()
		}
	}
}
