package flow

import (
	"sync/atomic"
	"time"
)

// A lane starts with firstMarks marks when its second chunk passes (the first
// one is kept in the lane itself, so a small call needs no ring) and doubles
// up to maxMarks, as long as the recorder's budget allows.
const (
	firstMarks = 16
	maxMarks   = 4096
)

// Lane counts and marks the chunks that pass one hop in one direction. One
// goroutine writes it at a time; any number may read.
type Lane struct {
	chunks atomic.Uint64
	bytes  atomic.Uint64
	first  atomic.Int64 // time of the first chunk; 0: none
	firstN atomic.Int64 // its size
	last   atomic.Int64 // time of the last chunk
	gap    atomic.Int64 // the longest time between two chunks
	busy   atomic.Int64 // since when a write waits for the next hop; 0: none does
	waited atomic.Int64 // how long writes have waited in all
	over   atomic.Int64 // when the body's end passed; 0: not yet
	ring   atomic.Pointer[ring]
}

type ring struct {
	marks []mark // a power of two; chunk number i lies at i % len
	gaps  *gaps  // between all chunks of the lane, also those whose marks are overwritten
}

// mark is one chunk. id holds its size above its number's low 32 bits, so that
// a reader can tell whether it has read the mark it wanted, and whole; it is -1
// while the mark is being replaced.
type mark struct{ at, id atomic.Int64 }

func (m *mark) set(i uint64, at, n int64) {
	m.id.Store(-1)
	m.at.Store(at)
	m.id.Store(n<<32 | int64(uint32(i)))
}

// get reads chunk i; ok is false when another chunk has taken its place.
func (m *mark) get(i uint64) (k Mark, ok bool) {
	id, at := m.id.Load(), m.at.Load()
	if id != m.id.Load() || uint32(id) != uint32(i) || id < 0 {
		return Mark{}, false
	}
	return Mark{N: i, At: time.Duration(at), Size: int(id >> 32)}, true
}

// Mark records that a chunk of n bytes has passed now. f must be the flow that
// the lane belongs to. Empty chunks are not recorded.
func (f *Flow) Mark(d Dir, h Hop, n int) {
	if f != nil && n > 0 {
		f.lane(d, h).mark(f, f.now(), n)
	}
}

// MarkLast is Mark, and Finish at the same moment.
func (f *Flow) MarkLast(d Dir, h Hop, n int) {
	if f == nil {
		return
	}
	if n <= 0 {
		f.Finish(d, h)
		return
	}
	l, t := f.lane(d, h), f.now()
	l.mark(f, t, n)
	l.over.CompareAndSwap(0, t)
}

// mark is Mark at a time.
func (l *Lane) mark(f *Flow, t int64, n int) {
	i := l.chunks.Load()
	if i == 0 {
		l.firstN.Store(int64(n))
		l.first.Store(t)
	} else {
		g := t - l.last.Load()
		if g > l.gap.Load() {
			l.gap.Store(g)
		}
		r := l.ring.Load()
		if r == nil || (i >= uint64(len(r.marks)) && len(r.marks) < maxMarks) {
			r = l.grow(f, r, i)
		}
		r.gaps.add(g)
		r.marks[i&uint64(len(r.marks)-1)].set(i, t, int64(n))
	}
	l.last.Store(t)
	l.bytes.Add(uint64(n))
	l.chunks.Store(i + 1)
	if b := l.busy.Load(); b != 0 {
		l.waited.Add(t - b)
		l.busy.Store(0)
	}
}

// Blocked records that a write to the next hop begins; Mark ends it. What a
// reader sees of it is how long the next hop has not been reading.
func (f *Flow) Blocked(d Dir, h Hop) {
	if f != nil {
		f.lane(d, h).busy.Store(f.now())
	}
}

// Finish records that the end of the body has passed a hop. The first call wins.
func (f *Flow) Finish(d Dir, h Hop) {
	if f != nil {
		l := f.lane(d, h)
		if l.over.Load() == 0 {
			l.over.CompareAndSwap(0, f.now())
		}
		l.busy.Store(0)
	}
}

// grow gives a larger ring, or the old one when the budget is used up.
func (l *Lane) grow(f *Flow, old *ring, i uint64) *ring {
	size := firstMarks
	if old != nil {
		size = 2 * len(old.marks)
	}
	if old == nil {
		f.rec.takeAlways(size)
		f.marks.Add(int32(size))
	} else {
		more := size - len(old.marks)
		if !f.rec.take(more) {
			return old
		}
		f.marks.Add(int32(more))
	}
	r := &ring{marks: make([]mark, size)}
	if old == nil { // the first chunk moves in
		r.gaps = &gaps{}
		r.marks[0].set(0, l.first.Load(), l.firstN.Load())
	} else {
		r.gaps = old.gaps
		for j := i - min(i, uint64(len(old.marks))); j < i; j++ {
			m, _ := old.marks[j&uint64(len(old.marks)-1)].get(j)
			r.marks[j&uint64(size-1)].set(j, int64(m.At), int64(m.Size))
		}
	}
	l.ring.Store(r)
	return r
}

// Mark is one chunk as a lane saw it.
type Mark struct {
	N    uint64        `json:"n"`    // the chunk's number in its lane, from 0
	At   time.Duration `json:"at"`   // since the flow began
	Size int           `json:"size"` // bytes
}

// Marks appends the marks of chunks numbered after and above to buf, oldest
// first, and says how many of those were already overwritten.
func (l *Lane) Marks(after uint64, buf []Mark) (marks []Mark, lost uint64) {
	if l == nil {
		return buf, 0
	}
	end := l.chunks.Load()
	if end <= after {
		return buf, 0
	}
	r := l.ring.Load()
	if r == nil { // only the first chunk can be known yet
		return append(buf, Mark{N: 0, At: time.Duration(l.first.Load()), Size: int(l.firstN.Load())}), 0
	}
	size := uint64(len(r.marks))
	from := max(after, end-min(end, size))
	start := len(buf)
	for i := from; i < end; i++ {
		m, ok := r.marks[i&(size-1)].get(i)
		if !ok { // overwritten while we read, and so were all before it
			buf, from = buf[:start], i+1
			continue
		}
		buf = append(buf, m)
	}
	return buf, from - after
}
