// Package run composes lifetimes. Everything that lives is a function that
// blocks until its context ends; a Group runs several of them and stops them in
// the reverse of the order in which they were added, waiting for each.
package run

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
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
	done   chan struct{} // closed when f has returned
	err    error         // valid once done is closed
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

// PanicError is the error of a member that panicked. The others are stopped in
// order all the same, so that nothing is left behind.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Run starts the members in order and waits. When ctx ends or the first member
// returns, it stops the others, last added first, each waited for before the
// next. It returns what the members failed with and who is stuck; ending
// because of having been stopped is no error.
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
			defer func() { first <- m }()
			defer close(m.done)
			m.err = call(mctx, m.f)
		}()
	}
	var cause error
	select {
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case m := <-first:
		if cause = m.failure(nil); cause == nil {
			cause = fmt.Errorf("%s ended", m.name)
		}
	}
	var errs []error
	for _, m := range slices.Backward(g.members) {
		m.cancel(cause)
		if !m.wait(g.Grace) {
			errs = append(errs, &StuckError{Name: m.name, Grace: g.Grace})
		} else if err := m.failure(cause); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// call is f with a panic made an error.
func call(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f(ctx)
}

// wait says whether the member returned within the grace.
func (m *member) wait(grace time.Duration) bool {
	if grace <= 0 {
		<-m.done
		return true
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-m.done:
		return true
	case <-t.C:
		return false
	}
}

// failure gives the member's error with its name; having been stopped for that
// cause is none. The member has returned.
func (m *member) failure(stopped error) error {
	if m.err == nil || errors.Is(m.err, context.Canceled) || (stopped != nil && errors.Is(m.err, stopped)) {
		return nil
	}
	return fmt.Errorf("%s: %w", m.name, m.err)
}
