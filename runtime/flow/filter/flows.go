package filter

import (
	"slices"
	"time"

	"mesh/runtime/flow"
)

// Parse reads a filter of flows; blank text matches everything. The error is an
// *Error.
func Parse(text string) (*Filter, error) { return Flows().Parse(text) }

// Flows gives the language in which flows are chosen.
func Flows() *Language[flow.View] {
	return &Language[flow.View]{
		Fields: fields(), Flags: flags(),
		Text: func(v *flow.View) []string {
			return []string{v.Path, v.Callee, caller(v), v.Verb, v.Instance, v.Err}
		},
		Begins: func(v *flow.View) string { return v.ID },
	}
}

func fields() map[string]Field[flow.View] {
	type view = flow.View
	texts := func(about, example string, get func(v *view) []string) Field[view] {
		return Field[view]{About: about, Example: example, Texts: get}
	}
	numbers := func(about, example string, unit Unit, get func(v *view) (int64, bool)) Field[view] {
		return Field[view]{About: about, Example: example, Unit: unit, Number: get}
	}
	return map[string]Field[view]{
		"to":        texts("the app that is called", ":orders", func(v *view) []string { return []string{v.Callee, v.Instance} }),
		"from":      texts("the app that calls; client: from outside", ":web", func(v *view) []string { return []string{caller(v)} }),
		"app":       texts("either side", ":web", func(v *view) []string { return []string{caller(v), v.Callee, v.Instance} }),
		"verb":      texts("the HTTP method", ":POST", func(v *view) []string { return []string{v.Verb} }),
		"path":      texts("the method's path", "~/chat", func(v *view) []string { return []string{v.Path} }),
		"kind":      texts("http, grpc, publish …", ":http", func(v *view) []string { return []string{v.Kind} }),
		"transport": texts("local, grpc, unary or http", ":grpc", func(v *view) []string { return []string{v.Transport} }),
		"error":     texts("the words of the error", "~reset", func(v *view) []string { return []string{v.Err} }),
		"id":        texts("the flow's name, or its beginning", ":8f3c*", func(v *view) []string { return []string{v.ID} }),
		"status":    numbers("the HTTP status", ":5xx", Status, func(v *view) (int64, bool) { return int64(v.Status), v.Status != 0 }),
		"ttfb": numbers("time to the first byte of the reply", ">200ms", Duration, func(v *view) (int64, bool) {
			d, ok := TTFB(v)
			return int64(d), ok || v.Live // what has not come yet takes at least as long as it took so far
		}),
		"age":    numbers("how long it takes or took", ">5s", Duration, func(v *view) (int64, bool) { return int64(v.Age), true }),
		"gap":    numbers("the longest silence", ">1s", Duration, func(v *view) (int64, bool) { return int64(Gap(v)), true }),
		"held":   numbers("how long it waited for its app", ">1s", Duration, func(v *view) (int64, bool) { return int64(v.Held), true }),
		"bytes":  numbers("bytes in both directions", ">1MiB", Size, func(v *view) (int64, bool) { return both(v, Bytes) }),
		"chunks": numbers("chunks in both directions", ">100", Size, func(v *view) (int64, bool) { return both(v, Chunks) }),
		"at": {About: "under way at a time of day", Example: ":15:04:05", Span: func(v *view) (from, to time.Time) {
			return v.Begun, v.Begun.Add(v.Age)
		}},
	}
}

func flags() map[string]func(*flow.View) bool {
	in := func(states ...State) func(*flow.View) bool {
		return func(v *flow.View) bool { return slices.Contains(states, Diagnose(v).State) }
	}
	return map[string]func(*flow.View) bool{
		"live":    func(v *flow.View) bool { return v.Live },
		"done":    func(v *flow.View) bool { return !v.Live },
		"stalled": in(Stalled),
		"idle":    in(Idle),
		"waiting": in(Waiting),
		"holding": in(Holding),
		"error":   func(v *flow.View) bool { return v.Broken() || v.Status >= 500 },
		"ok":      func(v *flow.View) bool { return !v.Live && v.Err == "" && v.Status < 400 },
	}
}

func both(v *flow.View, count func(*flow.View, flow.Dir) uint64) (int64, bool) {
	return int64(count(v, flow.Request) + count(v, flow.Reply)), true
}
