package cli

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mesh/runtime/flow"
)

// TestCallsOfComponentsAreSummedUp: many calls of a component are one line a
// second; one alone, one that failed and every invocation keep theirs.
func TestCallsOfComponentsAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		flows := flow.NewRecorder()
		defer flows.Watch()()
		h := newHeadless(&out, nil, flows, false)
		call := func(kind, callee, verb string, status int) {
			f := flows.Begin(flow.Head{Caller: "orders", Callee: callee, Verb: verb, Path: "/k", Kind: kind})
			f.Mark(flow.Request, flow.CallerIn, 10)
			f.Replied(status)
			f.End(nil)
		}
		for range 500 {
			call("state", "store", "save", 200)
		}
		call("state", "store", "get", 200)
		call("state", "store", "save", 500)
		call("http", "billing", "POST", 200)
		h.invocations()
		if text := out.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "store save /k 500") || !strings.Contains(text, "billing POST /k 200") {
			t.Errorf("at once it says:\n%s", text)
		}
		<-time.After(2 * time.Second)
		h.invocations()
		h.invocations()
		text := out.String()
		if strings.Count(text, "\n") != 4 || !strings.Contains(text, "orders ▸ store save ×500  ↑ 5000 B") || !strings.Contains(text, "store get /k 200") {
			t.Errorf("later it says:\n%s", text)
		}
	})
}

// TestInvocationsBeyondAScreenAreCounted: of many invocations the latest have a
// line each; calls of components among the others are summed up all the same.
func TestInvocationsBeyondAScreenAreCounted(t *testing.T) {
	var out strings.Builder
	flows := flow.NewRecorder()
	defer flows.Watch()()
	h := newHeadless(&out, nil, flows, false)
	call := func(kind, path string, status int) {
		f := flows.Begin(flow.Head{Caller: "orders", Callee: "billing", Verb: "POST", Path: path, Kind: kind})
		f.Replied(status)
		f.End(nil)
	}
	for range 5 {
		call("state", "/early", 200)
	}
	for range headlessFlows + 30 {
		call("http", "/first", 200)
	}
	for range headlessFlows {
		call("http", "/last", 200)
	}
	h.invocations()
	text := out.String()
	if strings.Count(text, "/last 200") != headlessFlows || strings.Contains(text, "/first") || !strings.Contains(text, "⇄ 50 more invocations") {
		t.Errorf("it says:\n%s", text)
	}
	if sums := h.sums.take(); len(sums) != 1 || !strings.Contains(sums[0], "×5") {
		t.Errorf("the sums are %q", sums)
	}
}
