package runtime

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mesh/runtime/appchan"
	"mesh/runtime/policy"
)

// limitsOfTime end a call at the client and at the app, and say which it was as
// long as there is no reply that could be broken off.
func limitsOfTime(t *testing.T, m *mesh) {
	var entered, left atomic.Int64 // a call may be over before it gets to the app
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		entered.Add(1)
		defer left.Add(1)
		if r.URL.Path == "/stalls" {
			send(t, w, "some")
		}
		<-r.Context().Done()
	})
	const limit = 50 * time.Millisecond
	for _, tt := range []struct {
		limit policy.Timeout
		path  string
		says  string
	}{
		{policy.Timeout{FirstByte: limit}, "silent", "timeout.first_byte"},
		{policy.Timeout{Idle: limit}, "silent", "timeout.idle"},
		{policy.Timeout{Total: limit}, "silent", "timeout.total"},
		{policy.Timeout{Idle: limit}, "stalls", "timeout.idle"},
		{policy.Timeout{Total: limit}, "stalls", "timeout.total"},
	} {
		m.police("back", policy.Policy{Timeout: tt.limit})
		res := m.do(m.request("GET", "back", tt.path, nil))
		b, err := io.ReadAll(res.Body)
		switch {
		case tt.path == "stalls" && m.streams() && res.StatusCode == http.StatusOK:
			if err == nil {
				t.Errorf("%s: %q passes for all of a reply that stalls", tt.says, b)
			}
		case res.StatusCode != http.StatusInternalServerError || !strings.Contains(string(b), tt.says):
			t.Errorf("%s: %d %q %v", tt.says, res.StatusCode, b, err)
		}
		for end := time.Now().Add(patience); left.Load() != entered.Load(); tick(t) {
			if time.Now().After(end) {
				t.Fatalf("%s: the app is not told", tt.says)
			}
		}
	}
}

// triesElsewhere: each try is balanced anew.
func triesElsewhere(t *testing.T, m *mesh) {
	var bad atomic.Int64
	m.sidecar(m.appOptions("back", "back-1", func(w http.ResponseWriter, _ *http.Request) {
		bad.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	m.sidecar(m.appOptions("back", "back-2", echo(t)))
	m.police("back", policy.Policy{Retry: &policy.Retry{Max: 1, Interval: time.Millisecond}})
	for range 6 {
		if res, got := m.call("POST", "back", "m", "body"); res.StatusCode != http.StatusOK || got != "body" {
			t.Errorf("%d %q", res.StatusCode, got)
		}
	}
	if bad.Load() == 0 {
		t.Error("the instance that fails was never called")
	}
}

// openCircuit refuses calls, and the app is left alone.
func openCircuit(t *testing.T, m *mesh) {
	var calls atomic.Int64
	m.app("back", func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	m.police("back", policy.Policy{Breaker: policy.NewBreaker(policy.BreakerOptions{Name: "back", Failures: 2, Timeout: time.Hour})})
	for range 2 {
		if res, _ := m.call("POST", "back", "m", "x"); res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("while it is closed: %d", res.StatusCode)
		}
	}
	for range 2 {
		if res, got := m.call("POST", "back", "m", "x"); res.StatusCode != http.StatusInternalServerError || !strings.Contains(got, "circuit breaker of back is open") {
			t.Errorf("while it is open: %d %s", res.StatusCode, got)
		}
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("the app was called %d times, want 2", n)
	}
}

// faults are switched while the sidecars run.
func faults(t *testing.T, m *mesh) {
	var calls atomic.Int64
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, err := io.Copy(io.Discard, r.Body)
		must(t, err)
		w.Header().Set("Content-Length", "1000")
		_, err = io.WriteString(w, strings.Repeat("x", 1000))
		must(t, err)
	})
	call := func() (status, n int, took time.Duration, err error) {
		began := time.Now()
		res := m.do(m.request("POST", "back", "m", strings.NewReader(strings.Repeat("y", 1000))))
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, len(b), time.Since(began), err
	}
	f := &m.policies.Faults
	f.Set([]policy.Fault{{Name: "no", Abort: http.StatusTooManyRequests}})
	if status, _, _, err := call(); status != http.StatusTooManyRequests || err != nil || calls.Load() != 0 {
		t.Errorf("abort: %d %v after %d calls of the app", status, err, calls.Load())
	}
	f.Set([]policy.Fault{{Name: "cut", CutAfter: 300}})
	if status, n, _, err := call(); status != http.StatusOK || n > 300 || err == nil {
		t.Errorf("cut: %d, %d bytes, %v", status, n, err)
	}
	f.Set([]policy.Fault{{Name: "late", Delay: 50 * time.Millisecond}})
	if status, n, took, err := call(); status != http.StatusOK || n != 1000 || took < 50*time.Millisecond || err != nil {
		t.Errorf("delay: %d, %d bytes after %v, %v", status, n, took, err)
	}
	f.Set([]policy.Fault{{Name: "narrow", Bandwidth: 10_000}}) // in pieces of 500, 50 ms apart, both ways
	if status, n, took, err := call(); status != http.StatusOK || n != 1000 || took < 100*time.Millisecond || err != nil {
		t.Errorf("bandwidth: %d, %d bytes after %v, %v", status, n, took, err)
	}
	f.Set([]policy.Fault{{Name: "no", Abort: http.StatusTooManyRequests, Off: true}})
	if status, n, _, err := call(); status != http.StatusOK || n != 1000 || err != nil {
		t.Errorf("switched off: %d, %d bytes, %v", status, n, err)
	}
}

// oneAtATime is an app with a limit of calls: others wait for their turn.
func oneAtATime(t *testing.T, m *mesh) {
	var now, most atomic.Int64
	goOn := make(chan struct{})
	o := m.appOptions("back", "back", func(http.ResponseWriter, *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		<-goOn
		now.Add(-1)
	})
	o.App.MaxConcurrency = 1
	back := m.sidecar(o).App()
	const calls = 3
	done := make(chan int, calls)
	for range calls {
		go func() {
			res, _ := m.call("GET", "back", "m", "")
			done <- res.StatusCode
		}()
	}
	m.waiting(back, calls-1)
	for range calls {
		goOn <- struct{}{}
		if status := soon(t, "a call", done); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	if most.Load() != 1 {
		t.Errorf("the app got %d calls at a time", most.Load())
	}
}

// held is a call to an app that restarts: those under way end first, it waits
// meanwhile, and then it is answered.
func held(t *testing.T, m *mesh) {
	var opened atomic.Bool
	entered, goOn := make(chan struct{}), make(chan struct{})
	back := m.app("back", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			close(entered)
			<-goOn
		} else if !opened.Load() {
			t.Error("the app is called while it restarts")
		}
		_, _ = io.Copy(w, r.Body)
	}).App()
	call := func(path string) <-chan string {
		got := make(chan string, 1)
		go func() {
			_, text := m.call("POST", "back", path, path)
			got <- text
		}()
		return got
	}
	first := call("first")
	soon(t, "the first call", entered)
	back.Hold("restarting")
	drained := make(chan error, 1)
	go func() { drained <- back.Drain(t.Context()) }()
	second := call("second")
	m.waiting(back, 1)
	select {
	case err := <-drained:
		t.Errorf("nothing is under way any more, it seems: %v", err)
	default:
	}
	close(goOn)
	if got := soon(t, "the first call", first); got != "first" {
		t.Errorf("the call that was under way gets %q", got)
	}
	must(t, soon(t, "the app to be drained", drained))
	opened.Store(true)
	back.Open()
	if got := soon(t, "the second call", second); got != "second" {
		t.Errorf("the call that waited gets %q", got)
	}
}

// waiting waits until that many calls wait for an app.
func (m *mesh) waiting(a *appchan.App, calls int) {
	m.t.Helper()
	for end := time.Now().Add(patience); a.Stats().Waiting != calls; tick(m.t) {
		if time.Now().After(end) {
			m.t.Fatalf("%d calls wait, want %d", a.Stats().Waiting, calls)
		}
	}
}
