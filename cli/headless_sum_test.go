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
