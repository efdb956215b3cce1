package pane

import (
	"cmp"
	"slices"

	"mesh/tui/grid"
)

// What a picture of the topology takes in cells.
const (
	mostEdges  = 150 // more of them cannot be told apart
	nameRoom   = 24  // of a name in its box, at most
	labelLeast = 9   // of what stands on a line
	labelMost  = 26
	trackStep  = 2 // between lines that run side by side
)

// picture is a graph of edges with a place for everything: apps are boxes in
// columns, the callers left of those that they call.
type picture struct {
	w, h  int
	boxes []box
	legs  []leg
}

// box is one app, or with back set the name of one that stands further left,
// which an edge leads back to.
type box struct {
	name       string
	back       bool
	x, y, w, h int
}

// leg is the part of an edge between two columns: from x0 along the line y0,
// at x up or down to the line y1, and on to x1.
type leg struct {
	edge          int
	x0, y0, x     int
	x1, y1        int
	up            bool // one line more at x1, where it goes on
	label         int  // cells for what is to be said, from x0+2 on
	arrives       bool // with an arrow, at x1
	from, to      *vertex
	track, tracks int // where it turns, of how many; 0: it is straight
}

// vertex is what stands in a column: an app, the name of an app further left, or
// with neither the passage of a longer edge.
type vertex struct {
	name        string
	app, back   bool
	depth       int
	place       int // in its column, from above
	base        int // the line of its first port
	ins, outs   []*leg
	calls       []int // edges; of apps
	seen, onWay bool
}

// layOut gives the picture of edges in w×h cells; ok is false when there is no
// room for it. The edges are sorted by their callers.
func layOut(edges []edge, w, h int) (p *picture, ok bool) {
	if len(edges) == 0 || len(edges) > mostEdges {
		return nil, false
	}
	cols, legs := columns(edges)
	for c := range cols {
		arrangeColumn(cols, c)
	}
	// Straight lines and air first, then less of both. With a step of two, lines
	// leave a box in even lines and arrive in odd ones, and never meet.
	for _, try := range []struct {
		step int
		airy bool
	}{{1, true}, {1, false}, {2, false}} {
		if stand(cols, try.step, try.airy) <= h && turn(cols) {
			return measure(cols, legs, w, h, try.step)
		}
	}
	return nil, false
}

// columns gives the vertices by depth, and the legs between them.
func columns(edges []edge) (cols [][]*vertex, legs []*leg) {
	of, apps := map[string]*vertex{}, []*vertex(nil)
	get := func(name string) *vertex {
		if of[name] == nil {
			of[name] = &vertex{name: name, app: true}
			apps = append(apps, of[name])
		}
		return of[name]
	}
	called := map[string]bool{}
	for i := range edges {
		from := get(edges[i].from)
		from.calls = append(from.calls, i)
		get(edges[i].to)
		called[edges[i].to] = true
	}
	slices.SortFunc(apps, func(a, b *vertex) int {
		if called[a.name] != called[b.name] { // those whom nobody calls come first
			if called[a.name] {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.name, b.name)
	})
	back := make([]bool, len(edges))
	var order []*vertex // callees before their callers
	var visit func(v *vertex)
	visit = func(v *vertex) {
		v.seen, v.onWay = true, true
		for _, i := range v.calls {
			to := of[edges[i].to]
			back[i] = to.onWay
			if !to.seen {
				visit(to)
			}
		}
		v.onWay = false
		order = append(order, v)
	}
	for _, v := range apps {
		if !v.seen {
			visit(v)
		}
	}
	deepen(order, of, edges, back, called)
	add := func(v *vertex) *vertex {
		for len(cols) <= v.depth {
			cols = append(cols, nil)
		}
		cols[v.depth] = append(cols[v.depth], v)
		return v
	}
	for _, v := range apps {
		add(v)
	}
	for i := range edges {
		from, to := of[edges[i].from], of[edges[i].to]
		if back[i] {
			to = add(&vertex{name: to.name, back: true, depth: from.depth + 1})
		}
		for at := from; at != to; {
			next := to
			if at.depth+1 < to.depth {
				next = add(&vertex{depth: at.depth + 1})
			}
			l := &leg{edge: i, from: at, to: next, arrives: next == to}
			at.outs, next.ins = append(at.outs, l), append(next.ins, l)
			legs = append(legs, l)
			at = next
		}
	}
	return cols, legs
}

// deepen gives the apps their depth: below all that call them, and those whom
// nobody calls right before the first that they call.
func deepen(order []*vertex, of map[string]*vertex, edges []edge, back []bool, called map[string]bool) {
	for _, v := range slices.Backward(order) {
		for _, i := range v.calls {
			if to := of[edges[i].to]; !back[i] {
				to.depth = max(to.depth, v.depth+1)
			}
		}
	}
	for _, v := range order {
		if called[v.name] {
			continue
		}
		first := len(edges) + 1
		for _, i := range v.calls {
			first = min(first, of[edges[i].to].depth)
		}
		v.depth = max(0, first-1)
	}
}

// arrangeColumn orders a column by those who call its vertices, and their lines
// in turn, so that few cross.
func arrangeColumn(cols [][]*vertex, c int) {
	middle := func(v *vertex) float64 {
		sum := 0.0
		for _, l := range v.ins {
			sum += float64(l.from.place)
		}
		if len(v.ins) == 0 {
			return float64(len(cols[c]) * len(cols))
		}
		return sum / float64(len(v.ins))
	}
	slices.SortStableFunc(cols[c], func(a, b *vertex) int { return cmp.Compare(middle(a), middle(b)) })
	for i, v := range cols[c] {
		v.place = i
	}
	if c > 0 {
		for _, v := range cols[c-1] {
			slices.SortStableFunc(v.outs, func(a, b *leg) int { return cmp.Compare(a.to.place, b.to.place) })
		}
	}
}

// rows is how many lines begin or end at a vertex, at least 1.
func (v *vertex) rows() int { return max(1, len(v.ins), len(v.outs)) }

// border is what a vertex takes above its ports and below.
func (v *vertex) border() int {
	if v.app {
		return 1
	}
	return 0
}

// stand gives every vertex its lines and tells how many all of them take. A
// step is what lies between two ports; airy leaves room where it straightens
// lines.
func stand(cols [][]*vertex, step int, airy bool) (h int) {
	for _, col := range cols {
		next := 0
		for _, v := range col {
			slices.SortStableFunc(v.ins, func(a, b *leg) int { return cmp.Compare(a.y0, b.y0) })
			above := (v.rows() - len(v.ins)) / 2 * step
			v.base = next + v.border()
			if n := len(v.ins); airy && n > 0 {
				v.base = max(v.base, v.ins[n/2].y0-n/2*step-above)
			}
			v.base += (step - v.base%step) % step
			for i, l := range v.ins {
				l.y1 = v.base + above + i*step + step - 1
			}
			for i, l := range v.outs {
				l.y0 = v.base + (v.rows()-len(v.outs))/2*step + i*step
			}
			next = v.base + v.rows()*step + v.border()
			h = max(h, next)
			if airy && v.app {
				next++
			}
		}
	}
	return h
}

// turn says for all legs where they turn, so that none runs along another. It
// gives false when there is no such order.
func turn(cols [][]*vertex) bool {
	for _, col := range cols {
		var todo []*leg
		begins := map[int]*leg{} // by the line
		for _, v := range col {
			for _, l := range v.outs {
				begins[l.y0] = l
				if l.track, l.tracks = 0, 0; l.y0 != l.y1 {
					todo = append(todo, l)
				}
			}
		}
		slices.SortStableFunc(todo, func(a, b *leg) int { return cmp.Compare(a.early(), b.early()) })
		var tracks [][]*leg
		all := slices.Clone(todo)
		for len(todo) > 0 {
			// One that comes in on a line turns after the one that leaves on it.
			i := slices.IndexFunc(todo, func(l *leg) bool {
				other := begins[l.y1]
				return other == nil || other.track > 0
			})
			if i < 0 {
				return false
			}
			l, at := todo[i], 0
			todo = slices.Delete(todo, i, i+1)
			if other := begins[l.y1]; other != nil {
				at = other.track
			}
			for at < len(tracks) && slices.ContainsFunc(tracks[at], l.beside) {
				at++
			}
			if at == len(tracks) {
				tracks = append(tracks, nil)
			}
			tracks[at] = append(tracks[at], l)
			l.track = at + 1
		}
		for _, l := range all {
			l.tracks = len(tracks)
		}
	}
	return true
}

// early is the order in which legs turn: of those that go down the lowest
// first, of those that go up the highest.
func (l *leg) early() int {
	if l.y1 > l.y0 {
		return -l.y0
	}
	return l.y0
}

// beside says whether two legs cannot turn in the same column of cells.
func (l *leg) beside(other *leg) bool {
	return min(l.y0, l.y1) <= max(other.y0, other.y1) && min(other.y0, other.y1) <= max(l.y0, l.y1)
}

// measure gives everything its columns of cells.
func measure(cols [][]*vertex, legs []*leg, w, h, step int) (*picture, bool) {
	widths, tracks := make([]int, len(cols)), make([]int, len(cols))
	free := w - 2
	for c, col := range cols {
		for _, v := range col {
			switch {
			case v.app:
				widths[c] = max(widths[c], min(nameRoom, grid.Width(v.name))+6)
			case v.back:
				widths[c] = max(widths[c], min(nameRoom, grid.Width(v.name))+3)
			default:
				widths[c] = max(widths[c], 1)
			}
			for _, l := range v.outs {
				tracks[c] = max(tracks[c], l.tracks)
			}
		}
		free -= widths[c]
		if c < len(cols)-1 {
			free -= tracks[c]*trackStep + 6 // "─ ", " ─" and "─▸" beside the label
		}
	}
	label := min(labelMost, free/max(1, len(cols)-1))
	if label < labelLeast {
		return nil, false
	}
	p, x := &picture{w: w, h: h}, 1
	for c, col := range cols {
		end := x + widths[c] + label + tracks[c]*trackStep + 6
		for _, v := range col {
			right := x
			if v.app || v.back {
				p.boxes = append(p.boxes, box{v.name, v.back, x, v.base - v.border(), widths[c], v.rows()*step + 2*v.border()})
				right = x + widths[c]
			}
			for _, l := range v.ins {
				l.x1 = x - 1
				if !l.arrives && v.outs[0].y0 != l.y1 {
					l.x1, l.up = x, true
				}
			}
			for _, l := range v.outs {
				l.x0, l.x, l.label = right, end-2, 0
				if l.track > 0 {
					l.x = end - 2 - (l.tracks-l.track+1)*trackStep + 1
				}
				if v.app {
					l.label = label
				}
			}
		}
		x = end
	}
	for _, l := range legs {
		p.legs = append(p.legs, *l)
	}
	return p, true
}
