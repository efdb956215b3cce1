package runtime

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestCallsWaitForSidecarsThatAreReplaced: nobody is told that there is no such
// app while its sidecars are exchanged for others.
func TestCallsWaitForSidecarsThatAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPeers()
		old, fresh := group(t, 1, time.Hour).all[0], group(t, 1, time.Hour).all[0]
		old.made, fresh.made = 1, 2
		p.made.Store(1)
		p.Expect("web", 10*time.Second, 2)
		p.join(old) // late: it is none of the new ones
		if g, err := p.get(t.Context(), "web", nil); err != nil || g == nil || g.all[0] != old {
			t.Fatalf("while the old one is there: %v, %v", g, err)
		}
		p.leave(old)
		begun := time.Now()
		time.AfterFunc(3*time.Second, func() { p.join(fresh) })
		if g, err := p.get(t.Context(), "web", nil); err != nil || g == nil || g.all[0] != fresh || time.Since(begun) != 3*time.Second {
			t.Errorf("the new one is found after %v: %v, %v", time.Since(begun), g, err)
		}

		p.leave(fresh)
		p.made.Store(2)
		if g, err := p.get(t.Context(), "web", nil); err != nil || g != nil {
			t.Errorf("nothing is expected any more, and yet %v, %v", g, err)
		}

		p.Expect("web", 10*time.Second, 2)
		gone := errors.New("the caller has gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		waited := make(chan error, 2)
		for _, ctx := range []context.Context{ctx, t.Context()} {
			go func() {
				_, err := p.get(ctx, "web", nil)
				waited <- err
			}()
		}
		synctest.Wait()
		if _, err := p.get(t.Context(), "web", nil); err == nil || !strings.Contains(err.Error(), "2 calls wait") {
			t.Errorf("a third that waits gets %v", err)
		}
		cancel(gone)
		if err := <-waited; !errors.Is(err, gone) {
			t.Errorf("a caller that goes is told %v", err)
		}
		begun = time.Now()
		if err := <-waited; err == nil || !strings.Contains(err.Error(), "waited 10s") || time.Since(begun) != 10*time.Second {
			t.Errorf("who waits in vain is told %v after %v", err, time.Since(begun))
		}

		time.AfterFunc(time.Second, func() { p.Abandon("web") })
		if g, err := p.get(t.Context(), "web", nil); err != nil || g != nil {
			t.Errorf("when none will come: %v, %v", g, err)
		}
	})
}
