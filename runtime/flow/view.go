package flow

import (
	"slices"
	"time"
)

// View is a flow at one moment, as a plain value.
type View struct {
	ID string `json:"id"`
	Head
	Peer
	Age     time.Duration `json:"age"`               // since it began, until it ended
	Live    bool          `json:"live"`              // has not ended
	Status  int           `json:"status,omitempty"`  // HTTP status of the reply's head
	Replied time.Duration `json:"replied,omitempty"` // when the reply's head arrived
	Held    time.Duration `json:"held,omitempty"`    // time spent waiting for the app, so far
	Holding bool          `json:"holding,omitempty"` // waiting now
	Err     string        `json:"error,omitempty"`   // why it broke off, or what was wrong
	// Answered says that it did not break off: Err is what the answer says.
	Answered bool       `json:"answered,omitempty"`
	Kept     bool       `json:"kept,omitempty"`  // bytes of its bodies are, or may be, captured
	Lanes    []LaneView `json:"lanes,omitempty"` // the lanes that saw bytes, or wait to write some
}

// Broken says whether the invocation broke off.
func (v View) Broken() bool { return v.Err != "" && !v.Answered }

// LaneView is a lane at one moment.
type LaneView struct {
	Dir     Dir           `json:"dir"`
	Hop     Hop           `json:"hop"`
	Chunks  uint64        `json:"chunks"`
	Bytes   uint64        `json:"bytes"`
	First   time.Duration `json:"first"`             // time of the first chunk, since the flow began
	Last    time.Duration `json:"last"`              // time of the last one
	Gap     time.Duration `json:"gap"`               // longest time between two chunks
	GapP50  time.Duration `json:"gap_p50,omitempty"` // half of the times between two chunks are shorter
	GapP99  time.Duration `json:"gap_p99,omitempty"` // 99 in a hundred are
	Waited  time.Duration `json:"waited,omitempty"`  // how long writes have waited for the next hop in all
	Done    time.Duration `json:"done,omitempty"`    // when the end of the body passed; 0: it has not
	Blocked time.Duration `json:"blocked,omitempty"` // since when a write has been waiting for the next hop
}

// View takes a snapshot of the flow.
func (f *Flow) View() View {
	if f == nil {
		return View{}
	}
	v := View{ID: f.id.String(), Head: f.head}
	end := f.ended.Load()
	v.Live = end == 0
	if v.Live {
		end = f.now()
	}
	v.Age = time.Duration(end)
	if p := f.peer.Load(); p != nil {
		v.Peer = *p
	}
	v.Status = int(f.status.Load())
	v.Replied = time.Duration(f.replied.Load())
	v.Held = time.Duration(f.holdSum.Load())
	if t := f.held.Load(); t != 0 && v.Live {
		v.Holding = true
		v.Held += time.Duration(max(0, end-t))
	}
	if s := f.err.Load(); s != nil {
		v.Err, v.Answered = s.text, s.answered
	}
	v.Kept = f.capture.Load() != nil
	for i := range lanes {
		l := f.Lane(Dir(i/4), Hop(i%4))
		if l == nil {
			continue
		}
		lv := LaneView{
			Dir: Dir(i / 4), Hop: Hop(i % 4),
			Chunks: l.chunks.Load(), Bytes: l.bytes.Load(),
			First: time.Duration(l.first.Load()), Last: time.Duration(l.last.Load()), Gap: time.Duration(l.gap.Load()),
		}
		lv.Waited, lv.Done = time.Duration(l.waited.Load()), time.Duration(l.over.Load())
		if v.Live {
			lv.Blocked = time.Duration(l.busy.Load())
		}
		if r := l.ring.Load(); r != nil {
			lv.GapP50, lv.GapP99 = r.gaps.quantiles()
		}
		if lv.Chunks > 0 || lv.Blocked > 0 {
			if v.Lanes == nil {
				v.Lanes = make([]LaneView, 0, lanes/2)
			}
			v.Lanes = append(v.Lanes, lv)
		}
	}
	return v
}

// Lane gives the view of one lane, and whether it saw anything.
func (v View) Lane(d Dir, h Hop) (LaneView, bool) {
	for _, l := range v.Lanes {
		if l.Dir == d && l.Hop == h {
			return l, true
		}
	}
	return LaneView{}, false
}

// Cursor says for each lane how many of its chunks a reader has already seen.
// The zero value has seen none. Lanes are numbered direction * 4 + hop.
type Cursor [lanes]uint64

// Detail is a flow with marks of its chunks.
type Detail struct {
	View
	Marks []LaneMarks `json:"marks"`
	Next  Cursor      `json:"next"` // pass it to the next Detail
}

// LaneMarks are marks of one lane, oldest first.
type LaneMarks struct {
	Dir   Dir    `json:"dir"`
	Hop   Hop    `json:"hop"`
	Lost  uint64 `json:"lost,omitempty"` // chunks since the cursor whose marks were overwritten
	Marks []Mark `json:"marks"`
}

// Detail takes a snapshot of the flow with the marks that came after the cursor.
func (f *Flow) Detail(after Cursor) Detail {
	if f == nil {
		return Detail{}
	}
	d := Detail{Next: after}
	// A flow that ends between the two is seen as live with all its marks,
	// never as ended with some of them missing.
	d.View = f.View()
	for i := range lanes {
		marks, lost := f.Lane(Dir(i/4), Hop(i%4)).Marks(after[i], nil)
		if len(marks) == 0 {
			continue
		}
		d.Next[i] = marks[len(marks)-1].N + 1
		d.Marks = append(d.Marks, LaneMarks{Dir: Dir(i / 4), Hop: Hop(i % 4), Lost: lost, Marks: marks})
	}
	return d
}

// Views gives a snapshot of the live flows, the latest begun first, and after
// them of up to recent flows that have ended, the latest first.
func (r *Recorder) Views(recent int) []View {
	live := r.Live(nil)
	slices.SortFunc(live, func(a, b *Flow) int { return b.head.Begun.Compare(a.head.Begun) })
	all := r.Recent(live, recent)
	views := make([]View, 0, len(all))
	for _, f := range all {
		views = append(views, f.View())
	}
	return views
}
