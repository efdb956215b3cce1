package pane

import (
	"strconv"

	"mesh/tui/grid"
)

// The directions in which a line leaves a cell.
const (
	toLeft uint8 = 1 << iota
	toRight
	toUp
	toDown
)

// Lines by their directions, thin and, for the selected edge, thick.
const (
	thin  = " ╴╶─╵╯╰┴╷╮╭┬│┤├┼"
	thick = " ╸╺━╹┛┗┻╻┓┏┳┃┫┣╋"
)

// cells gives the cells that a leg goes through, in its order.
func (l *leg) cells(f func(x, y int, to uint8)) {
	for x := l.x0; x < l.x; x++ {
		f(x, l.y0, toLeft|toRight)
	}
	switch {
	case l.y1 == l.y0:
		f(l.x, l.y0, toLeft|toRight)
	case l.y1 > l.y0:
		f(l.x, l.y0, toLeft|toDown)
		for y := l.y0 + 1; y < l.y1; y++ {
			f(l.x, y, toUp|toDown)
		}
		f(l.x, l.y1, toUp|toRight)
	default:
		f(l.x, l.y0, toLeft|toUp)
		for y := l.y0 - 1; y > l.y1; y-- {
			f(l.x, y, toUp|toDown)
		}
		f(l.x, l.y1, toDown|toRight)
	}
	for x := l.x + 1; x < l.x1; x++ {
		f(x, l.y1, toLeft|toRight)
	}
	switch {
	case l.x1 <= l.x:
	case l.up:
		f(l.x1, l.y1, toLeft|toUp)
		f(l.x1, l.y1-1, toDown|toRight)
	default:
		f(l.x1, l.y1, toLeft|toRight)
	}
}

// at gives the edge at a place, -1 when there is none.
func (p *picture) at(edges []edge, x, y int) int {
	found := -1
	for i := range p.legs {
		p.legs[i].cells(func(cx, cy int, _ uint8) {
			if cx == x && cy == y {
				found = p.legs[i].edge
			}
		})
	}
	for _, b := range p.boxes {
		if found >= 0 || x < b.x || x >= b.x+b.w || y < b.y || y >= b.y+b.h {
			continue
		}
		for i := range edges {
			if edges[i].from == b.name || found < 0 && edges[i].to == b.name {
				found = i
				break
			}
		}
	}
	return found
}

// drawPicture draws the picture, and below it what there is to say of the
// selected edge.
func (t *Topology) drawPicture(a grid.Area) {
	w, h := a.Size()
	th, sel := t.w.Theme, t.index()
	seen := make([]uint8, w*h)
	for _, chosen := range []bool{false, true} { // the selected edge passes over the others
		for i := range t.shown.legs {
			if l := &t.shown.legs[i]; (l.edge == sel) == chosen {
				t.drawLeg(a, l, seen, chosen)
			}
		}
	}
	for i := range t.shown.legs {
		if l := &t.shown.legs[i]; l.label > 0 {
			t.drawLabel(a.Sub(l.x0+2, l.y0, l.label, 1), l.edge, l.edge == sel)
		}
	}
	for i := range t.shown.boxes {
		t.drawBox(a, &t.shown.boxes[i])
	}
	if sel < 0 {
		return
	}
	e := &t.edges[sel]
	a.Text(0, h-1, "▸", th.Key)
	x := a.Text(2, h-1, e.from, th.Name(e.from))
	x = a.Text(x, h-1, " ─▸ ", th.Dim)
	x = a.Text(x, h-1, e.to, th.Name(e.to))
	words := e.words()
	if e.live > 0 {
		words = strconv.Itoa(e.live) + " live  " + words
	}
	a.Cut(x+2, h-1, max(0, w-x-2), words, th.Dim)
}

func (t *Topology) drawLeg(a grid.Area, l *leg, seen []uint8, chosen bool) {
	w, h := a.Size()
	lines, st := []rune(thin), t.edges[l.edge].style(t.w.Theme)
	if chosen {
		lines, st = []rune(thick), st.Bold()
	}
	l.cells(func(x, y int, to uint8) {
		if x < 0 || y < 0 || x >= w || y >= h {
			return
		}
		if !chosen {
			to |= seen[y*w+x]
			seen[y*w+x] = to
		}
		a.Rune(x, y, lines[to], st)
	})
	if l.arrives {
		a.Rune(l.x1, l.y1, '▸', st)
	}
}

// drawLabel says on its line what passes on an edge. What there is no room for
// goes, the least important first.
func (t *Topology) drawLabel(a grid.Area, i int, chosen bool) {
	type part struct { // rank 0 is the most important
		text string
		st   grid.Style
		rank int
		fits bool
	}
	th, e := t.w.Theme, &t.edges[i]
	st := e.style(th)
	var parts []part
	if e.stalled > 0 {
		parts = append(parts, part{"◐ " + strconv.Itoa(e.stalled), th.Warn, 0, false})
	}
	if e.live > 0 {
		parts = append(parts, part{strconv.Itoa(e.live) + " live", st, 2, false})
	}
	if e.rate >= 1 {
		parts = append(parts, part{size(uint64(e.rate)) + "/s", st, 1, false})
	}
	if e.failed > 0 {
		parts = append(parts, part{"✖ " + strconv.Itoa(e.failed), th.Bad, 3, false})
	}
	switch {
	case e.live > 0:
	case e.ended > 0:
		parts = append(parts, part{strconv.Itoa(e.ended) + " ended", th.Dim, 4, false})
	default:
		parts = append(parts, part{"no calls", th.Dim, 4, false})
	}
	w, _ := a.Size()
	room := w
	for rank := range 5 {
		for i := range parts {
			if n := grid.Width(parts[i].text) + 2; parts[i].rank == rank {
				parts[i].fits = n <= room
				room -= n
			}
		}
	}
	x := 0
	for _, p := range parts {
		if !p.fits {
			continue
		}
		if chosen {
			p.st = p.st.With(th.Selected)
		}
		a.Rune(x, 0, ' ', grid.Style{})
		x = a.Text(x+1, 0, p.text, p.st) + 1
		a.Rune(x-1, 0, ' ', grid.Style{})
	}
}

func (t *Topology) drawBox(a grid.Area, b *box) {
	th := t.w.Theme
	if b.back {
		a.Text(b.x, b.y+(b.h-1)/2, "↩", th.Dim)
		a.Cut(b.x+2, b.y+(b.h-1)/2, b.w-2, b.name, th.Name(b.name))
		return
	}
	for y := range b.h {
		left, right, between := '│', '│', ' '
		switch y {
		case 0:
			left, right, between = '╭', '╮', '─'
		case b.h - 1:
			left, right, between = '╰', '╯', '─'
		}
		a.Rune(b.x, b.y+y, left, th.Faint)
		a.Repeat(b.x+1, b.y+y, b.w-2, between, th.Faint)
		a.Rune(b.x+b.w-1, b.y+y, right, th.Faint)
	}
	t.drawApp(a.Sub(0, b.y+(b.h-1)/2, b.x+b.w-1, 1), b.x+2, b.w-6, b.name)
}
