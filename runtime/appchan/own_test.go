package appchan

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"mesh/runtime/stream"
)

// TestOwnQuestionsAreNoCalls: what the sidecar asks its app is not shown as a
// call, and is still waited for.
func TestOwnQuestionsAreNoCalls(t *testing.T) {
	arrived, answers := make(chan string), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.URL.Path
		<-answers
		fmt.Fprint(w, "[]")
	}))
	t.Cleanup(srv.Close)
	a := ready(t, Options{Addr: srv.Listener.Addr().String()})
	done := make(chan error)
	send := func(c *stream.Call) {
		r, err := a.Handle(t.Context(), c)
		if err == nil {
			err = r.Body.Close()
		}
		done <- err
	}
	go send(&stream.Call{Verb: http.MethodGet, Path: "dapr/subscribe", Own: true})
	<-arrived
	if s := a.Stats(); s.Calls != 0 {
		t.Errorf("a question of the sidecar counts as %d calls", s.Calls)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if a.Drain(ended) == nil {
		t.Error("nobody waits for the question")
	}
	go send(&stream.Call{Verb: http.MethodGet, Path: "orders"})
	<-arrived
	if s := a.Stats(); s.Calls != 1 {
		t.Errorf("a call and a question count as %d calls", s.Calls)
	}
	close(answers)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if s := a.Stats(); s.Calls != 0 {
		t.Errorf("in the end there are %d calls", s.Calls)
	}
}
