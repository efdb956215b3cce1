package runtime

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mesh/runtime/appchan"
)

func group(t *testing.T, n int, hold time.Duration) *peerGroup {
	t.Helper()
	g := &peerGroup{}
	for range n {
		o := appchan.Options{Addr: "127.0.0.1:1", Hold: hold, MaxHeld: 10}
		app, err := appchan.New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(app.Close)
		g.all = append(g.all, &Sidecar{o: Options{AppID: "web", App: o}, app: app})
	}
	return g
}

// TestCallsWaitForWhicheverInstanceIsReadyFirst has one instance that keeps
// failing and another one that comes up: the call goes on when that is ready.
func TestCallsWaitForWhicheverInstanceIsReadyFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, 15*time.Second)
		begun := time.Now()
		go func() {
			<-time.After(time.Second)
			g.all[0].app.Hold("it has failed again")
			<-time.After(time.Second)
			g.all[1].app.Open()
		}()
		if err := g.await(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begun); d != 2*time.Second {
			t.Errorf("the call went on after %v, want 2s", d)
		}
		g.all[1].app.Refuse(errors.New("stopped"))
		begun = time.Now()
		if err := g.await(t.Context(), nil); err == nil || time.Since(begun) != 15*time.Second {
			t.Errorf("without any ready instance the call ends after %v with %v", time.Since(begun), err)
		}
		g.all[0].app.Refuse(errors.New("stopped"))
		if err := g.await(t.Context(), nil); err != nil {
			t.Errorf("when all refuse, one of them is to say so, not %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		g.all[0].app.Hold("starting")
		gone := errors.New("the caller has gone")
		time.AfterFunc(time.Second, func() { cancel(gone) })
		if err := g.await(ctx, nil); !errors.Is(err, gone) {
			t.Errorf("a caller that goes is told %v", err)
		}
	})
}
