package appchan

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// closed gives an App whose gate is as New leaves it.
func closed(t *testing.T, o Options) *App {
	t.Helper()
	o.Addr = "127.0.0.1:1"
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestCallsWaitForTheApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := closed(t, Options{Hold: time.Minute, MaxHeld: 2})
		rec := flow.NewRecorder()
		defer rec.Watch()()
		f := rec.Begin(flow.Head{Callee: "b"})
		results := make(chan error, 2)
		for range 2 {
			go func() { results <- a.enter(t.Context(), f) }()
			synctest.Wait()
		}
		if s := a.Stats(); s.Waiting != 2 || s.Calls != 0 || !f.View().Holding {
			t.Errorf("stats %+v, holding %v", s, f.View().Holding)
		}
		err := a.enter(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), "2 calls wait for it already") || !strings.Contains(err.Error(), "not started") {
			t.Errorf("a third call gets %v", err)
		}
		time.Sleep(59 * time.Second)
		a.Open()
		for range 2 {
			if err := <-results; err != nil {
				t.Errorf("a held call gets %v", err)
			}
		}
		if s := a.Stats(); s.Waiting != 0 || s.Calls != 2 {
			t.Errorf("stats %+v after opening", s)
		}
	})
}

func TestHoldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := closed(t, Options{Hold: 15 * time.Second, MaxHeld: 10})
		a.Open()
		a.Hold("orders restarts")
		begin := time.Now()
		err := a.enter(t.Context(), nil)
		if d := time.Since(begin); d != 15*time.Second || err == nil || !strings.Contains(err.Error(), "orders restarts (waited 15s)") {
			t.Errorf("after %v: %v", d, err)
		}
		if _, ok := errors.AsType[*stream.UnreachableError](err); !ok {
			t.Errorf("the error is a %T, so that no other instance is tried", err)
		}
		// Held again and again: the time runs on.
		begin = time.Now()
		go func() {
			for range 4 {
				time.Sleep(5 * time.Second)
				a.Hold("still")
			}
		}()
		if err := a.enter(t.Context(), nil); err == nil || time.Since(begin) != 15*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		// The caller gives up first.
		cause := errors.New("client gone")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		if err := a.enter(ctx, nil); !errors.Is(err, cause) {
			t.Errorf("a caller that left gets %v", err)
		}
		time.Sleep(time.Minute)
		// Without a hold there is no wait.
		none := closed(t, Options{MaxHeld: 10})
		if err := none.enter(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "not started") {
			t.Errorf("without a hold: %v", err)
		}
	})
}

func TestRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := closed(t, Options{Hold: time.Hour, MaxHeld: 10})
		results := make(chan error, 1)
		go func() { results <- a.enter(t.Context(), nil) }()
		synctest.Wait()
		why := errors.New("orders was given up after 5 crashes")
		a.Refuse(why)
		if err := <-results; !errors.Is(err, why) {
			t.Errorf("a held call gets %v", err)
		}
		if err := a.enter(t.Context(), nil); !errors.Is(err, why) {
			t.Errorf("a new call gets %v", err)
		}
		a.Open()
		if err := a.enter(t.Context(), nil); err != nil {
			t.Errorf("a call after opening gets %v", err)
		}
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := closed(t, Options{Hold: time.Hour, MaxHeld: 10})
		a.Open()
		for range 3 {
			if err := a.enter(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		a.Hold("restarts")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Drain(ctx); err == nil || !strings.Contains(err.Error(), "3 calls still in flight") {
			t.Errorf("a drain that takes too long gives %v", err)
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := a.Drain(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		begin := time.Now()
		for range 3 {
			time.Sleep(time.Second)
			a.leave()
		}
		wg.Wait()
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("drained after %v", d)
		}
	})
}

func TestMaxConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := closed(t, Options{Hold: time.Hour, MaxHeld: 100, MaxConcurrency: 2})
		a.Open()
		var now, most atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := a.enter(t.Context(), nil); err != nil {
					t.Error(err)
					return
				}
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				a.leave()
			})
		}
		synctest.Wait()
		if s := a.Stats(); s.Calls != 2 || s.Waiting != 8 {
			t.Errorf("stats %+v", s)
		}
		wg.Wait()
		if most.Load() != 2 {
			t.Errorf("%d calls at a time, want 2", most.Load())
		}
		// Those in the queue are told when the app goes away.
		for range 2 {
			if err := a.enter(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		results := make(chan error, 1)
		go func() { results <- a.enter(t.Context(), nil) }()
		synctest.Wait()
		why := errors.New("stopped")
		a.Refuse(why)
		if err := <-results; !errors.Is(err, why) {
			t.Errorf("a queued call gets %v", err)
		}
	})
}

// TestRestartsLoseNoCall restarts the app's server again and again under load,
// in the way that the supervisor does: hold, drain, stop, start, open.
func TestRestartsLoseNoCall(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	srv, addr := restartable(t, handler, "127.0.0.1:0")
	a := ready(t, Options{Addr: addr, Hold: wait, MaxHeld: 1000})
	var wg sync.WaitGroup
	var calls atomic.Int64
	var stop atomic.Bool
	for range 8 {
		wg.Go(func() {
			for !stop.Load() {
				r, err := a.Handle(t.Context(), &stream.Call{Verb: "POST", Body: strings.NewReader("hello"), Length: 5})
				if err != nil {
					t.Errorf("a call fails: %v", err)
					return
				}
				if b, err := io.ReadAll(r.Body); string(b) != "hello" || err != nil {
					t.Errorf("a reply is %q, %v", b, err)
				}
				r.Body.Close()
				calls.Add(1)
			}
		})
	}
	for range 10 {
		before := calls.Load()
		eventually(t, "calls pass", func() bool { return calls.Load() > before+20 })
		a.Hold("restarts")
		if err := a.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		srv.Close()
		srv, _ = restartable(t, handler, addr)
		a.Open()
	}
	stop.Store(true)
	wg.Wait()
	srv.Close()
}

// restartable serves on that very address.
func restartable(t *testing.T, h http.Handler, addr string) (*http.Server, string) {
	t.Helper()
	ln := listen(t, addr)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: wait}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return srv, ln.Addr().String()
}
