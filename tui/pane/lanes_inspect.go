package pane

import (
	"strconv"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
	"mesh/tui/grid"
	"mesh/tui/trace"
)

// drawBelow draws what is said about the stream, its selected lane and chunk.
// The most important lines come first, for there may be room for two only.
func (l *Lanes) drawBelow(a grid.Area, lanes []*trace.Lane) {
	w, h := a.Size()
	t := l.w.Theme
	if h == 0 {
		return
	}
	y := 0
	if h >= 4 {
		a.Repeat(0, 0, w, '─', t.Faint)
		y++
	}
	l.drawStatus(a.Rows(y, 1))
	lane, m, ok := l.pick()
	if lane == nil {
		return
	}
	if ok {
		l.drawChunk(a.Rows(y+1, 1), lane, m)
	}
	switch {
	case h >= 6:
		if ok {
			l.drawWay(a.Rows(y+2, 1), lanes, lane, m)
		}
		more := min(2, h-5) // lines for each of the last two
		l.drawLaneWords(a.Rows(y+3, more), lane)
		l.drawLegend(a.Rows(y+3+more, more))
	case h >= 4:
		l.drawLaneWords(a.Rows(y+2, 1), lane)
	}
}

// words draws pairs of a name and a value, the most important first: they go
// on in the next line, and those that no line has room for are left out.
type words struct {
	a    grid.Area
	t    *Theme
	x, y int
}

func (w *words) add(name, value string) {
	if value == "" {
		return
	}
	if name != "" {
		name += " "
	}
	if w.fits(grid.Width(name) + grid.Width(value)) {
		w.x = w.a.Text(w.x, w.y, name, w.t.Dim)
		w.x = w.a.Text(w.x, w.y, value, w.t.Text) + 2
	}
}

// fits finds the line for n columns.
func (w *words) fits(n int) bool {
	width, height := w.a.Size()
	if w.x+n <= width {
		return true
	}
	if w.y+1 < height && n+3 <= width {
		w.x, w.y = 3, w.y+1
		return true
	}
	return false
}

func (l *Lanes) drawStatus(a grid.Area) {
	t := l.w.Theme
	is := filter.Diagnose(&l.view)
	shape, st := t.flow(is.State)
	x := a.Text(1, 0, string(shape)+" "+l.w.Words(&l.view, is), st)
	line := words{a: a, t: t, x: x + 2}
	if n := l.inside(flow.Request); n > 0 {
		line.add("in the mesh: request", size(n))
	}
	if n := l.inside(flow.Reply); n > 0 {
		line.add("in the mesh: reply", size(n))
	}
	if d, ok := filter.TTFB(&l.view); ok {
		line.add("first byte after", filter.Seconds(d))
	}
	if l.view.Held > 0 {
		line.add("held for the app", filter.Seconds(l.view.Held))
	}
	if l.gone {
		line.add("", "(forgotten by the mesh since)")
	}
	line.add("at", l.view.Addr)
}

// inside gives the bytes that have entered the mesh and not left it yet.
func (l *Lanes) inside(d flow.Dir) uint64 {
	in, out, seen := uint64(0), uint64(0), false
	for i := range l.view.Lanes {
		if v := &l.view.Lanes[i]; v.Dir == d {
			if !seen || v.Bytes < out {
				out = v.Bytes
			}
			in, seen = max(in, v.Bytes), true
		}
	}
	if !l.view.Live || !seen {
		return 0
	}
	return in - out
}

func (l *Lanes) drawChunk(a grid.Area, lane *trace.Lane, m trace.Mark) {
	t := l.w.Theme
	title, st := "last chunk ", t.Dim
	if l.picked {
		title, st = "▾ chunk ", t.Key
	}
	x := a.Text(1, 0, title, st)
	v, _ := l.view.Lane(lane.Dir, lane.Hop)
	x = a.Text(x, 0, ordinal(m.N)+"/"+strconv.FormatUint(v.Chunks, 10), t.Title)
	line := words{a: a, t: t, x: x + 2}
	approx := ""
	if lane.Approx {
		approx = "≈"
	}
	line.add("bytes", approx+strconv.FormatUint(m.Off, 10)+"–"+strconv.FormatUint(m.End(), 10))
	line.add("size", strconv.Itoa(m.Size))
	if m.Hold >= 0 {
		line.add("hold", filter.Seconds(m.Hold))
	}
	line.add("at", exact(m.At))
	if i, ok := lane.Index(m.N); ok && i > 0 {
		line.add("gap", filter.Seconds(m.At-lane.Marks[i-1].At))
	}
	line.add("clock", l.view.Begun.Add(m.At).Format("15:04:05.000"))
}

// drawWay draws when the last byte of the chunk passed each hop, and how long
// it was held from one to the next. Where there is no room for the chunks that
// held it there, they are left out, and then names are shortened.
func (l *Lanes) drawWay(a grid.Area, lanes []*trace.Lane, lane *trace.Lane, m trace.Mark) {
	w, _ := a.Size()
	for _, how := range []wayStyle{{chunks: true}, {}, {short: true}} {
		if end := l.way(a.Rows(0, 0), lanes, lane, m, how); end <= w || how.short {
			l.way(a, lanes, lane, m, how)
			return
		}
	}
}

// wayStyle says how much of a way is written.
type wayStyle struct{ chunks, short bool }

func (l *Lanes) way(a grid.Area, lanes []*trace.Lane, lane *trace.Lane, m trace.Mark, how wayStyle) (x int) {
	t := l.w.Theme
	last := time.Duration(-1)
	x = 1
	for _, one := range lanes {
		if one.Dir != lane.Dir {
			continue
		}
		from, to := l.name(one)
		if how.short {
			from, to = short(from), short(to)
		}
		if last < 0 {
			x = a.Text(x, 0, from, t.Name(from))
		}
		at, ok := one.Passed(m.End() - 1)
		if !ok {
			return a.Text(x, 0, " ╌ not yet ▸ "+to, t.Dim)
		}
		took := exact(at.At)
		if last >= 0 {
			took = "+" + filter.Seconds(max(0, at.At-last))
		}
		last = at.At
		x = a.Text(x, 0, " ─ "+took+" ▸ ", t.Dim)
		x = a.Text(x, 0, to, t.Name(to))
		if how.chunks && (at.N != m.N || at.Size != m.Size) {
			x = a.Text(x, 0, " (chunk "+ordinal(at.N)+", "+size(uint64(at.Size))+"B)", t.Dim)
		}
	}
	return x
}

// short gives a name in fewer letters.
func short(name string) string {
	if name == "sidecar" {
		return "sc"
	}
	return name
}

func (l *Lanes) drawLaneWords(a grid.Area, lane *trace.Lane) {
	t := l.w.Theme
	from, to := l.name(lane)
	x := a.Text(1, 0, lane.Dir.String()+" "+from+" ▸ "+to, t.Title)
	line := words{a: a, t: t, x: x + 2}
	v, _ := l.view.Lane(lane.Dir, lane.Hop)
	line.add("", chunks(v.Chunks)+" "+size(v.Bytes))
	if lane.Holds.N > 0 {
		line.add("hold p50", filter.Seconds(lane.Holds.Quantile(0.5)))
		line.add("p99", filter.Seconds(lane.Holds.Quantile(0.99)))
	}
	if lane.Gaps.N > 0 {
		line.add("gap p50", filter.Seconds(lane.Gaps.Quantile(0.5)))
		line.add("p99", filter.Seconds(lane.Gaps.Quantile(0.99)))
		line.add("max", filter.Seconds(max(v.Gap, lane.Gaps.Max)))
	}
	if lane.Holds.N > 0 {
		line.add("merged", strconv.Itoa(lane.Merges))
		line.add("split", strconv.Itoa(lane.Splits))
	}
	if v.Waited > 0 {
		line.add("writes waited", filter.Seconds(v.Waited))
	}
	if n := lane.Lost + lane.Dropped; n > 0 {
		line.add("marks lost", strconv.FormatUint(n, 10))
	}
}

func (l *Lanes) drawLegend(a grid.Area) {
	t := l.w.Theme
	line := words{a: a, t: t, x: 1}
	for _, s := range []struct {
		sign, means string
		st          grid.Style
	}{
		{"▂▅█", "chunk by size", t.Chunk},
		{"▅", "several", t.Many},
		{"◆", "first byte", t.First},
		{"·", "producer idle", t.Dim},
		{"▒", "app not reading", t.Blocked},
		{"▤", "window used up", t.Blocked},
		{"▓", "kept in a sidecar", t.Blocked},
		{"░", "held up by that", t.Held},
		{"■", "end", t.Dim},
		{"✖", "broken off", t.Bad},
	} {
		if line.fits(grid.Width(s.sign) + 1 + grid.Width(s.means)) {
			line.x = a.Text(line.x, line.y, s.sign, s.st)
			line.x = a.Text(line.x+1, line.y, s.means, t.Dim) + 2
		}
	}
}

// chunks counts chunks in words.
func chunks(n uint64) string {
	if n == 1 {
		return "1 chunk"
	}
	return count(n) + " chunks"
}

// exact writes a time with all its microseconds.
func exact(d time.Duration) string {
	if d < time.Second {
		return trimmed(d, time.Millisecond, 3) + "ms"
	}
	return trimmed(d, time.Second, 6) + "s"
}
