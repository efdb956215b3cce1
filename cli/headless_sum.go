package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mesh/runtime/flow"
)

// sums puts calls of components together that would be a line each: an app that
// keeps its state makes them all the time. What failed, and what was alone, is
// told in full.
type sums struct {
	since time.Time // when the first of these came
	lines []*sum    // in the order in which they came
}

// sum is calls of one component by one app that are alike.
type sum struct {
	what   string // who calls what
	alone  string // the only one in full
	n      int
	down   uint64
	up     uint64
	longer time.Duration // the longest
}

// sumTime is how long calls are put together.
const sumTime = time.Second

// ofComponent says whether a flow of that kind goes to or comes from a component.
func ofComponent(kind string) bool {
	switch kind {
	case "state", "publish", "delivery", "binding", "secret", "configuration", "lock":
		return true
	}
	return false
}

// add takes a call; false when it is to be told by itself.
func (s *sums) add(v *flow.View) bool {
	if !ofComponent(v.Kind) || v.Err != "" || v.Status >= 400 {
		return false
	}
	if len(s.lines) == 0 {
		s.since = time.Now()
	}
	what := fmt.Sprintf("%s ▸ %s %s", v.Caller, v.Callee, v.Verb)
	if v.Kind == "publish" || v.Kind == "delivery" {
		what += " " + v.Path
	}
	i := slices.IndexFunc(s.lines, func(l *sum) bool { return l.what == what })
	if i < 0 {
		i = len(s.lines)
		s.lines = append(s.lines, &sum{what: what, alone: invocation(*v)})
	}
	l := s.lines[i]
	l.n++
	up, _ := v.Lane(flow.Request, flow.CallerIn)
	down, _ := v.Lane(flow.Reply, flow.CallerOut)
	l.up, l.down, l.longer = l.up+up.Bytes, l.down+down.Bytes, max(l.longer, v.Age)
	return true
}

// due says whether it is time to tell them.
func (s *sums) due() bool { return len(s.lines) > 0 && time.Since(s.since) >= sumTime }

// take gives the lines and begins anew.
func (s *sums) take() (lines []string) {
	for _, l := range s.lines {
		if l.n == 1 {
			lines = append(lines, l.alone)
			continue
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%s ×%d  ↑ %s  ↓ %s  longest %v", l.what, l.n, size(l.up), size(l.down), l.longer.Round(100*time.Microsecond)), " "))
	}
	s.lines = nil
	return lines
}
