package control_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mesh/runtime/flow"
	"mesh/supervisor/control"
)

// brief is what a test compares of an event.
func brief(e control.Event) string {
	switch e.Event {
	case control.Chunk:
		return fmt.Sprintf("chunk %v %v #%d %d", *e.Dir, *e.Hop, *e.N, e.Size)
	case control.Head:
		return fmt.Sprintf("head %d %s %s", e.Status, e.Instance, e.Transport)
	case control.End:
		return fmt.Sprintf("end %d in=%d out=%d %s", e.Status, e.Bytes.Request, e.Bytes.Reply, e.Error)
	case control.Begin:
		return fmt.Sprintf("begin %s>%s %s %s", e.Caller, e.Callee, e.Verb, e.Path)
	case control.Lost:
		return fmt.Sprintf("lost %d", *e.N)
	}
	return string(e.Event)
}

// call records a small invocation.
func call(f *flow.Flow, failure error) {
	f.Mark(flow.Request, flow.CallerIn, 3)
	f.Mark(flow.Request, flow.CalleeOut, 3)
	f.Route(&flow.Peer{Instance: "orders-1", Transport: "local"})
	f.Replied(200)
	f.Mark(flow.Reply, flow.CalleeIn, 5)
	f.Mark(flow.Reply, flow.CallerOut, 5)
	f.End(failure)
}

func TestTapTellsAnInvocationInOrder(t *testing.T) {
	r := serve(t)
	defer r.Flows.Watch()()
	call(r.Flows.Begin(flow.Head{Callee: "before"}), nil) // over before the tap is opened
	f := r.Flows.Begin(flow.Head{Caller: "web", Callee: "orders", Verb: "POST", Path: "/buy"})
	var got []string
	for e, err := range r.client.Tap(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if e.Flow != f.ID().String() || e.At.IsZero() {
			t.Errorf("event of another flow or time: %+v", e)
		}
		got = append(got, brief(e))
		switch e.Event {
		case control.Begin:
			call(f, errors.New("the client has gone"))
		case control.End:
			go r.Stop()
		case control.Head, control.Chunk, control.Lost:
		}
	}
	want := []string{
		"begin web>orders POST /buy",
		"chunk request caller.in #0 3",
		"chunk request callee.out #0 3",
		"head 200 orders-1 local",
		"chunk reply callee.in #0 5",
		"chunk reply caller.out #0 5",
		"end 200 in=3 out=5 the client has gone",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTapFilter(t *testing.T) {
	r := serve(t)
	defer r.Flows.Watch()()
	opened := r.Flows.Begin(flow.Head{Callee: "opened"}) // says when the tap stands
	refused := r.Flows.Begin(flow.Head{Caller: "web", Callee: "orders", Path: "/buy"})
	refused.Mark(flow.Request, flow.CallerIn, 3)
	var got []string
	for e, err := range r.client.Tap(t.Context(), "to:opened or to:orders status:503") {
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Callee == "opened" && e.Event == control.Begin:
			call(r.Flows.Begin(flow.Head{Caller: "web", Callee: "orders"}), nil) // with status 200
			refused.Replied(503)                                                 // and now it is chosen
			refused.End(nil)
		case e.Flow == refused.ID().String():
			got = append(got, brief(e))
		default:
			t.Errorf("told of a flow that is not chosen: %+v", e)
		}
		if e.Event == control.End {
			break
		}
	}
	opened.End(nil)
	want := []string{"begin web>orders  /buy", "chunk request caller.in #0 3", "head 503  ", "end 503 in=3 out=0 "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, err := range r.client.Tap(t.Context(), "to:(") {
		bad, ok := errors.AsType[*control.Error](err)
		if !ok || bad.Code != "bad_request" || bad.What != "reading the filter" {
			t.Errorf("a filter that cannot be read gave %v", err)
		}
	}
}

func TestTapRecordsOnlyWhileOpen(t *testing.T) {
	r := serve(t)
	if r.Flows.Begin(flow.Head{}) != nil {
		t.Fatal("recording without a reader")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for _, err := range r.client.Tap(ctx, "") {
			if err != nil {
				return
			}
		}
	}()
	recording := func() bool {
		f := r.Flows.Begin(flow.Head{})
		f.End(nil)
		return f != nil
	}
	soon(t, "an open tap makes the mesh record", recording)
	cancel(nil)
	<-closed
	soon(t, "a closed tap lets it stop", func() bool { return !recording() })
}

func TestTapCountsEveryInvocation(t *testing.T) {
	r := serve(t)
	const callers, calls = 3, 3000 // many more than the recorder remembers
	var all sync.WaitGroup
	opened := make(chan struct{})
	for range callers {
		all.Go(func() {
			<-opened
			for range calls {
				f := r.Flows.Begin(flow.Head{Callee: "orders"})
				f.Mark(flow.Request, flow.CallerIn, 1)
				f.End(nil)
			}
		})
	}
	defer all.Wait()
	defer r.Flows.Watch()()
	first := r.Flows.Begin(flow.Head{Callee: "first"}) // so that the tap says when it stands
	open := map[string]bool{}
	var ends, lost uint64
	within, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for e, err := range r.client.Tap(within, "") {
		if err != nil {
			t.Errorf("after %d ends and %d lost of %d: %v", ends, lost, callers*calls+1, err)
			break
		}
		switch e.Event {
		case control.Begin:
			if open[e.Flow] {
				t.Fatalf("flow %s began twice", e.Flow)
			}
			open[e.Flow] = true
			if e.Callee == "first" {
				close(opened)
				first.End(nil)
			}
		case control.End:
			if !open[e.Flow] {
				t.Fatalf("flow %s ended without a beginning, or twice", e.Flow)
			}
			open[e.Flow] = false
			ends++
		case control.Lost:
			lost += *e.N
		case control.Head, control.Chunk:
		}
		if ends+lost >= callers*calls+1 {
			break
		}
	}
	if ends+lost != callers*calls+1 {
		t.Errorf("%d ends and %d lost, want %d together", ends, lost, callers*calls+1)
	}
}

func TestTapReportsOverwrittenMarks(t *testing.T) {
	r := serve(t)
	defer r.Flows.Watch()()
	f := r.Flows.Begin(flow.Head{Callee: "orders"})
	const chunks = 20000 // more than a lane's ring holds
	for range chunks {
		f.Mark(flow.Reply, flow.CallerOut, 1)
	}
	f.End(nil)
	g := r.Flows.Begin(flow.Head{Callee: "orders"})
	for range chunks {
		g.Mark(flow.Reply, flow.CallerOut, 1)
	}
	var told, lost uint64
	for e, err := range r.client.Tap(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		switch e.Event {
		case control.Chunk:
			told++
		case control.Lost:
			lost += *e.N
		case control.Begin, control.Head, control.End:
		}
		if told+lost >= chunks {
			break
		}
	}
	if told+lost != chunks || lost == 0 {
		t.Errorf("%d told and %d lost of %d chunks", told, lost, chunks)
	}
}
