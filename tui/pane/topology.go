package pane

import (
	"cmp"
	"slices"
	"strconv"

	"mesh/runtime/flow/filter"
	"mesh/supervisor/state"
	"mesh/tui/grid"
)

// Topology shows who calls whom, and how much passes between them now. Make
// one with NewTopology.
type Topology struct {
	choice[edge]

	w        *World
	rates    *rates
	every    []edge // all of them
	edges    []edge // those that the filter chooses
	selected [2]string
	top      int
	shown    *picture // what the last frame showed; nil: the list
	keys     []Binding
}

// edge is all that passes from one app to another.
type edge struct {
	from, to    string
	live, ended int
	stalled     int
	failed      int
	rate        float64 // bytes per second over the last seconds
	declared    bool    // one depends on the other
}

// NewTopology gives the pane that looks at w; rates come from the streams.
func NewTopology(w *World, s *Streams) *Topology {
	t := &Topology{w: w, rates: &s.rates}
	t.choice = choice[edge]{lang: edgeLanguage(), all: func() []edge { return t.every }, changed: t.choose}
	t.keys = append([]Binding{
		move([]string{"up", "k"}, "up", "select the edge above", func() { t.Wheel(-1, 0) }),
		move([]string{"down", "j"}, "down", "select the edge below", func() { t.Wheel(1, 0) }),
		{Keys: []string{"enter"}, Name: "edge streams", Help: "the streams between the two", Hint: "streams", Do: func(string) Action {
			if i := t.index(); i >= 0 {
				return Show{View: ViewStreams, Filter: "from:" + t.edges[i].from + " to:" + t.edges[i].to}
			}
			return nil
		}},
	}, t.filterKeys("edges")...)
	return t
}

// Bindings gives what keys do here.
func (t *Topology) Bindings() []Binding { return t.keys }

// Refresh takes in a new snapshot.
func (t *Topology) Refresh() {
	all := map[[2]string]*edge{}
	get := func(from, to string) *edge {
		e := all[[2]string{from, to}]
		if e == nil {
			e = &edge{from: from, to: to}
			all[[2]string{from, to}] = e
		}
		return e
	}
	const slots = 6
	for i := range t.w.Flows {
		v := &t.w.Flows[i]
		e := get(filter.Caller(v), v.Callee)
		is := filter.Diagnose(v).State
		if is == filter.Failed {
			e.failed++
		}
		if !v.Live {
			e.ended++
			continue
		}
		e.live++
		if is == filter.Stalled || is == filter.Holding {
			e.stalled++
		}
		if r := t.rates.of[v.ID]; r != nil {
			for s := range slots {
				e.rate += r.at(t.w.Now, s, slots) / (slots * rateSlot.Seconds())
			}
		}
	}
	for i := range t.w.Mesh.Apps {
		app := &t.w.Mesh.Apps[i]
		for _, d := range app.DependsOn {
			get(app.ID, d.App).declared = true
		}
	}
	t.every = t.every[:0]
	for _, e := range all {
		t.every = append(t.every, *e)
	}
	slices.SortFunc(t.every, func(a, b edge) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	t.choose()
}

// choose keeps the edges that the filter chooses.
func (t *Topology) choose() {
	t.edges = t.edges[:0]
	for i := range t.every {
		if t.match(&t.every[i]) {
			t.edges = append(t.edges, t.every[i])
		}
	}
	if t.index() < 0 && len(t.edges) > 0 {
		t.selected = [2]string{t.edges[0].from, t.edges[0].to}
	}
}

func (t *Topology) index() int {
	return slices.IndexFunc(t.edges, func(e edge) bool { return t.selected == [2]string{e.from, e.to} })
}

// Wheel moves the selection.
func (t *Topology) Wheel(n, _ int) {
	if len(t.edges) > 0 {
		e := &t.edges[min(max(0, t.index()+n), len(t.edges)-1)]
		t.selected = [2]string{e.from, e.to}
	}
}

// Click selects the edge at a place; in the picture a box gives its first.
func (t *Topology) Click(x, y int) Action {
	if !t.filter.Empty() {
		y--
	}
	i := t.top + y - 1
	if t.shown != nil {
		i = t.shown.at(t.edges, x, y)
	} else if y < 1 {
		i = -1
	}
	if i >= 0 && i < len(t.edges) {
		t.selected = [2]string{t.edges[i].from, t.edges[i].to}
	}
	return nil
}

// Draw draws the pane.
func (t *Topology) Draw(a grid.Area) {
	t.shown = nil
	a, ok := t.drawHead(a, t.w.Theme, len(t.edges), "edge", "no calls yet: an edge appears for every pair of apps that talk")
	if !ok {
		return
	}
	w, h := a.Size()
	if p, ok := layOut(t.edges, w, h-2); ok {
		t.shown = p
		t.drawPicture(a)
		return
	}
	t.drawList(a)
}

// drawList draws the edges one below the other.
func (t *Topology) drawList(a grid.Area) {
	w, h := a.Size()
	th := t.w.Theme
	name := 6
	for i := range t.edges {
		name = max(name, grid.Width(t.edges[i].from), grid.Width(t.edges[i].to))
	}
	name = min(name, max(6, w/4), 24)
	line := max(8, min(44, w-2*name-26)) // the arrow between the names
	a.Text(2, 0, "caller", th.Dim)
	a.Text(name+line+8, 0, "callee", th.Dim)
	sel := t.index()
	t.top = scroll(t.top, max(0, sel), len(t.edges), h-1)
	for y := range min(h-1, len(t.edges)-t.top) {
		i := t.top + y
		t.drawEdge(a.Sub(0, y+1, w, 1), i, name, line)
		if i == sel {
			a.Paint(0, y+1, w, th.Selected)
			a.Text(0, y+1, "▸", th.Key.With(th.Selected))
		}
	}
}

func (t *Topology) drawEdge(a grid.Area, i, name, line int) {
	w, _ := a.Size()
	th, e := t.w.Theme, &t.edges[i]
	first := i == 0 || t.edges[i-1].from != e.from
	last := i == len(t.edges)-1 || t.edges[i+1].from != e.from
	joint := map[[2]bool]string{{true, true}: "──", {true, false}: "┬─", {false, false}: "├─", {false, true}: "└─"}[[2]bool{first, last}]
	if first {
		t.drawApp(a, 2, name, e.from)
	}
	st := e.style(th)
	x := name + 5
	a.Text(x, 0, joint, st)
	a.Repeat(x+2, 0, line-2, '─', st)
	a.Text(x+line, 0, "▸", st)
	label := ""
	if e.live > 0 {
		label = " " + strconv.Itoa(e.live) + " live"
	}
	if e.rate > 0 {
		label += " " + size(uint64(e.rate)) + "/s"
	}
	if e.live == 0 && e.ended == 0 {
		label = " no calls yet"
	}
	if label != "" {
		a.Cut(x+3, 0, min(line-4, grid.Width(label)+1), label+" ", st)
	}
	t.drawApp(a, x+line+3, name, e.to)
	at := x + line + name + 7
	a.Cut(at, 0, w-at, e.words(), th.Dim)
}

// style is that of the line of an edge.
func (e *edge) style(th *Theme) grid.Style {
	switch {
	case e.stalled > 0:
		return th.Warn
	case e.live > 0:
		return th.Good
	}
	return th.Faint
}

// words says what is not as it should be, and what is over.
func (e *edge) words() (s string) {
	if e.stalled > 0 {
		s += "◐ " + strconv.Itoa(e.stalled) + " waiting  "
	}
	if e.failed > 0 {
		s += "✖ " + strconv.Itoa(e.failed) + " failed  "
	}
	if e.ended > 0 {
		s += strconv.Itoa(e.ended) + " ended"
	}
	return s
}

// drawApp draws an app or a component, an app with the shape of its worst instance.
func (t *Topology) drawApp(a grid.Area, x, room int, id string) {
	th := t.w.Theme
	shape, st := '▫', th.Dim // neither: it calls from outside
	if slices.ContainsFunc(t.w.Mesh.Components, func(c state.Component) bool { return c.Name == id }) {
		shape = '◇'
	}
	if app := t.w.Mesh.Find(id); app != nil {
		phase := state.Stopped
		for i := range app.Instances {
			if p := app.Instances[i].Phase; i == 0 || broken(p) {
				phase = p
			}
		}
		shape, st = th.look(phase)
	}
	a.Rune(x, 0, shape, st)
	a.Cut(x+2, 0, room, id, th.Name(id))
}
