// Package trace puts the marks of one flow's hops beside each other.
//
// A Trace collects the marks that successive snapshots bring, gives each chunk
// its place in the byte stream of its direction, and so finds the same bytes
// again at the next hop: how long they were held there, and whether chunks
// were merged or split on the way. It is bounded: the oldest marks are
// forgotten, and counted. A Trace belongs to one goroutine.
package trace

import (
	"slices"
	"sort"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
)

// keep is how many marks of a lane are remembered at least: at 200 chunks per
// second almost three minutes, in 1.3 MB.
const keep = 1 << 15

// Mark is one chunk as it passed a hop.
type Mark struct {
	N    uint64        // its number in the lane, from 0
	Off  uint64        // how many bytes of its direction came before it
	At   time.Duration // when it passed, since the flow began
	Size int           // bytes
	Hold time.Duration // since its last byte had passed the hop before; -1: not known
}

// End gives the offset of the byte after the chunk.
func (m Mark) End() uint64 { return m.Off + uint64(m.Size) }

// Lane is what one hop saw in one direction.
type Lane struct {
	Dir flow.Dir
	Hop flow.Hop

	View    flow.LaneView // exact counters
	Marks   []Mark        // oldest first
	Lost    uint64        // marks that were overwritten before they could be read
	Dropped uint64        // marks that were forgotten to make room for newer ones
	Approx  bool          // after a loss offsets are computed from the counters

	Gaps   Hist // times between two chunks
	Holds  Hist // of the chunks, since the hop before
	Merges int  // chunks that hold several chunks of the hop before, or parts of them
	Splits int  // chunks of the hop before that came in several pieces

	up      *Lane  // the hop before, nil for the first
	matched int    // marks before this index know their hold
	upNext  uint64 // where in up the next one is looked for, marks that were dropped counted
	split   uint64 // number of the chunk of up that was last found split, plus one
}

// Trace is all that is known of one flow. Make one with New.
type Trace struct {
	ID   string
	View flow.View // the latest
	Seen bool      // at least one snapshot has come

	next  flow.Cursor
	lanes [8]*Lane
}

// New gives an empty trace of the flow of that id.
func New(id string) *Trace { return &Trace{ID: id} }

// Cursor says which marks are known already.
func (t *Trace) Cursor() flow.Cursor { return t.next }

// Add takes in the snapshot that was taken after Cursor. A snapshot that does
// not follow on the one before is ignored and reported as false.
func (t *Trace) Add(after flow.Cursor, d *flow.Detail) bool {
	if d.ID != t.ID || after != t.next {
		return false
	}
	t.View, t.Seen, t.next = d.View, true, d.Next
	for i := range d.Lanes {
		v := &d.Lanes[i]
		t.lane(v.Dir, v.Hop).View = *v
	}
	for i := range d.Marks {
		t.lane(d.Marks[i].Dir, d.Marks[i].Hop).add(&d.Marks[i])
	}
	for dir := flow.Request; dir <= flow.Reply; dir++ {
		var up *Lane
		for _, l := range t.route(dir) {
			if l.up != up { // a hop that was silent so far came in between
				l.up, l.matched, l.upNext, l.split = up, 0, 0, 0
				l.Holds, l.Merges, l.Splits = Hist{}, 0, 0
			}
			l.match()
			up = l
		}
		for _, l := range t.route(dir) {
			l.forget()
		}
	}
	return true
}

func (t *Trace) lane(d flow.Dir, h flow.Hop) *Lane {
	i := int(d&1)*4 + int(h&3)
	if t.lanes[i] == nil {
		t.lanes[i] = &Lane{Dir: d, Hop: h}
	}
	return t.lanes[i]
}

func (t *Trace) route(d flow.Dir) (lanes []*Lane) {
	for _, h := range filter.Route(d) {
		if l := t.lanes[int(d&1)*4+int(h&3)]; l != nil {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// Lanes gives the lanes that saw bytes or wait to write some, in the order in
// which bytes travel: the request to the app, then the reply back.
func (t *Trace) Lanes() []*Lane { return append(t.route(flow.Request), t.route(flow.Reply)...) }

// Passed gives the chunk of a lane that carried the byte at that offset; ok is
// false when it has not passed or is no longer remembered.
func (l *Lane) Passed(off uint64) (m Mark, ok bool) {
	i := sort.Search(len(l.Marks), func(i int) bool { return l.Marks[i].End() > off })
	if i == len(l.Marks) || l.Marks[i].Off > off {
		return Mark{}, false
	}
	return l.Marks[i], true
}

// From gives the index of the first mark at or after that time.
func (l *Lane) From(at time.Duration) int {
	return sort.Search(len(l.Marks), func(i int) bool { return l.Marks[i].At >= at })
}

// Index gives the index of the mark of that number, or of the oldest one that
// is remembered after it; ok is false when there is none.
func (l *Lane) Index(n uint64) (i int, ok bool) {
	i = sort.Search(len(l.Marks), func(i int) bool { return l.Marks[i].N >= n })
	return i, i < len(l.Marks)
}

func (l *Lane) add(marks *flow.LaneMarks) {
	off := uint64(0)
	if n := len(l.Marks); n > 0 {
		off = l.Marks[n-1].End()
	}
	if first := marks.Marks[0].N; marks.Lost > 0 || (len(l.Marks) == 0 && first > 0) {
		// What was lost has a length all the same: count back from the total.
		// It may be off by a chunk that passed between two loads.
		l.Lost += marks.Lost
		l.Approx = true
		total := l.View.Bytes
		for _, m := range marks.Marks {
			if m.N < l.View.Chunks {
				total -= min(total, uint64(m.Size))
			}
		}
		off = max(off, total)
	}
	for _, m := range marks.Marks {
		if n := len(l.Marks); n > 0 && l.Marks[n-1].N+1 == m.N {
			l.Gaps.Add(m.At - l.Marks[n-1].At)
		}
		l.Marks = append(l.Marks, Mark{N: m.N, Off: off, At: m.At, Size: m.Size, Hold: -1})
		off += uint64(m.Size)
	}
}

// match finds the bytes of new marks at the hop before. What has not been
// read there yet is looked for again next time.
func (l *Lane) match() {
	if l.up == nil {
		l.matched = len(l.Marks)
		return
	}
	up, dropped := l.up.Marks, l.up.Dropped
	for ; l.matched < len(l.Marks); l.matched++ {
		m := &l.Marks[l.matched]
		i := int(max(l.upNext, dropped) - dropped)
		for i < len(up) && up[i].End() <= m.Off {
			i++
		}
		first := i
		for i < len(up) && up[i].End() < m.End() {
			i++
		}
		if i == len(up) {
			l.upNext = dropped + uint64(first)
			return
		}
		l.upNext = dropped + uint64(i)
		if up[i].Off >= m.End() { // it was lost there
			continue
		}
		m.Hold = max(0, m.At-up[i].At)
		l.Holds.Add(m.Hold)
		if first != i {
			l.Merges++
		}
		if up[i].End() > m.End() && l.split != up[i].N+1 {
			l.split = up[i].N + 1
			l.Splits++
		}
	}
}

// forget drops the oldest marks when there are twice as many as are kept.
func (l *Lane) forget() {
	n := len(l.Marks) - keep
	if n < keep {
		return
	}
	l.Marks = slices.Delete(l.Marks, 0, n)
	l.Dropped += uint64(n)
	l.matched = max(0, l.matched-n)
}
