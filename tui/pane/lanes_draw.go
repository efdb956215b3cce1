package pane

import (
	"math"
	"strconv"
	"strings"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
	"mesh/tui/grid"
	"mesh/tui/trace"
)

// laneStats is the width of the counters at the right of a lane.
const laneStats = 41

// gapStats is the width of the gaps, which a wide terminal adds to them.
const gapStats = 14

// wide is the width from which on the gaps are shown.
const wide = 150

// Draw draws the pane.
func (l *Lanes) Draw(area grid.Area) {
	w, h := area.Size()
	t := l.w.Theme
	l.laneTop = l.laneTop[:0]
	lanes := l.lanes()
	if l.trace == nil || !l.trace.Seen {
		msg := "choose a stream in the list of streams (2) and press enter"
		if l.gone {
			msg = "this stream is no longer remembered: choose another one (2)"
		}
		area.Text(2, 1, msg, t.Dim)
		return
	}
	l.drawTitle(area.Rows(0, 1))
	if h < 3 {
		return
	}
	below := inspectorHeight(w, h, len(lanes))
	if l.bytes.open {
		below = max(below, h-2-max(1, len(lanes))*(1+h/40))
	}
	label := min(26, max(12, w/6))
	stats := 0
	if w >= 104 {
		stats = laneStats
	}
	if w >= wide {
		stats += gapStats
	}
	plot := max(1, w-label-2-stats)
	l.plotX = label + 2
	l.axis.lay(plot, l.now, l.view.Live)
	l.axis.drawRuler(area.Sub(l.plotX, 1, plot, 1), t.Dim)
	if stats > 0 {
		head := area.Sub(w-stats, 1, stats, 1)
		head.Right(8, 0, "chunks", t.Dim)
		head.Right(15, 0, "bytes", t.Dim)
		head.Right(28, 0, "hold p50/p99", t.Dim)
		head.Right(35, 0, "merged", t.Dim)
		head.Right(41, 0, "split", t.Dim)
		head.Right(laneStats+gapStats, 0, "gap p50/p99", t.Dim)
	}
	if len(lanes) == 0 {
		area.Text(2, 2, "no bytes yet", t.Dim)
	} else {
		l.drawLanes(area.Rows(2, h-2-below), lanes, label, stats)
	}
	if l.bytes.open {
		l.drawBytes(area.Rows(h-below, -1), lanes)
		return
	}
	l.drawBelow(area.Rows(h-below, -1), lanes)
}

// inspectorHeight gives the lines below the lanes; in a narrow terminal what
// is said there needs more of them.
func inspectorHeight(w, h, lanes int) int {
	switch free := h - 2 - lanes; {
	case free >= 10 && w < 120:
		return 8
	case free >= 6:
		return 6
	case free >= 4:
		return 4
	default:
		return min(2, max(0, h-4))
	}
}

func (l *Lanes) drawTitle(a grid.Area) {
	w, _ := a.Size()
	t, v := l.w.Theme, &l.view
	took, st := "live, "+filter.Seconds(v.Age), t.Good
	if !v.Live {
		took, st = "ended after "+filter.Seconds(v.Age), t.Dim
	}
	right := w - 1 - grid.Width(took)
	a.Text(right, 0, took, st)
	a = a.Sub(0, 0, right-1, 1)
	x := a.Text(1, 0, l.trace.ID[:min(4, len(l.trace.ID))], t.Dim)
	x = a.Text(x+2, 0, filter.Caller(v), t.Name(v.Caller).Bold())
	x = a.Text(x, 0, " ▸ ", t.Dim)
	x = a.Text(x, 0, filter.Callee(v), t.Name(v.Callee).Bold())
	x = a.Text(x+2, 0, v.Verb+" "+v.Path, t.Title)
	about := kind(v)
	if v.Transport != "" && v.Transport != about {
		about += " " + v.Transport
	}
	x = a.Text(x+2, 0, about, t.Dim)
	if v.Kept {
		x = a.Text(x+2, 0, "captured", t.Info)
	}
	for i := range l.w.Mesh.Faults {
		if f := &l.w.Mesh.Faults[i]; f.On && (f.Target == v.Callee || f.Target == "") {
			x = a.Text(x+2, 0, "fault "+f.String(), t.Warn)
		}
	}
}

// name says which way bytes go at a hop: from the app to its sidecar, from
// there to the wire, and so on.
func (l *Lanes) name(lane *trace.Lane) (from, to string) {
	caller, callee := filter.Caller(&l.view), filter.Callee(&l.view)
	far := "wire"
	if l.view.Transport == "local" {
		far = "sidecar"
	}
	const sidecar = "sidecar"
	if lane.Dir == flow.Request {
		return [...]string{caller, sidecar, far, sidecar}[lane.Hop&3], [...]string{sidecar, far, sidecar, callee}[lane.Hop&3]
	}
	return [...]string{far, sidecar, callee, sidecar}[lane.Hop&3], [...]string{sidecar, caller, sidecar, far}[lane.Hop&3]
}

func (l *Lanes) drawLanes(area grid.Area, lanes []*trace.Lane, label, stats int) {
	_, h := area.Size()
	most := l.fill(lanes)
	_, sel := l.selected()
	queues := l.queues(lanes, h)
	rows := min(5, max(1, (h-len(queues))/len(lanes)))
	l.shortest(lanes, label-2)
	first := scroll(0, sel, len(lanes), max(1, h/rows))
	y := 0
	for i := range lanes {
		l.laneTop = append(l.laneTop, 2+y)
		if i < first || y+rows > h {
			continue
		}
		l.drawLane(area.Rows(y, rows), lanes[i], i, label, stats, most[lanes[i].Dir&1], i == sel)
		y += rows
		for _, q := range queues {
			if q.last == i && y < h {
				l.drawQueue(area.Rows(y, 1), lanes, q, label, stats)
				y++
			}
		}
	}
	l.drawPicked(area, lanes, first, rows, queues)
	l.drawNear(area.Rows(y, -1))
}

func (l *Lanes) drawLane(a grid.Area, lane *trace.Lane, i, label, stats int, most int64, selected bool) {
	w, h := a.Size()
	t := l.w.Theme
	from, to := l.name(lane)
	mark := "→"
	if lane.Dir == flow.Reply {
		mark = "←"
	}
	base := h - 1
	st := t.Text
	if selected {
		a.Text(0, base, "▸", t.Key)
		st = t.Title
	}
	a.Text(1, base, mark, t.Dim)
	room := label - 2
	name := between(from, to, room, l.abbreviate)
	a.Cut(label+1-min(room, grid.Width(name)), base, room, name, st)
	a.Rune(label+1, base, '┤', t.Faint)
	l.drawBins(a.Sub(label+2, 0, w-label-2-stats, h), l.cells[i], most)
	if stats > 0 {
		l.drawStats(a.Sub(w-stats, base, stats, 1), lane)
	}
}

// shortest finds out whether "sidecar" has to be abbreviated for any lane, and
// then it is for all.
func (l *Lanes) shortest(lanes []*trace.Lane, room int) {
	l.abbreviate = false
	for _, lane := range lanes {
		from, to := l.name(lane)
		l.abbreviate = l.abbreviate || grid.Width(from)+3+grid.Width(to) > room
	}
}

// between names a hop in at most room columns, if that is possible at all.
func between(from, to string, room int, abbreviate bool) string {
	if abbreviate {
		from, to = strings.Replace(from, "sidecar", "sc", 1), strings.Replace(to, "sidecar", "sc", 1)
	}
	for _, arrow := range []string{" ▸ ", "▸"} {
		if long := from + arrow + to; grid.Width(long) <= room {
			return long
		}
	}
	rest := room - 1 // the longer name is cut
	if grid.Width(from) > grid.Width(to) {
		return cut(from, rest-grid.Width(to)) + "▸" + to
	}
	return from + "▸" + cut(to, rest-grid.Width(from))
}

// cut gives the beginning of a name.
func cut(s string, n int) string {
	r := []rune(grid.Plain(s))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:max(0, n-1)]) + "…"
}

// drawBins draws one lane; with more than one line the first one counts the
// chunks of columns that hold several.
func (l *Lanes) drawBins(a grid.Area, row []bin, most int64) {
	_, h := a.Size()
	t := l.w.Theme
	bars := max(1, h-1)
	for c := range row {
		b := &row[c]
		if b.n == 0 {
			l.drawSilence(a, c, h-1, b.is)
			continue
		}
		st := t.Chunk
		if b.n > 1 {
			st = t.Many
			if h > 1 {
				a.Rune(c, 0, several(b.n), t.Dim)
			}
		}
		level := max(1, int(math.Ceil(float64(8*bars)*math.Sqrt(float64(b.bytes)/float64(max(1, most))))))
		for y := h - 1; y > h-1-bars && level > 0; y-- {
			a.Rune(c, y, '▁'+rune(min(7, level-1)), st)
			level -= 8
		}
		if b.first { // above the chunk when there is a line for it
			a.Rune(c, 0, '◆', t.First)
		}
	}
}

// several gives the sign for n chunks in one column.
func several(n int32) rune {
	if n > 9 {
		return '+'
	}
	return '0' + n
}

func (l *Lanes) drawSilence(a grid.Area, c, y int, is binKind) {
	t := l.w.Theme
	switch is {
	case binNone:
	case binWaiting:
		a.Rune(c, y, '╌', t.Waiting)
	case binIdle:
		a.Rune(c, y, '·', t.Dim)
	case binHeld:
		a.Rune(c, y, '░', t.Held)
	case binQueued:
		a.Rune(c, y, '▓', t.Blocked)
	case binWindow:
		a.Rune(c, y, '▤', t.Blocked)
	case binBlocked:
		a.Rune(c, y, '▒', t.Blocked)
	case binEnd:
		a.Rune(c, y, '■', t.Dim)
	case binBroken:
		a.Rune(c, y, '✖', t.Bad)
	}
}

func (l *Lanes) drawStats(a grid.Area, lane *trace.Lane) {
	t := l.w.Theme
	v, _ := l.view.Lane(lane.Dir, lane.Hop)
	a.Right(8, 0, count(v.Chunks), t.Text)
	a.Right(15, 0, size(v.Bytes), t.Text)
	if lane.Gaps.N > 0 {
		a.Right(laneStats+8, 0, filter.Seconds(lane.Gaps.Quantile(0.5)), t.Text)
		a.Text(laneStats+8, 0, "/"+filter.Seconds(lane.Gaps.Quantile(0.99)), t.Text)
	}
	if lane.Holds.N == 0 {
		return
	}
	a.Right(22, 0, filter.Seconds(lane.Holds.Quantile(0.5)), t.Text)
	a.Text(22, 0, "/"+filter.Seconds(lane.Holds.Quantile(0.99)), t.Text)
	a.Right(35, 0, count(uint64(lane.Merges)), t.counted(lane.Merges))
	a.Right(41, 0, count(uint64(lane.Splits)), t.counted(lane.Splits))
}

// counted gives the style of a number that is of interest when it is not 0.
func (t *Theme) counted(n int) grid.Style {
	if n > 0 {
		return t.Warn
	}
	return t.Faint
}

// drawPicked marks the selected chunk, and the same bytes at the other hops.
func (l *Lanes) drawPicked(area grid.Area, lanes []*trace.Lane, first, rows int, queues []queue) {
	lane, m, ok := l.pick()
	if !ok || !l.picked {
		return
	}
	_, h := area.Size()
	for i := first; i < len(lanes) && (i-first+1)*rows <= h; i++ {
		above := 0 // lines of queues
		for _, q := range queues {
			if q.last >= first && q.last < i {
				above++
			}
		}
		if lanes[i].Dir != lane.Dir {
			continue
		}
		at := m
		if lanes[i] != lane {
			if at, ok = lanes[i].Passed(m.End() - 1); !ok {
				continue
			}
		}
		if c := l.axis.col(at.At); c >= 0 && c < l.axis.cols {
			y := (i-first)*rows + above
			area.Paint(l.plotX+c, y+rows-1, 1, grid.Style{Attr: grid.Reverse})
			if lanes[i] == lane && rows > 1 {
				area.Text(l.plotX+c, y, "▾", l.w.Theme.Key)
			}
		}
	}
}

// number of a chunk for people: from 1.
func ordinal(n uint64) string { return strconv.FormatUint(n+1, 10) }
