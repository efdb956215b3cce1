// Package run composes lifetimes. Everything that lives is a function that
// blocks until its context ends; a Group runs several of them and stops them in
// the reverse of the order in which they were added, waiting for each.
package run

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Group runs functions together. The zero value is ready to use. Add members
// before Run; a Group runs once.
type Group struct {
	Grace   time.Duration // how long each member may take to stop; 0: as long as it likes
	members []*member
}

type member struct {
	name   string
	f      func(context.Context) error
	cancel context.CancelCauseFunc
	done   chan struct{}
	err    error
}

// Add adds a member. f must return soon after its context has ended.
func (g *Group) Add(name string, f func(context.Context) error) {
	g.members = append(g.members, &member{name: name, f: f, done: make(chan struct{})})
}

// StuckError says that a member did not stop within the group's grace.
type StuckError struct {
	Name  string
	Grace time.Duration
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("%s did not stop within %v", e.Name, e.Grace)
}

// Run starts the members in order and waits. When ctx ends or the first member
// returns, it stops the others, last added first, each waited for before the
// next. It returns the first member's error and those of stuck members; ending
// because of ctx is no error.
func (g *Group) Run(ctx context.Context) error {
	if len(g.members) == 0 {
		<-ctx.Done()
		return nil
	}
	first := make(chan *member, len(g.members))
	for _, m := range g.members {
		// Members outlive ctx until it is their turn to stop.
		mctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		m.cancel = cancel
		go func() {
			m.err = m.f(mctx)
			close(m.done)
			first <- m
		}()
	}
	var errs []error
	var cause error
	select {
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case m := <-first:
		cause = fmt.Errorf("%s ended", m.name)
		if m.err != nil && !errors.Is(m.err, context.Canceled) {
			cause = fmt.Errorf("%s: %w", m.name, m.err)
			errs = append(errs, cause)
		}
	}
	for i := len(g.members) - 1; i >= 0; i-- {
		m := g.members[i]
		m.cancel(cause)
		if g.Grace <= 0 {
			<-m.done
			continue
		}
		t := time.NewTimer(g.Grace)
		select {
		case <-m.done:
		case <-t.C:
			errs = append(errs, &StuckError{Name: m.name, Grace: g.Grace})
		}
		t.Stop()
	}
	return errors.Join(errs...)
}
