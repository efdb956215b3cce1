package supervisor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestQuestionsToTheLoopAreAnswered: whoever gives up must not leave work behind
// that the loop does later, with nobody to carry on from it.
func TestQuestionsToTheLoopAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Supervisor{posts: make(chan func(), 1), over: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		ran := false
		queued, late := make(chan error, 1), make(chan error, 1)
		go func() { queued <- s.ask(ctx, func() { ran = true }) }()
		synctest.Wait()
		go func() { late <- s.ask(ctx, func() { t.Error("done although the asker has given up") }) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if err := <-late; !errors.Is(err, context.Canceled) {
			t.Errorf("what could not be queued gives %v", err)
		}
		select {
		case err := <-queued:
			t.Fatalf("the asker is gone (%v), its work is still to be done", err)
		default:
		}
		(<-s.posts)()
		if err := <-queued; err != nil || !ran {
			t.Errorf("%v, done: %v", err, ran)
		}
		if err := s.ask(ctx, func() {}); !errors.Is(err, context.Canceled) || len(s.posts) > 0 {
			t.Errorf("asked after the end: %v, %d queued", err, len(s.posts))
		}
	})
}
