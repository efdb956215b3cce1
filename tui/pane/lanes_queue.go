package pane

import (
	"time"

	"mesh/runtime/flow"
	"mesh/tui/grid"
	"mesh/tui/trace"
)

// queue is a line below the lanes of one direction that plots how many bytes
// were between two of its hops.
type queue struct {
	from, to int // lanes: bytes that have passed from and not to
	last     int // the lane below which it stands
}

// queues says which queues are drawn. With a selected lane it is what waited
// before that hop; in the other direction, or at the first hop, it is all that
// was in the mesh. Without a line to spare there are none.
func (l *Lanes) queues(lanes []*trace.Lane, h int) (all []queue) {
	for dir := flow.Request; dir <= flow.Reply; dir++ {
		q := queue{from: -1}
		for i, lane := range lanes {
			if lane.Dir != dir {
				continue
			}
			if q.from < 0 {
				q.from = i
			}
			q.to, q.last = i, i
		}
		if _, sel := l.selected(); sel > q.from && sel <= q.last && q.from >= 0 {
			q.from, q.to = sel-1, sel
		}
		if q.from >= 0 && q.to > q.from {
			all = append(all, q)
		}
	}
	if h < 2*len(lanes)+len(all) {
		return nil
	}
	return all
}

// passed gives how many bytes had passed a lane up to a time; ok is false when
// it is not remembered any more.
func passed(lane *trace.Lane, at time.Duration) (off uint64, ok bool) {
	i := lane.From(at+1) - 1
	if i >= 0 {
		return lane.Marks[i].End(), true
	}
	return 0, lane.Lost+lane.Dropped == 0
}

// depths gives the most bytes of each column that were between two lanes. It
// looks at the edges of columns and at the chunks that came in.
func (l *Lanes) depths(from, to *trace.Lane) (depth []uint64, most uint64) {
	depth = make([]uint64, l.axis.cols)
	begin, _ := l.axis.edges()
	look := func(c int, at time.Duration) {
		in, ok1 := passed(from, at)
		out, ok2 := passed(to, at)
		if ok1 && ok2 && in > out {
			depth[c] = max(depth[c], in-out)
			most = max(most, in-out)
		}
	}
	for c := range depth {
		if at := begin + time.Duration(c+1)*l.axis.per - 1; at <= l.now {
			look(c, at)
		}
	}
	for i := from.From(begin); i < len(from.Marks); i++ {
		m := &from.Marks[i]
		c := l.axis.col(m.At)
		if c >= len(depth) || m.At > l.now {
			break
		}
		look(c, m.At)
	}
	return depth, most
}

func (l *Lanes) drawQueue(a grid.Area, lanes []*trace.Lane, q queue, label, stats int) {
	w, _ := a.Size()
	t := l.w.Theme
	depth, most := l.depths(lanes[q.from], lanes[q.to])
	name := "in the mesh"
	if q.to != q.last || q.from != l.firstOf(lanes, q.last) {
		name = "queue here"
	}
	a.Cut(label+1-min(label-2, grid.Width(name)), 0, label-2, name, t.Dim)
	a.Rune(label+1, 0, '┤', t.Faint)
	plot := a.Sub(label+2, 0, w-label-2-stats, 1)
	for c, n := range depth {
		if n > 0 {
			plot.Rune(c, 0, bar(float64(n), float64(most)), t.Held)
		}
	}
	if stats > 0 && most > 0 {
		end := a.Sub(w-stats, 0, stats, 1)
		end.Right(15, 0, size(most), t.Dim)
		end.Text(16, 0, "at most", t.Dim)
	}
}

// firstOf gives the first lane of the direction of a lane.
func (l *Lanes) firstOf(lanes []*trace.Lane, i int) int {
	for i > 0 && lanes[i-1].Dir == lanes[i].Dir {
		i--
	}
	return i
}
