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

func TestSizesAreForPeople(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 9999: "9999 B", 61_234: "61.2 kB", 3_145_728: "3.1 MB", 4_200_000_000: "4.2 GB",
	} {
		if got := size(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
	for n, want := range map[uint64]string{512 << 10: "512.0 KiB", 3 << 20: "3.0 MiB", 5 << 29: "2.5 GiB"} {
		if got := memorySize(n); got != want {
			t.Errorf("%d bytes of memory are %q, want %q", n, got, want)
		}
	}
}
