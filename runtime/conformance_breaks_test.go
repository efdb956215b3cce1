package runtime

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func appError(t *testing.T, m *mesh) {
	m.app("back", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no stock", http.StatusInternalServerError)
	})
	if res, got := m.call("GET", "back", "m", ""); res.StatusCode != http.StatusInternalServerError || got != "no stock\n" {
		t.Errorf("%d %q", res.StatusCode, got)
	}
}

func crashBeforeReply(t *testing.T, m *mesh) {
	m.app("back", func(w http.ResponseWriter, _ *http.Request) { crash(t, w) })
	res, got := m.call("POST", "back", "m", "x")
	if res.StatusCode != http.StatusInternalServerError || !strings.Contains(got, "ERR_DIRECT_INVOKE") {
		t.Errorf("%d %q", res.StatusCode, got)
	}
}

func crashInReply(t *testing.T, m *mesh) {
	for _, length := range []string{"", "1000"} {
		m := newMesh(t, m.transport)
		m.app("back", func(w http.ResponseWriter, _ *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			send(t, w, "half of it")
			crash(t, w)
		})
		res, err := m.client.Do(m.request("GET", "back", "m", nil))
		if err != nil {
			continue // broken off as a whole
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if !m.streams() {
			if res.StatusCode != http.StatusInternalServerError || !strings.Contains(string(b), "ERR_DIRECT_INVOKE") {
				t.Errorf("%d %q", res.StatusCode, b)
			}
			continue
		}
		if err == nil {
			t.Errorf("length %q: %q passed for a whole reply", length, b)
		}
	}
}

func appGone(t *testing.T, m *mesh) {
	o := m.appOptions("back", "back-1", nil)
	o.App.Addr = "127.0.0.1:1"
	m.sidecar(o)
	res, got := m.call("POST", "back", "m", "x")
	if res.StatusCode != http.StatusInternalServerError || !strings.Contains(got, "ERR_DIRECT_INVOKE") || !strings.Contains(got, "127.0.0.1:1") {
		t.Errorf("%d %q", res.StatusCode, got)
	}
}

// promptly fails unless the other side learns of an end within 100 ms, in one of
// a few meshes: a machine that has other things to do may be late once.
func promptly(t *testing.T, m *mesh, once func(m *mesh) time.Duration) {
	t.Helper()
	fastest := time.Hour
	for range 5 {
		if fastest = min(fastest, once(newMesh(t, m.transport))); fastest <= 100*time.Millisecond || t.Failed() {
			return
		}
	}
	t.Errorf("it took %v at best, want 100ms at most", fastest)
}

func clientGoneBeforeReply(t *testing.T, m *mesh) {
	promptly(t, m, func(m *mesh) time.Duration {
		entered, left := make(chan struct{}), make(chan struct{})
		m.app("back", func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
			close(left)
		})
		ctx, cancel := context.WithCancel(t.Context())
		req := m.request("GET", "back", "m", nil).WithContext(ctx)
		since := make(chan time.Time, 1)
		go func() {
			<-entered
			since <- time.Now()
			cancel()
		}()
		_, err := m.client.Do(req)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		soon(t, "the app to be told", left)
		return time.Since(<-since)
	})
}

func clientGoneInReply(t *testing.T, m *mesh) {
	promptly(t, m, func(m *mesh) time.Duration {
		left := make(chan struct{})
		m.app("back", func(w http.ResponseWriter, r *http.Request) {
			defer close(left)
			send(t, w, "first")
			if m.streams() {
				<-r.Context().Done()
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		res := m.do(m.request("GET", "back", "m", nil).WithContext(ctx))
		if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		since := time.Now()
		cancel()
		soon(t, "the app to be told", left)
		return time.Since(since)
	})
}

func clientGoneInRequest(t *testing.T, m *mesh) {
	promptly(t, m, func(m *mesh) time.Duration {
		got, entered := make(chan error, 1), make(chan struct{})
		m.app("back", func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			_, err := io.Copy(io.Discard, r.Body)
			got <- err
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		pr, pw := io.Pipe()
		since := make(chan time.Time, 1)
		go func() {
			_, _ = io.WriteString(pw, "half of it")
			if m.streams() {
				<-entered
			}
			since <- time.Now()
			cancel()
			_ = pw.CloseWithError(context.Canceled) // or the client waits for its own body
		}()
		if _, err := m.client.Do(m.request("POST", "back", "m", pr).WithContext(ctx)); err == nil {
			t.Error("there is a reply to half a request")
		}
		if !m.streams() {
			select {
			case <-entered:
				t.Error("the app was called with half a request")
			default:
			}
			return 0
		}
		if err := soon(t, "the app", got); err == nil {
			t.Error("half a request passed for a whole one")
		}
		return time.Since(<-since)
	})
}

// appGoesInReply has the app break off what the client is reading, or waiting for.
func appGoesInReply(t *testing.T, m *mesh) {
	promptly(t, m, func(m *mesh) time.Duration {
		goes, since := make(chan struct{}), make(chan time.Time, 1)
		m.app("back", func(w http.ResponseWriter, _ *http.Request) {
			send(t, w, "first")
			<-goes
			since <- time.Now()
			crash(t, w)
		})
		if !m.streams() {
			close(goes)
			if res, got := m.call("GET", "back", "m", ""); res.StatusCode != http.StatusInternalServerError {
				t.Errorf("%d %q", res.StatusCode, got)
			}
			return time.Since(<-since)
		}
		res := m.do(m.request("GET", "back", "m", nil))
		if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		close(goes)
		if b, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("the reply ends well, with %q", b)
		}
		return time.Since(<-since)
	})
}
