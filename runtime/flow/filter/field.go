package filter

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mesh/runtime/flow"
)

// field is something that a filter can ask about.
type field struct {
	about   string // for help and completion
	example string // what may follow the name
	text    func(v *flow.View) []string
	number  func(v *flow.View) (n int64, ok bool)
	read    func(s string) (n int64, msg, hint string)
	build   func(f field, op, value string) (n node, msg, hint string)
}

func fields() map[string]field {
	texts := func(about, example string, get func(v *flow.View) []string) field {
		return field{about: about, example: example, text: get, build: buildText}
	}
	numbers := func(about, example string, read func(string) (int64, string, string), get func(v *flow.View) (int64, bool)) field {
		return field{about: about, example: example, number: get, read: read, build: buildNumber}
	}
	return map[string]field{
		"to":        texts("the app that is called", ":orders", func(v *flow.View) []string { return []string{v.Callee, v.Instance} }),
		"from":      texts("the app that calls; client: from outside", ":web", func(v *flow.View) []string { return []string{caller(v)} }),
		"app":       texts("either side", ":web", func(v *flow.View) []string { return []string{caller(v), v.Callee, v.Instance} }),
		"verb":      texts("the HTTP method", ":POST", func(v *flow.View) []string { return []string{v.Verb} }),
		"path":      texts("the method's path", "~/chat", func(v *flow.View) []string { return []string{v.Path} }),
		"kind":      texts("http, grpc, publish …", ":http", func(v *flow.View) []string { return []string{v.Kind} }),
		"transport": texts("local, grpc, unary or http", ":grpc", func(v *flow.View) []string { return []string{v.Transport} }),
		"error":     texts("the words of the error", "~reset", func(v *flow.View) []string { return []string{v.Err} }),
		"id":        texts("the flow's name, or its beginning", ":8f3c*", func(v *flow.View) []string { return []string{v.ID} }),
		"status":    {about: "the HTTP status", example: ":5xx", build: buildStatus},
		"ttfb": numbers("time to the first byte of the reply", ">200ms", readDuration, func(v *flow.View) (int64, bool) {
			d, ok := TTFB(v)
			return int64(d), ok || v.Live // what has not come yet takes at least as long as it took so far
		}),
		"age":    numbers("how long it takes or took", ">5s", readDuration, func(v *flow.View) (int64, bool) { return int64(v.Age), true }),
		"gap":    numbers("the longest silence", ">1s", readDuration, func(v *flow.View) (int64, bool) { return int64(Gap(v)), true }),
		"held":   numbers("how long it waited for its app", ">1s", readDuration, func(v *flow.View) (int64, bool) { return int64(v.Held), true }),
		"bytes":  numbers("bytes in both directions", ">1MiB", readSize, func(v *flow.View) (int64, bool) { return both(v, Bytes) }),
		"chunks": numbers("chunks in both directions", ">100", readSize, func(v *flow.View) (int64, bool) { return both(v, Chunks) }),
	}
}

func flags() map[string]node {
	in := func(states ...State) node {
		return func(v *flow.View) bool { return slices.Contains(states, Diagnose(v).State) }
	}
	return map[string]node{
		"live":    func(v *flow.View) bool { return v.Live },
		"done":    func(v *flow.View) bool { return !v.Live },
		"stalled": in(Stalled),
		"idle":    in(Idle),
		"waiting": in(Waiting),
		"holding": in(Holding),
		"error":   func(v *flow.View) bool { return v.Err != "" || v.Status >= 500 },
		"ok":      func(v *flow.View) bool { return !v.Live && v.Err == "" && v.Status < 400 },
	}
}

func both(v *flow.View, count func(*flow.View, flow.Dir) uint64) (int64, bool) {
	return int64(count(v, flow.Request) + count(v, flow.Reply)), true
}

// names gives every field and flag in alphabetical order.
func names() []string {
	all := slices.Collect(maps.Keys(fields()))
	return slices.Compact(slices.Sorted(slices.Values(slices.AppendSeq(all, maps.Keys(flags())))))
}

func buildText(f field, op, value string) (node, string, string) {
	some := func(ok func(string) bool) node {
		return func(v *flow.View) bool { return slices.ContainsFunc(f.text(v), ok) }
	}
	switch op {
	case "~":
		re, err := regexp.Compile("(?i)" + value)
		if err != nil {
			return nil, "this is no regular expression", strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		}
		return some(re.MatchString), "", ""
	case ":", "=", "!=":
		choice := strings.Split(strings.ToLower(value), ",")
		for _, c := range choice {
			if _, err := path.Match(c, ""); err != nil {
				return nil, "this is no pattern", `"*" stands for any characters, "[" must be closed`
			}
		}
		n := some(func(s string) bool {
			return slices.ContainsFunc(choice, func(c string) bool { return glob(c, strings.ToLower(s)) })
		})
		if op == "!=" {
			return func(v *flow.View) bool { return !n(v) }, "", ""
		}
		return n, "", ""
	}
	return nil, quote(op) + " compares numbers only", `use ":" for the whole name, "~" for a part of it`
}

// glob matches "*" with any characters, slashes too.
func glob(pattern, s string) bool {
	if !strings.ContainsAny(pattern, "*?[") {
		return pattern == s
	}
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(s, "/", "\x00"))
	return ok && err == nil
}

func buildNumber(f field, op, value string) (node, string, string) {
	n, msg, hint := f.read(value)
	if msg != "" {
		return nil, msg, hint
	}
	holds, ok := compare(op)
	if !ok {
		return nil, quote(op) + " compares texts only", "use > >= < <= ="
	}
	return func(v *flow.View) bool {
		have, ok := f.number(v)
		return ok && holds(have, n)
	}, "", ""
}

func compare(op string) (func(a, b int64) bool, bool) {
	switch op {
	case ">":
		return func(a, b int64) bool { return a > b }, true
	case ">=":
		return func(a, b int64) bool { return a >= b }, true
	case "<":
		return func(a, b int64) bool { return a < b }, true
	case "<=":
		return func(a, b int64) bool { return a <= b }, true
	case ":", "=":
		return func(a, b int64) bool { return a == b }, true
	case "!=":
		return func(a, b int64) bool { return a != b }, true
	}
	return nil, false
}

func buildStatus(_ field, op, value string) (node, string, string) {
	const hint = "such as status:200, status:5xx, status:400-499 or status>=400"
	if op != ":" && op != "=" && op != "!=" {
		holds, ok := compare(op)
		n, err := strconv.ParseInt(value, 10, 64)
		if !ok || err != nil {
			return nil, "this is no status", hint
		}
		return func(v *flow.View) bool { return v.Status != 0 && holds(int64(v.Status), n) }, "", ""
	}
	type span struct{ from, to int }
	var spans []span
	for part := range strings.SplitSeq(strings.ToLower(value), ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.Atoi(strings.ReplaceAll(low, "x", "0"))
		to, err2 := strconv.Atoi(strings.ReplaceAll(high, "x", "9"))
		if cmp.Or(err1, err2) != nil || len(low) != 3 || len(high) != 3 {
			return nil, "this is no status", hint
		}
		spans = append(spans, span{from, to})
	}
	return func(v *flow.View) bool {
		in := slices.ContainsFunc(spans, func(s span) bool { return s.from <= v.Status && v.Status <= s.to })
		return v.Status != 0 && in == (op != "!=")
	}, "", ""
}

func readDuration(s string) (int64, string, string) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		hint := "such as 250ms, 1.5s or 2m"
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			return 0, "a time needs a unit", "such as " + s + "ms or " + s + "s"
		}
		return 0, "this is no time", hint
	}
	return int64(d), "", ""
}

func readSize(s string) (int64, string, string) {
	digits := strings.TrimRightFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.ParseFloat(digits, 64)
	unit := map[string]float64{"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
	factor, known := unit[strings.ToLower(s[len(digits):])]
	if err != nil || !known || n < 0 || n*factor > 1e18 {
		return 0, "this is no number", "such as 100, 64k or 1MiB"
	}
	return int64(n * factor), "", ""
}

func quote(s string) string { return fmt.Sprintf("%q", s) }
