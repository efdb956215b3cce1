package filter

import (
	"strings"
	"time"
)

// clock is a way to write a time of day, with the length of time that it stands
// for.
type clock struct {
	layout string
	long   time.Duration
}

func clocks() []clock {
	return []clock{
		{"15:04", time.Minute},
		{"15:04:05", time.Second},
		{"15:04:05.0", 100 * time.Millisecond},
		{"15:04:05.00", 10 * time.Millisecond},
		{"15:04:05.000", time.Millisecond},
		{"15:04:05.000000", time.Microsecond},
	}
}

// moment is a time of day, as exact as it was written.
type moment struct {
	offset time.Duration // since midnight
	long   time.Duration
}

func readMoment(s string) (m moment, ok bool) {
	for _, c := range clocks() {
		if len(s) != len(c.layout) {
			continue
		}
		if t, err := time.Parse(c.layout, s); err == nil {
			h, m, sec := t.Clock()
			return moment{
				time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second + time.Duration(t.Nanosecond()), c.long,
			}, true
		}
	}
	return m, false
}

// on gives when the moment begins on the day of t.
func (m moment) on(t time.Time) time.Time {
	y, month, d := t.Date()
	return time.Date(y, month, d, 0, 0, 0, int(m.offset), t.Location())
}

// buildSpan makes the term of a field that lasts from one time to another: ":"
// asks whether it was there at a time, or between two; "<" and ">" whether it
// was before or after. A time is one of the day on which the value began.
func (f *Field[T]) buildSpan(op, value string) (node[T], string, string) {
	const hint = "such as at:12:30, at:12:30:15.250, at:12:30-12:45 or at>12:30"
	begin, finish, ranged := strings.Cut(value, "-")
	first, ok := readMoment(begin)
	last := first
	if ok && ranged {
		last, ok = readMoment(finish)
	}
	if !ok {
		return nil, "this is no time of day", hint
	}
	switch {
	case op == ":" || op == "=":
		return func(v *T) bool {
			from, to := f.Span(v)
			start, end := first.on(from), last.on(from)
			if end.Before(start) { // over midnight
				end = end.AddDate(0, 0, 1)
			}
			return !to.Before(start) && from.Before(end.Add(last.long))
		}, "", ""
	case ranged:
		return nil, "from one time to another goes with : only", hint
	case op == ">" || op == ">=":
		return func(v *T) bool { from, to := f.Span(v); return !to.Before(first.on(from)) }, "", ""
	case op == "<" || op == "<=":
		return func(v *T) bool { from, _ := f.Span(v); return from.Before(first.on(from).Add(first.long)) }, "", ""
	}
	return nil, quote(op) + " does not compare times", hint
}
