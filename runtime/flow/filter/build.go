package filter

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// build makes the node of one term; msg says why it cannot.
func (f *Field[T]) build(op, value string) (n node[T], msg, hint string) {
	switch {
	case f.Texts != nil:
		return f.buildText(op, value)
	case f.Span != nil:
		return f.buildSpan(op, value)
	case f.Unit == Status:
		return f.buildStatus(op, value)
	}
	return f.buildNumber(op, value)
}

func (f *Field[T]) buildText(op, value string) (node[T], string, string) {
	some := func(ok func(string) bool) node[T] {
		return func(v *T) bool { return slices.ContainsFunc(f.Texts(v), ok) }
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
			return func(v *T) bool { return !n(v) }, "", ""
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

func (f *Field[T]) buildNumber(op, value string) (node[T], string, string) {
	read := readSize
	if f.Unit == Duration {
		read = readDuration
	}
	n, msg, hint := read(value)
	if msg != "" {
		return nil, msg, hint
	}
	holds, ok := compare(op)
	if !ok {
		return nil, quote(op) + " compares texts only", "use > >= < <= ="
	}
	return func(v *T) bool {
		have, ok := f.Number(v)
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

func (f *Field[T]) buildStatus(op, value string) (node[T], string, string) {
	const hint = "such as status:200, status:5xx, status:400-499 or status>=400"
	if op != ":" && op != "=" && op != "!=" {
		holds, ok := compare(op)
		n, err := strconv.ParseInt(value, 10, 64)
		if !ok || err != nil {
			return nil, "this is no status", hint
		}
		return func(v *T) bool {
			have, ok := f.Number(v)
			return ok && holds(have, n)
		}, "", ""
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
	return func(v *T) bool {
		have, ok := f.Number(v)
		in := slices.ContainsFunc(spans, func(s span) bool { return int64(s.from) <= have && have <= int64(s.to) })
		return ok && in == (op != "!=")
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
