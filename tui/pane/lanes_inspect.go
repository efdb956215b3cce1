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
		l.drawLaneWords(a.Rows(y+3, 1), lane)
		l.drawLegend(a.Rows(y+4, 1))
	case h >= 4:
		l.drawLaneWords(a.Rows(y+2, 1), lane)
	}
}

// words draws pairs of a name and a value on one line.
type words struct {
	a grid.Area
	t *Theme
	x int
}

func (w *words) add(name, value string) {
	if value == "" {
		return
	}
	if name != "" {
		w.x = w.a.Text(w.x, 0, name+" ", w.t.Dim)
	}
	w.x = w.a.Text(w.x, 0, value, w.t.Text) + 2
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
	line.add("at", exact(m.At))
	if i, ok := lane.Index(m.N); ok && i > 0 {
		line.add("gap", filter.Seconds(m.At-lane.Marks[i-1].At))
	}
	if m.Hold >= 0 {
		line.add("hold", filter.Seconds(m.Hold))
	}
	line.add("clock", l.view.Begun.Add(m.At).Format("15:04:05.000"))
}

// drawWay draws when the last byte of the chunk passed each hop, and how long
// it took from one to the next.
func (l *Lanes) drawWay(a grid.Area, lanes []*trace.Lane, lane *trace.Lane, m trace.Mark) {
	t := l.w.Theme
	x, last := 1, time.Duration(-1)
	for _, one := range lanes {
		if one.Dir != lane.Dir {
			continue
		}
		from, to := l.name(one)
		if last < 0 {
			x = a.Text(x, 0, from, t.Name(from))
		}
		at, ok := one.Passed(m.End() - 1)
		if !ok {
			a.Text(x, 0, " ╌ not yet ▸ "+to, t.Dim)
			return
		}
		took := exact(at.At)
		if last >= 0 {
			took = "+" + filter.Seconds(max(0, at.At-last))
		}
		last = at.At
		x = a.Text(x, 0, " ─ "+took+" ▸ ", t.Dim)
		x = a.Text(x, 0, to, t.Name(to))
		if at.N != m.N || at.Size != m.Size {
			x = a.Text(x, 0, " (in chunk "+ordinal(at.N)+" of "+size(uint64(at.Size))+")", t.Dim)
		}
	}
}

func (l *Lanes) drawLaneWords(a grid.Area, lane *trace.Lane) {
	t := l.w.Theme
	from, to := l.name(lane)
	x := a.Text(1, 0, lane.Dir.String()+" "+from+" ▸ "+to, t.Title)
	line := words{a: a, t: t, x: x + 2}
	v, _ := l.view.Lane(lane.Dir, lane.Hop)
	line.add("", count(v.Chunks)+" chunks "+size(v.Bytes))
	if lane.Gaps.N > 0 {
		line.add("gap p50", filter.Seconds(lane.Gaps.Quantile(0.5)))
		line.add("p99", filter.Seconds(lane.Gaps.Quantile(0.99)))
		line.add("max", filter.Seconds(max(v.Gap, lane.Gaps.Max)))
	}
	if lane.Holds.N > 0 {
		line.add("hold p50", filter.Seconds(lane.Holds.Quantile(0.5)))
		line.add("p99", filter.Seconds(lane.Holds.Quantile(0.99)))
		line.add("merged", strconv.Itoa(lane.Merges))
		line.add("split", strconv.Itoa(lane.Splits))
	}
	if n := lane.Lost + lane.Dropped; n > 0 {
		line.x = a.Text(line.x, 0, "−"+strconv.FormatUint(n, 10)+" marks", t.Warn) + 2
	}
}

func (l *Lanes) drawLegend(a grid.Area) {
	t := l.w.Theme
	x := 1
	for _, s := range []struct {
		sign, means string
		st          grid.Style
	}{
		{"▂▅█", "chunk by size", t.Chunk},
		{"▅", "several", t.Many},
		{"◆", "first byte", t.First},
		{"·", "producer idle", t.Dim},
		{"▒", "next hop not reading", t.Blocked},
		{"░", "held up by that", t.Held},
		{"■", "end", t.Dim},
		{"✖", "broken off", t.Bad},
	} {
		x = a.Text(x, 0, s.sign, s.st)
		x = a.Text(x+1, 0, s.means, t.Dim) + 2
	}
}

// exact writes a time with all its microseconds.
func exact(d time.Duration) string {
	if d < time.Second {
		return trimmed(d, time.Millisecond, 3) + "ms"
	}
	return trimmed(d, time.Second, 6) + "s"
}
