package pane

import (
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
	"mesh/tui/trace"
)

// bin is what one column of one lane shows.
type bin struct {
	n     int32
	bytes int64
	is    binKind // what the time is when no chunk passed in it
	first bool    // the lane's first byte
}

type binKind uint8

const (
	binNone    binKind = iota
	binWaiting         // for the first byte
	binIdle            // the producer sends nothing
	binHeld            // a hop further on does not get rid of its bytes
	binQueued          // the sidecar keeps the bytes, though it could write
	binWindow          // the window to the other sidecar is used up
	binBlocked         // the app does not read
	binEnd
	binBroken
)

// A silence is called idle when it is longer than quietTimes the usual gap of
// its lane, but never below quietLeast and always above quietMost.
const (
	quietTimes = 4
	quietLeast = 10 * time.Millisecond
	quietMost  = time.Second
)

// fill computes the bins of all lanes and gives the most bytes in one of them
// for each direction.
func (l *Lanes) fill(lanes []*trace.Lane) (most [2]int64) {
	for len(l.cells) < len(lanes) {
		l.cells = append(l.cells, nil)
	}
	for i, lane := range lanes {
		if cap(l.cells[i]) < l.axis.cols {
			l.cells[i] = make([]bin, l.axis.cols)
		}
		row := l.cells[i][:l.axis.cols]
		clear(row)
		l.cells[i] = row
		l.fillLane(row, lane)
		for c := range row {
			most[lane.Dir&1] = max(most[lane.Dir&1], row[c].bytes)
		}
	}
	l.spread(lanes)
	return most
}

func (l *Lanes) fillLane(row []bin, lane *trace.Lane) {
	from, to := l.axis.edges()
	quiet := min(max(quietLeast, quietTimes*lane.Gaps.Quantile(0.5)), quietMost)
	writes := lane.Hop == flow.CallerOut || lane.Hop == flow.CalleeOut
	waits := binHeld // bytes on the wire wait for a hop further on
	switch {
	case writes && filter.Wire(lane.Dir, lane.Hop) && l.view.Transport == "unary":
		waits = binQueued
	case writes && filter.Wire(lane.Dir, lane.Hop):
		waits = binWindow
	case writes:
		waits = binBlocked
	}
	i := lane.From(from)
	last := time.Duration(-1)
	if i > 0 {
		last = lane.Marks[i-1].At
	}
	for ; i < len(lane.Marks); i++ {
		m := &lane.Marks[i]
		if m.At > l.now {
			break
		}
		begin := m.At // of the time that the chunk waited
		if m.Hold > 0 {
			begin -= m.Hold
			l.span(row, begin, m.At, waits)
		}
		switch {
		case last < 0 && m.N == 0:
			l.span(row, 0, begin, binWaiting)
		case last >= 0 && begin-last > quiet:
			l.span(row, last, begin, binIdle)
		}
		last = m.At
		if m.At >= to { // only what reaches back into sight
			return
		}
		b := &row[l.axis.col(m.At)]
		b.n++
		b.bytes += int64(m.Size)
		b.first = b.first || m.N == 0
	}
	l.fillEnd(row, lane, last, quiet, waits)
}

// fillEnd computes what follows the last chunk.
func (l *Lanes) fillEnd(row []bin, lane *trace.Lane, last, quiet time.Duration, waits binKind) {
	v, _ := l.view.Lane(lane.Dir, lane.Hop)
	if l.view.Live {
		end := l.now + l.axis.per
		switch {
		case v.Blocked > 0 && l.now-v.Blocked > l.axis.per:
			l.span(row, v.Blocked, end, waits)
		case last < 0:
			l.span(row, 0, end, binWaiting)
		case v.Done > 0:
			l.fillDone(row, v.Done, last)
		case l.now-last > quiet && !l.complete(lane, last):
			l.span(row, last, end, binIdle)
		}
		return
	}
	if v.Done > 0 {
		l.fillDone(row, v.Done, last)
		return
	}
	c, mark := l.axis.col(l.now), binEnd
	if l.view.Broken() {
		mark = binBroken
	}
	for ; c >= 0 && c < len(row); c++ {
		if row[c].n == 0 {
			row[c].is = mark
			return
		}
	}
}

// fillDone puts the end of a body behind its last chunk.
func (l *Lanes) fillDone(row []bin, at, last time.Duration) {
	if last < 0 {
		return
	}
	for c := max(l.axis.col(max(at, last)), 0); c < len(row); c++ {
		if row[c].n == 0 {
			row[c].is = binEnd
			return
		}
	}
}

// complete says whether a request that was silent since last seems to have
// come to its end: the reply has begun since.
func (l *Lanes) complete(lane *trace.Lane, last time.Duration) bool {
	if lane.Dir != flow.Request {
		return false
	}
	for i := range l.view.Lanes {
		if v := &l.view.Lanes[i]; v.Dir == flow.Reply && v.Last > last {
			return true
		}
	}
	return false
}

// span says of the whole columns between two times what they are. What is
// known already and weighs more stays.
func (l *Lanes) span(row []bin, from, to time.Duration, is binKind) {
	a, b := l.axis.col(from)+1, l.axis.col(to)
	if from == 0 {
		a-- // the beginning itself is part of it
	}
	for c := max(0, a); c < min(b, len(row)); c++ {
		row[c].is = max(row[c].is, is)
	}
}

// spread marks the lanes before one that is blocked: they cannot read either.
func (l *Lanes) spread(lanes []*trace.Lane) {
	for i := len(lanes) - 2; i >= 0; i-- {
		if lanes[i].Dir != lanes[i+1].Dir {
			continue
		}
		row, next := l.cells[i], l.cells[i+1]
		for c := range row {
			after := next[c].is >= binHeld && next[c].is <= binBlocked
			if after && (row[c].is == binIdle || row[c].is == binNone) {
				row[c].is = binHeld
			}
		}
	}
}
