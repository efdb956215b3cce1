package pane

import (
	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
	"mesh/supervisor/state"
	"mesh/tui/grid"
)

// flow gives the shape and the colour of what a flow is doing.
func (t *Theme) flow(s filter.State) (rune, grid.Style) {
	switch s {
	case filter.Flowing:
		return '●', t.Good
	case filter.Waiting:
		return '◌', t.Info
	case filter.Idle:
		return '○', t.Dim
	case filter.Stalled:
		return '◐', t.Warn
	case filter.Holding:
		return '◔', t.Warn
	case filter.Done:
		return '✓', t.Dim
	case filter.Failed:
		return '✖', t.Bad
	}
	return '?', t.Warn
}

// Words says what a flow is doing. What the flow itself cannot know, why its
// app is not ready, is taken from the state of the mesh.
func (w *World) Words(v *flow.View, d filter.Diagnosis) string {
	if d.State != filter.Holding {
		return grid.Plain(d.Words(v))
	}
	app := w.Mesh.Find(v.Callee)
	if app == nil {
		return grid.Plain(d.Words(v))
	}
	phase := "not there"
	for i := range app.Instances {
		switch p := app.Instances[i].Phase; {
		case p == state.Backoff:
			phase = "backing off after a failure"
		case p == state.Starting || i == 0:
			phase = string(p)
		}
	}
	return "holding " + filter.Seconds(d.For) + ": " + grid.Plain(v.Callee) + " is " + phase
}

// Draw draws the pane.
func (s *Streams) Draw(area grid.Area) {
	w, h := area.Size()
	t := s.w.Theme
	s.drawn, s.page = w-3, max(1, h-2)
	if h >= 8 { // a line for all that a row has no room for
		s.page -= 2
		s.drawSelected(area.Rows(h-2, -1))
	}
	s.drawTitle(area.Rows(0, 1))
	at := place(s.cols, s.drawn)
	header(area.Sub(3, 1, w-3, 1), s.cols, at, s.sort, s.down, t.Dim)
	body := area.Rows(2, -1)
	if len(s.rows) == 0 {
		if !s.filter.Empty() {
			body.Text(3, 1, "no stream matches the filter: x shows all of them", t.Dim)
		} else {
			body.Text(3, 1, "no streams yet: they appear here as soon as one app calls another", t.Dim)
		}
		return
	}
	sel := s.index()
	s.top = scroll(s.top, max(0, sel), len(s.rows), s.page)
	for y := range min(s.page, len(s.rows)-s.top) {
		r := &s.rows[s.top+y]
		shape, st := t.flow(r.is.State)
		body.Rune(1, y, shape, st)
		for _, p := range at {
			s.cols[p.col].draw(body.Sub(3+p.x, y, p.w, 1), r)
		}
		if s.top+y == sel {
			body.Paint(0, y, w, t.Selected)
			body.Text(0, y, "▸", t.Key.With(t.Selected))
		}
	}
}

// drawSelected says of the selected flow what its row may have cut off.
func (s *Streams) drawSelected(a grid.Area) {
	w, _ := a.Size()
	t := s.w.Theme
	a.Repeat(0, 0, w, '─', t.Faint)
	i := s.index()
	if i < 0 {
		return
	}
	r := &s.rows[i]
	shape, st := t.flow(r.is.State)
	x := a.Text(1, 1, string(shape)+" "+s.w.Words(r.View, r.is), st)
	x = a.Text(x+2, 1, r.Verb+" "+r.Path, t.Text)
	if r.Addr != "" {
		x = a.Text(x+2, 1, "over "+r.Transport+" to "+r.Addr, t.Dim)
	}
	a.Text(x+2, 1, "since "+r.Begun.Format("15:04:05.000"), t.Dim)
}

func (s *Streams) drawTitle(area grid.Area) {
	w, _ := area.Size()
	t := s.w.Theme
	x := area.Text(1, 0, s.title(), t.Text)
	if !s.filter.Empty() {
		x = area.Text(x+2, 0, "filter ", t.Dim)
		x = area.Text(x, 0, s.filter.String(), t.Warn.Bold())
	}
	right := ""
	if s.follow {
		right = "follow"
	}
	if s.sort >= 0 {
		order := "▴"
		if s.down {
			order = "▾"
		}
		right = "by " + s.cols[s.sort].title + order + " " + right
	}
	if x+2+grid.Width(right) < w {
		area.Right(w-1, 0, right, t.Dim)
	}
}

// drawRoute draws who calls whom and what.
func (s *Streams) drawRoute(cell grid.Area, r *streamRow) {
	w, _ := cell.Size()
	t := s.w.Theme
	x := cell.Text(0, 0, filter.Caller(r.View), t.Name(r.Caller))
	x = cell.Text(x, 0, " ▸ ", t.Dim)
	x = cell.Text(x, 0, filter.Callee(r.View), t.Name(r.Callee))
	x = cell.Text(x+1, 0, r.Verb, t.Dim)
	if end := cell.Text(x+1, 0, r.Path, t.Text); end > w {
		cell.Rune(w-1, 0, '…', t.Dim)
	}
}

// drawRate draws the bytes of the last seconds, the newest at the right.
func (s *Streams) drawRate(cell grid.Area, r *streamRow) {
	w, _ := cell.Size()
	one := s.rates.of[r.ID]
	if one == nil || !r.Live {
		return
	}
	most := 0.0
	for i := range w {
		most = max(most, one.at(s.w.Now, i, w))
	}
	for i := range w {
		if v := one.at(s.w.Now, i, w); v > 0 {
			cell.Rune(i, 0, bar(v, most), s.w.Theme.Chunk)
		} else {
			cell.Rune(i, 0, '·', s.w.Theme.Faint)
		}
	}
}
