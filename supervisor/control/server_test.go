package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mesh/runtime/flow"
	"mesh/supervisor/control"
	"mesh/supervisor/state"
	"mesh/tui"
)

// The screen can stand on a client.
var (
	_ tui.Mesh  = (*control.Client)(nil)
	_ tui.Flows = (*control.Client)(nil)
)

func TestState(t *testing.T) {
	r := serve(t)
	got, err := r.client.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Mesh.State(), got); diff != "" {
		t.Errorf("the client sees another mesh:\n%s", diff)
	}
	if again := r.client.State(); again != got {
		t.Error("an unchanged state was sent again")
	}
	r.Mesh.Change(func(m *state.Mesh) { m.Name = "market" })
	if m := r.client.State(); m.Name != "market" {
		t.Errorf("State is %q after a change", m.Name)
	}
	r.Stop()
	m := r.client.State()
	if m.Name != "market" || len(m.Notices) != 1 || !strings.Contains(m.Notices[0].Text, "does not answer") {
		t.Errorf("State of a mesh that has gone: %+v", m)
	}
	if n := len(r.client.State().Notices); n != 1 {
		t.Errorf("%d notices after asking twice", n)
	}
}

func TestWatch(t *testing.T) {
	r := serve(t)
	var names []string
	for m, err := range r.client.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, m.Name)
		switch m.Name {
		case "shop":
			r.Mesh.Change(func(m *state.Mesh) { m.Name = "market" })
		case "market":
			go r.Stop()
		}
	}
	if diff := cmp.Diff([]string{"shop", "market"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	r := serve(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	enough := errors.New("seen enough")
	var last error
	for _, err := range r.client.Watch(ctx) {
		cancel(enough)
		last = err
	}
	if !errors.Is(last, enough) {
		t.Errorf("the stream ended with %v, want the context's cause", last)
	}
}

func TestCommand(t *testing.T) {
	r := serve(t)
	finish := make(chan struct{})
	r.Mesh.OnDo(func(ctx context.Context, _ state.Command) error {
		select {
		case <-finish:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	want := state.Command{Op: state.Scale, App: "orders", Count: 3}
	if err := r.client.Post(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.client.Do(t.Context(), want) }()
	soon(t, "both commands arrive", func() bool { return len(r.Mesh.Commands()) == 2 })
	select {
	case err := <-done:
		t.Fatalf("Do returned (%v) before the command was done", err)
	default:
	}
	close(finish)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]state.Command{want, want}, r.Mesh.Commands()); diff != "" {
		t.Error(diff)
	}
}

// advised is an error of the mesh that knows what to do.
type advised struct{}

func (advised) Error() string  { return "exited with 1 before it was ready" }
func (advised) Advice() string { return "see `mesh logs orders`" }

func TestCommandErrors(t *testing.T) {
	r := serve(t)
	r.Mesh.OnDo(func(context.Context, state.Command) error { return fmt.Errorf("restarting: %w", advised{}) })
	for _, c := range []struct {
		cmd  state.Command
		want control.Error
	}{
		{
			state.Command{Op: state.Restart, App: "ordrs"},
			control.Error{Code: "unknown_app", What: `finding "ordrs"`, Why: "the mesh has no such app", Hint: "did you mean orders?"},
		},
		{
			state.Command{Op: state.Restart, App: "billing"},
			control.Error{Code: "unknown_app", What: `finding "billing"`, Why: "the mesh has no such app", Hint: "its apps are inventory, orders"},
		},
		{
			state.Command{Op: state.Restart, App: "orders-2"},
			control.Error{Code: "failed", What: "restarting orders-2", Why: "restarting: exited with 1 before it was ready", Hint: "see `mesh logs orders`"},
		},
		{
			state.Command{Op: "explode"},
			control.Error{Code: "bad_request", What: "reading the command", Why: `there is no operation "explode"; there are restart, stop, start, scale, fault, capture, down, review and apply`, Hint: "docs/control.md describes the requests"},
		},
		{
			state.Command{Op: state.Scale, Count: 2},
			control.Error{Code: "bad_request", What: "reading the command", Why: "scale needs an app and a count from 0 to 1000", Hint: "docs/control.md describes the requests"},
		},
	} {
		err := r.client.Do(t.Context(), c.cmd)
		got, ok := errors.AsType[*control.Error](err)
		if !ok {
			t.Errorf("%+v gave %v", c.cmd, err)
			continue
		}
		if diff := cmp.Diff(c.want, *got); diff != "" {
			t.Errorf("%+v:\n%s", c.cmd, diff)
		}
	}
}

// raw sends a request as curl would and gives the status and the body, which
// is closed when the test ends.
func raw(t *testing.T, r *running, verb, path, body string) (status int, answer io.Reader) {
	t.Helper()
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", r.Server.Path())
	}}}
	req, err := http.NewRequestWithContext(t.Context(), verb, "http://mesh"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp.StatusCode, resp.Body
}

func TestBadRequests(t *testing.T) {
	r := serve(t)
	for _, c := range []struct {
		verb, path, body string
		status           int
		says             string
	}{
		{"GET", "/v2/state", "", 404, "GET /v2/state"},
		{"DELETE", "/v1/state", "", 404, "DELETE /v1/state"},
		{"GET", "/v1/logs?limit=-1", "", 400, "parameter limit"},
		{"GET", "/v1/logs?app=ordesr", "", 404, "did you mean orders?"},
		{"GET", "/v1/flows/zz", "", 404, "not remembered"},
		{"GET", "/v1/flows/00?after=1,2,x", "", 400, "a cursor is 8 numbers"},
		{"GET", "/v1/state?after=x", "", 400, "parameter after"},
		{"POST", "/v1/command", "{", 400, "not the JSON of a command"},
		{"POST", "/v1/command", `{"op":"stop","aap":"orders"}`, 400, "aap"},
	} {
		status, answer := raw(t, r, c.verb, c.path, c.body)
		body, err := io.ReadAll(answer)
		if err != nil {
			t.Fatal(err)
		}
		if status != c.status || !strings.Contains(string(body), c.says) || !json.Valid(body) {
			t.Errorf("%s %s gave %d %s", c.verb, c.path, status, body)
		}
	}
}

func TestLogs(t *testing.T) {
	r := serve(t)
	r.print("orders", "one")
	r.print("inventory", "two")
	r.print("orders", "three \xff\x00 bytes")
	var texts []string
	for _, l := range r.client.Lines("orders", 0, 10) {
		texts = append(texts, l.Text)
	}
	if diff := cmp.Diff([]string{"one", "three \xff\x00 bytes"}, texts); diff != "" {
		t.Error(diff)
	}
	if l := r.client.Lines("", 1, 1); len(l) != 1 || l[0].Seq != 3 {
		t.Errorf("the latest line above 1 is %+v", l)
	}
	if l := r.client.Lines("nobody", 0, 1); l != nil {
		t.Errorf("lines of nobody: %+v", l)
	}
	r.Logs.Print(state.Line{Stream: "mesh", Text: "about no app"})
	var seen []string
	for l, err := range r.client.Logs(t.Context(), control.LogQuery{Apps: []string{"orders"}, Limit: 1, Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, l.Text)
		switch len(seen) {
		case 1:
			r.print("inventory", "not asked for")
			r.Logs.Print(state.Line{Stream: "mark", Text: "a mark"})
		case 2:
			r.print("orders", "four")
		case 3:
			go r.Stop()
		}
	}
	if diff := cmp.Diff([]string{"three \xff\x00 bytes", "a mark", "four"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestSlowReaderOfLogsIsToldWhatItMissed(t *testing.T) {
	r := serve(t)
	_, answer := raw(t, r, "GET", "/v1/logs?follow", "")
	type line struct{ Seq, Lost uint64 }
	d := json.NewDecoder(bufio.NewReader(answer))
	var l line
	r.print("orders", "the stream stands")
	if err := d.Decode(&l); err != nil || l.Seq != 1 {
		t.Fatalf("the first line is %+v, %v", l, err)
	}
	const printed = 4000
	text := strings.Repeat("x", 4096)
	for range printed { // far more than the socket's buffers hold; nobody waits for the reader
		r.print("orders", text)
	}
	var got, lost uint64
	for got+lost < printed {
		l = line{}
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lost += l.Lost
		if l.Seq > 0 {
			got++
		}
	}
	if got+lost != printed || lost == 0 {
		t.Errorf("%d lines read and %d lost, want %d in all and some lost", got, lost, printed)
	}
}

func TestFlows(t *testing.T) {
	r := serve(t)
	if v := r.client.Views(10); len(v) != 0 {
		t.Errorf("flows before any: %v", v)
	}
	// Having been asked, the mesh records.
	f := r.Flows.Begin(flow.Head{Caller: "web", Callee: "orders", Verb: "POST", Path: "/buy"})
	if f == nil {
		t.Fatal("nothing is recorded while a client asks for flows")
	}
	f.Route(&flow.Peer{Instance: "orders-1", Transport: "local"})
	f.Mark(flow.Request, flow.CallerIn, 10)
	f.Mark(flow.Request, flow.CallerIn, 20)
	f.End(nil)
	views := r.client.Views(10)
	if len(views) != 1 || views[0].Callee != "orders" || views[0].Instance != "orders-1" || views[0].Live {
		t.Fatalf("flows: %+v", views)
	}
	d, ok := r.client.Detail(views[0].ID, flow.Cursor{1})
	if !ok || len(d.Marks) != 1 || len(d.Marks[0].Marks) != 1 || d.Marks[0].Marks[0].Size != 20 || d.Next[0] != 2 {
		t.Errorf("detail after the first chunk: %v %+v", ok, d)
	}
	if _, ok := r.client.Detail("0123456789abcdef", flow.Cursor{}); ok {
		t.Error("a flow that never was is remembered")
	}
}

func TestCapturedBodies(t *testing.T) {
	r := serve(t)
	r.client.Stats() // having been asked, the mesh records
	r.Flows.Capture(100)
	f := r.Flows.Begin(flow.Head{Callee: "orders"})
	id := f.ID().String()
	f.Headers(flow.Request, map[string][]string{"Cookie": {"a"}}, "x=1")
	f.Pass(flow.Request, flow.CallerIn, []byte("\x00\xffbytes"))
	b, ok := r.client.Body(id, flow.Request, 2, 5)
	if !ok || !b.On || b.End != 7 || b.Query != "x=1" || b.Header.Get("Cookie") != flow.Redacted || len(b.Parts) != 1 || b.Parts[0].Off != 2 || string(b.Parts[0].Data) != "byt" {
		t.Errorf("captured %v %+v", ok, b)
	}
	if b, _ := r.client.Body(id, flow.Request, 0, 1<<63+1); len(b.Parts) != 1 || string(b.Parts[0].Data) != "\x00\xffbytes" {
		t.Errorf("in all %+v", b)
	}
	if _, ok := r.client.Body("0123456789abcdef", flow.Reply, 0, 1); ok {
		t.Error("a flow that never was is remembered")
	}
	if s := r.client.Stats(); s.Begun != 1 || s.Limit != 100 || s.Captured == 0 {
		t.Errorf("stats %+v", s)
	}
	for _, c := range []state.Command{
		{Op: state.SetFault}, {Op: state.SetFault, Fault: &state.Fault{Name: "x"}}, {Op: state.SetCapture, Bytes: flow.MaxCapture + 1},
	} {
		if err := r.client.Do(t.Context(), c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

func TestGone(t *testing.T) {
	r := serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.client.Gone(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Gone gave %v while the mesh runs", err)
	}
	go r.Stop()
	if err := r.client.Gone(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := r.client.Fetch(t.Context()); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("Fetch from a mesh that has gone: %v", err)
	}
	if err := r.client.Do(t.Context(), state.Command{Op: state.Down}); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("Do with a mesh that has gone: %v", err)
	}
}

func TestVersion(t *testing.T) {
	r := serve(t)
	v, err := r.client.Version(t.Context())
	if err != nil || v.API != control.APIVersion || v.PID == 0 || v.Go == "" {
		t.Errorf("version: %+v, %v", v, err)
	}
}
