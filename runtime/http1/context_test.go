package http1

import (
	"context"
	"errors"
	"testing"
)

type aborted chan error

func (a aborted) Abort(why error) { a <- why }

func TestConnContextTellsOfItsEnd(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	c := newConnContext(ctx)
	first, second := make(aborted, 1), make(aborted, 1)
	if !c.Watch(first) || c.Watch(second) {
		t.Fatal("not exactly one is told")
	}
	if !c.Unwatch() || !c.Watch(second) {
		t.Fatal("the next one is not told")
	}
	why := errors.New("gone")
	cancel(why)
	if got := <-second; !errors.Is(got, why) {
		t.Errorf("told %v", got)
	}
	if c.Unwatch() {
		t.Error("who was told seems not to have been")
	}
	if c.Watch(first) {
		t.Error("a context that has ended is watched")
	}
	if len(first) != 0 {
		t.Error("who no longer watches was told")
	}
	child, stop := context.WithCancel(c)
	defer stop()
	if child.Err() == nil {
		t.Error("a child of the context outlives it")
	}
}
