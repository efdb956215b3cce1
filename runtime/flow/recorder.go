package flow

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shards     = 16
	keepRecent = 4096    // flows remembered after their end
	markBudget = 1 << 20 // marks in all lanes together: 16 MiB
)

// Recorder keeps the live flows and the most recent ended ones of one process.
// Make one with NewRecorder; a nil *Recorder records nothing.
type Recorder struct {
	watchers atomic.Int32
	seq      atomic.Uint64
	marks    atomic.Int64 // marks allocated by the flows that are still kept
	begun    atomic.Uint64
	ended    atomic.Uint64

	live   [shards]shard
	recent [keepRecent]atomic.Pointer[Flow]
	next   atomic.Uint64 // where the next ended flow goes, modulo keepRecent

	captures captures
}

type shard struct {
	mu    sync.Mutex // held for a map access, or while pointers are copied out
	flows map[ID]*Flow
}

// NewRecorder gives a recorder that nobody watches yet.
func NewRecorder() *Recorder {
	r := &Recorder{}
	r.seq.Store(rand.Uint64())
	for i := range r.live {
		r.live[i].flows = make(map[ID]*Flow)
	}
	return r
}

// Watch makes the recorder record until stop is called. Calls may overlap.
func (r *Recorder) Watch() (stop func()) {
	r.watchers.Add(1)
	return sync.OnceFunc(func() { r.watchers.Add(-1) })
}

// Begin starts the record of an invocation, or gives nil when nobody watches.
// Whoever begins a flow ends it with End.
func (r *Recorder) Begin(h Head) *Flow {
	if r == nil || r.watchers.Load() == 0 {
		return nil
	}
	// An odd multiplier is a bijection: unique, and spread over the shards.
	return r.add(ID(r.seq.Add(1)*0x9e3779b97f4a7c15), h)
}

// Join gives the live flow of that id when it began in this process; otherwise
// it begins one under that id. began says which: who began it must end it.
func (r *Recorder) Join(id ID, h Head) (f *Flow, began bool) {
	if r == nil || r.watchers.Load() == 0 {
		return nil, false
	}
	if id == 0 {
		return r.Begin(h), true
	}
	s := r.shard(id)
	s.mu.Lock()
	f = s.flows[id]
	s.mu.Unlock()
	if f != nil {
		return f, false
	}
	return r.add(id, h), true
}

func (r *Recorder) add(id ID, h Head) *Flow {
	if h.Begun.IsZero() {
		h.Begun = time.Now()
	}
	f := &Flow{id: id, head: h, rec: r}
	if n := r.captures.limit.Load(); n > 0 {
		f.capture.Store(&capture{rec: r, limit: int(n)})
		r.captures.flows.Add(1)
	}
	s := r.shard(id)
	s.mu.Lock()
	s.flows[id] = f
	s.mu.Unlock()
	r.begun.Add(1)
	return f
}

func (r *Recorder) shard(id ID) *shard { return &r.live[uint64(id)>>60%shards] }

func (r *Recorder) end(f *Flow) {
	s := r.shard(f.id)
	s.mu.Lock()
	if s.flows[f.id] == f {
		delete(s.flows, f.id)
	}
	s.mu.Unlock()
	r.captures.endCapture(f)
	i := r.next.Add(1) - 1
	old := r.recent[i%keepRecent].Swap(f)
	// The old one has left the cache long ago: it is not looked at for nothing.
	if old != nil && (r.marks.Load() > 0 || r.captures.flows.Load() > 0) {
		r.marks.Add(-int64(old.marks.Load()))
		r.captures.forget(old)
	}
	r.ended.Add(1)
}

func (r *Recorder) take(n int) bool {
	if r.marks.Add(int64(n)) > markBudget {
		r.marks.Add(int64(-n))
		return false
	}
	return true
}

func (r *Recorder) takeAlways(n int) { r.marks.Add(int64(n)) }

// Live appends the flows that have not ended to buf, in no order.
func (r *Recorder) Live(buf []*Flow) []*Flow {
	if r == nil {
		return buf
	}
	for i := range r.live {
		s := &r.live[i]
		s.mu.Lock()
		for _, f := range s.flows {
			buf = append(buf, f)
		}
		s.mu.Unlock()
	}
	return buf
}

// Recent appends up to n of the flows that ended last to buf, the latest first.
func (r *Recorder) Recent(buf []*Flow, n int) []*Flow {
	if r == nil {
		return buf
	}
	next := r.next.Load()
	for i := range min(uint64(max(n, 0)), next, keepRecent) {
		if f := r.recent[(next-1-i)%keepRecent].Load(); f != nil {
			buf = append(buf, f)
		}
	}
	return buf
}

// find is Find for an id as text; what is no id gives nil.
func (r *Recorder) find(id string) *Flow {
	n, err := ParseID(id)
	if err != nil {
		return nil
	}
	return r.Find(n)
}

// Find gives the flow of that id, live or recent, or nil.
func (r *Recorder) Find(id ID) *Flow {
	if r == nil {
		return nil
	}
	s := r.shard(id)
	s.mu.Lock()
	f := s.flows[id]
	s.mu.Unlock()
	if f != nil {
		return f
	}
	for i := range r.recent {
		if f := r.recent[i].Load(); f != nil && f.id == id {
			return f
		}
	}
	return nil
}

// Totals counts the flows that were begun and ended since the recorder was made.
func (r *Recorder) Totals() (begun, ended uint64) {
	if r == nil {
		return 0, 0
	}
	return r.begun.Load(), r.ended.Load()
}

// Stats says how much a recorder holds, and what it had to let go of.
type Stats struct {
	Begun     uint64 `json:"begun"`     // flows since the recorder was made
	Ended     uint64 `json:"ended"`     // of them
	Forgotten uint64 `json:"forgotten"` // ended flows that are no longer remembered
	Marks     uint64 `json:"marks"`     // chunk marks that there is room for now
	Limit     int    `json:"limit"`     // bytes captured of each body of new flows; 0: none
	Captured  uint64 `json:"captured"`  // bytes of memory that captured bodies take
	Shed      uint64 `json:"shed"`      // ended flows whose captured bytes were given up
}

// Stats takes a snapshot of what is held.
func (r *Recorder) Stats() Stats {
	if r == nil {
		return Stats{}
	}
	next := r.next.Load()
	s := Stats{
		Begun: r.begun.Load(), Ended: r.ended.Load(), Forgotten: next - min(next, keepRecent),
		Marks: uint64(max(0, r.marks.Load())), Limit: r.Capturing(), Captured: uint64(max(0, r.captures.held.Load())),
	}
	r.captures.mu.Lock()
	s.Shed = r.captures.shed
	r.captures.mu.Unlock()
	return s
}

// Detail gives the flow of that id with the marks that came after the cursor;
// ok is false when the flow is not remembered or id is not one.
func (r *Recorder) Detail(id string, after Cursor) (d Detail, ok bool) {
	f := r.find(id)
	if f == nil {
		return Detail{}, false
	}
	return f.Detail(after), true
}
