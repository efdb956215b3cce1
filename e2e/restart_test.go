package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mesh/supervisor/state"
)

// long says that the tests of endurance may take minutes: E2E_LONG is set.
func long() bool { return os.Getenv("E2E_LONG") != "" }

// TestManyRestartsOnOnePort restarts an app again and again: its port must be
// free each time, so that not one start fails.
func TestManyRestartsOnOnePort(t *testing.T) {
	t.Parallel()
	restarts := 200
	if long() {
		restarts = 1000
	}
	p := newProject(t, `
[apps.web]
command = "APP server SELF"
port = "auto"
`)
	r := p.up()
	r.ready("web")
	first := r.instance("web")
	began := time.Now()
	for i := range restarts {
		if err := r.client.Do(t.Context(), state.Command{Op: state.Restart, App: "web"}); err != nil {
			t.Fatalf("restart %d: %v", i, err)
		}
		if i%100 == 0 { // with a connection that it has to close
			if code, body, err := r.get("web", "v1.0/invoke/web/method/who"); code != http.StatusOK || err != nil {
				t.Fatalf("after restart %d: %d %s %v", i, code, body, err)
			}
		}
	}
	t.Logf("%d restarts, %v each", restarts, time.Since(began)/time.Duration(restarts))
	last := r.instance("web")
	if last.AppPort != first.AppPort || last.Starts != first.Starts+restarts || last.Restarts != 0 {
		t.Errorf("%d restarts turned %+v into %+v", restarts, first, last)
	}
	if out := r.out.String(); strings.Contains(out, "address already in use") {
		t.Error("the port was not free")
	}
}

// TestRestartsUnderLoadLoseNoCall restarts an app ten times while calls come at
// a steady rate, whether they are answered or not. None fails.
func TestRestartsUnderLoadLoseNoCall(t *testing.T) {
	rate := 2000 // per second
	if raceEnabled {
		rate = 200
	}
	p := newProject(t, `
[apps.client]
command = "APP wait SELF"
[apps.web]
command = "APP server SELF"
port = "auto"
`)
	r := p.up()
	r.ready("client", "web")
	url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/web/method/who", r.instance("client").HTTPPort)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	defer client.CloseIdleConnections()
	var calls, failed, slowest atomic.Int64
	call := func() {
		began := time.Now()
		calls.Add(1)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			if failed.Add(1) < 5 {
				t.Errorf("a call fails: %v", err)
			}
			return
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || err != nil {
			if failed.Add(1) < 5 {
				t.Errorf("a call gives %d %s %v", resp.StatusCode, body, err)
			}
		}
		for took := int64(time.Since(began)); ; {
			was := slowest.Load()
			if took <= was || slowest.CompareAndSwap(was, took) {
				return
			}
		}
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		const burst = 5 * time.Millisecond
		tick := time.NewTicker(burst)
		defer tick.Stop()
		for began, sent := time.Now(), 0; ; {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for ; sent < int(time.Since(began).Seconds()*float64(rate)); sent++ {
				load.Go(call)
			}
		}
	})
	began := time.Now()
	for i := range 10 {
		if err := r.client.Do(t.Context(), state.Command{Op: state.Restart, App: "web"}); err != nil {
			t.Errorf("restart %d: %v", i, err)
		}
		before := calls.Load() // some calls between two restarts
		r.await("more calls", func() bool { return calls.Load() > before+int64(rate/20) })
	}
	took := time.Since(began)
	close(stop)
	load.Wait()
	t.Logf("%d calls in %v, the slowest took %v, %d failed", calls.Load(), took, time.Duration(slowest.Load()), failed.Load())
	if n := calls.Load(); float64(n) < took.Seconds()*float64(rate)/2 {
		t.Errorf("only %d calls were made in %v", n, took)
	}
}

// TestMissingCommandIsGivenUp: trying for ever would help nobody, and whoever
// calls the app learns at once that it is not there.
func TestMissingCommandIsGivenUp(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.caller]
command = "APP wait SELF"
[apps.absent]
command = ["there-is-no-such-command"]
port = "auto"
`)
	r := p.up()
	r.ready("caller")
	r.await("absent to be given up", func() bool { return r.instance("absent").Phase == state.Failed })
	if tries := r.instance("absent").Restarts + 1; tries > 3 {
		t.Errorf("it was tried %d times, want 3 at most", tries)
	}
	began := time.Now()
	code, body, err := r.get("caller", "v1.0/invoke/absent/method/x")
	if took := time.Since(began); err != nil || code == http.StatusOK || took > time.Second {
		t.Errorf("a call gives %d %q %v after %v, want an error at once", code, body, err, took)
	}
}
