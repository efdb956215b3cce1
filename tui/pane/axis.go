package pane

import (
	"math"
	"time"

	"mesh/runtime/flow/filter"
	"mesh/tui/grid"
)

// liveSpan is how much time a live stream shows at first.
const liveSpan = 10 * time.Second

// The closest look is one microsecond in a cell.
const closest = time.Microsecond

// axis maps time, counted from the beginning of the flow, to columns. Columns
// lie at whole multiples of their width in time, so that nothing flickers
// when the axis moves on. The zero value shows the whole of an ended flow and
// follows a live one.
type axis struct {
	mode axisMode
	span time.Duration // shown at once, when the mode is not fit
	left time.Duration // the left edge, when the mode is free

	per   time.Duration // time in one column, as it was laid out last
	first int64         // number of the leftmost column
	cols  int
}

type axisMode uint8

const (
	axisAuto   axisMode = iota // follow while live, then fit
	axisFit                    // from the beginning to now
	axisFollow                 // the last span up to now
	axisFree                   // wherever left is
)

func (x *axis) following(live bool) bool {
	return x.mode == axisFollow || x.mode == axisFit || (x.mode == axisAuto && live)
}

// lay fits the axis to a number of columns at a time.
func (x *axis) lay(cols int, now time.Duration, live bool) {
	x.cols = max(1, cols)
	switch {
	case x.mode == axisFit, x.mode == axisAuto && !live:
		x.per = max(closest, (now+now/50)/time.Duration(x.cols)+1)
		x.first = 0
	case x.mode == axisFree:
		x.per = max(closest, x.span/time.Duration(x.cols))
		x.first = int64(x.left / x.per)
	default:
		if x.span == 0 {
			x.span = liveSpan
		}
		x.per = max(closest, x.span/time.Duration(x.cols))
		x.first = max(0, int64(now/x.per)-int64(x.cols)+1)
	}
}

// col gives the column of a time; it may lie outside.
func (x *axis) col(at time.Duration) int {
	c := int64(at/x.per) - x.first
	return int(min(max(c, -1), int64(x.cols)))
}

// time gives the middle of a column.
func (x *axis) time(col int) time.Duration {
	return time.Duration(x.first+int64(col))*x.per + x.per/2
}

// edges gives the time that is shown.
func (x *axis) edges() (from, to time.Duration) {
	return time.Duration(x.first) * x.per, time.Duration(x.first+int64(x.cols)) * x.per
}

func (x *axis) shown() time.Duration { return x.per * time.Duration(max(1, x.cols)) }

func (x *axis) fit() { x.mode = axisFit }

func (x *axis) now() {
	x.mode = axisAuto
	x.span = 0
}

// zoom shows factor times less time around a time; -1 is the right edge of an
// axis that follows, otherwise the middle.
func (x *axis) zoom(factor float64, at, now time.Duration, live bool) {
	if x.per == 0 {
		return
	}
	from, to := x.edges()
	span := time.Duration(float64(x.shown()) / factor)
	span = min(max(span, closest*time.Duration(x.cols)), max(2*now, time.Second))
	if x.following(live) && live && at < 0 {
		x.mode, x.span = axisFollow, span
		return
	}
	if at < 0 || at < from || at > to {
		at = from + (min(to, now)-from)/2
	}
	part := float64(at-from) / float64(max(1, to-from))
	x.free(at-time.Duration(part*float64(span)), span)
}

// pan moves by a part of what is shown; moving beyond now follows again.
func (x *axis) pan(part float64, now time.Duration, live bool) {
	if x.per == 0 {
		return
	}
	from, to := x.edges()
	if part > 0 && to >= now {
		if live && x.mode == axisFree {
			x.mode, x.span = axisFollow, x.shown()
		}
		return
	}
	x.free(from+time.Duration(part*float64(x.shown())), x.shown())
}

// to brings a time to the left edge.
func (x *axis) to(at, _ time.Duration, _ bool) {
	if x.per > 0 {
		x.free(at, x.shown())
	}
}

// reveal brings a time into sight.
func (x *axis) reveal(at, _ time.Duration, live bool) {
	if x.per == 0 {
		return
	}
	from, to := x.edges()
	if at < from || at >= to {
		x.free(at-x.shown()/2, x.shown())
		return
	}
	if live && x.following(live) { // stand still, or it runs away
		x.free(from, x.shown())
	}
}

func (x *axis) free(left, span time.Duration) {
	x.mode, x.left, x.span = axisFree, max(0, left), span
}

// drawRuler draws the times above the lanes: as many as fit, at round values.
func (x *axis) drawRuler(a grid.Area, st grid.Style) {
	w, _ := a.Size()
	step := round(x.per * 12) // at least so many columns from one to the next
	from, to := x.edges()
	for at := ceil(from, step); at < to; at += step {
		c := x.col(at)
		if label := stamp(at, step); c >= 0 && c+1+grid.Width(label) <= w {
			a.Rune(c, 0, '╷', st)
			a.Text(c+1, 0, label, st)
		}
	}
}

// round gives the next time of 1, 2 or 5 times a power of ten, or a round
// number of minutes.
func round(d time.Duration) time.Duration {
	for _, s := range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour} {
		if d > 30*time.Second && d <= s {
			return s
		}
	}
	if d > time.Hour {
		return ceil(d, time.Hour)
	}
	if d > 20*time.Second {
		return 30 * time.Second
	}
	ten := math.Pow(10, math.Floor(math.Log10(float64(max(1, d)))))
	for _, n := range []float64{1, 2, 5} {
		if n*ten >= float64(d) {
			return time.Duration(n * ten)
		}
	}
	return time.Duration(10 * ten)
}

// ceil gives the next multiple of step.
func ceil(d, step time.Duration) time.Duration { return (d + step - 1).Truncate(step) }

// stamp writes a time on the ruler, as exactly as the step asks for.
func stamp(at, step time.Duration) string {
	switch {
	case at == 0:
		return "0"
	case step < time.Millisecond:
		return trimmed(at, time.Millisecond, 3) + "ms"
	case step < time.Second && at < 10*time.Second:
		if at < time.Second {
			return trimmed(at, time.Millisecond, 0) + "ms"
		}
		return trimmed(at, time.Second, 3) + "s"
	case at < time.Minute:
		return trimmed(at, time.Second, 3) + "s"
	default:
		return filter.Seconds(at.Truncate(time.Second))
	}
}
