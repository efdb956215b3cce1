package control

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
)

const (
	tapInterval = 25 * time.Millisecond // between two looks at the recorder
	tapShare    = 5                     // a look may take one part in so many of the time, unless
	tapPatience = time.Second / 2       // that made it wait for longer than this
	reread      = 64                    // ended flows that are looked at once more: ends are counted out of order
	lookBack    = 4096                  // ended flows that the recorder remembers
)

// tap streams what invocations do, from those under way on. With ?filter only
// those that the filter chooses, now or as soon as it does: what they did before
// is told then.
func (s *Server) tap(w http.ResponseWriter, r *http.Request) {
	chosen, err := filter.Parse(r.URL.Query().Get("filter"))
	if err != nil {
		fail(w, badFilter(err))
		return
	}
	stop := s.o.Flows.Watch()
	defer stop()
	out := newFeed(w)
	t := newTapper(s.o.Flows, chosen)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.Context().Done(): // one last look, for whoever is still there
		case <-timer.C:
		}
		began := time.Now()
		events := t.look(began)
		took := time.Since(began)
		for _, e := range events {
			if out.send(e) != nil {
				return
			}
		}
		if out.flush() != nil || r.Context().Err() != nil {
			return
		}
		// With many thousands of streams a look takes long: look less often.
		timer.Reset(max(tapInterval, min(tapShare*took, tapPatience)))
	}
}

func badFilter(err error) *Error {
	e := badRequest("reading the filter", "%v", err)
	if f, ok := errors.AsType[*filter.Error](err); ok {
		e.Hint = f.Hint
	}
	return e
}

// tapper turns snapshots of a recorder into events. It holds on to the flows
// it has seen, so of those it tells everything but overwritten marks, however
// slowly it is asked. It is not for several goroutines.
type tapper struct {
	rec    *flow.Recorder
	chosen *filter.Filter
	open   map[flow.ID]*tapped
	told   map[flow.ID]bool // ended flows that may still be found among the recent ones
	order  []flow.ID        // those of told, oldest first

	base    uint64 // flows that had begun when the tapper was made
	ended   uint64 // flows that had ended at the last look
	seen    uint64 // flows begun since base that were found
	lost    uint64 // of those since base, reported as not found
	missing uint64 // not found at the last look; some may only have been between two places

	flows []*flow.Flow
	marks []flow.Mark
}

// tapped is a flow that has been found and whose end has not been told.
type tapped struct {
	f     *flow.Flow
	after flow.Cursor
	begun bool // told
	head  bool // told
}

func newTapper(rec *flow.Recorder, chosen *filter.Filter) *tapper {
	t := &tapper{rec: rec, chosen: chosen, open: map[flow.ID]*tapped{}, told: map[flow.ID]bool{}}
	// What is live is told from its beginning and not counted as begun since:
	// take count and flows at a moment when none begins, if there is one.
	for range 8 {
		t.base, t.ended = rec.Totals()
		clear(t.open)
		t.flows = rec.Live(t.flows[:0])
		for _, f := range t.flows {
			t.open[f.ID()] = &tapped{f: f}
		}
		if now, _ := rec.Totals(); now == t.base {
			break
		}
	}
	for _, f := range rec.Recent(nil, lookBack) {
		if t.open[f.ID()] == nil {
			t.remember(f.ID())
		}
	}
	return t
}

// look gives what has happened since the last look, up to now, oldest first.
func (t *tapper) look(now time.Time) []Event {
	begun, ended := t.rec.Totals()
	t.flows = t.rec.Live(t.flows[:0])
	t.flows = t.rec.Recent(t.flows, int(min(ended-t.ended+reread, lookBack)))
	t.ended = ended
	for _, f := range t.flows {
		if id := f.ID(); t.open[id] == nil && !t.told[id] {
			t.open[id] = &tapped{f: f}
			t.seen++
		}
	}
	clear(t.flows) // do not keep what nobody else does
	var events []Event
	for id, o := range t.open {
		var over bool
		events, over = t.follow(o, now, events)
		if over {
			delete(t.open, id)
			t.remember(id)
		}
	}
	if n := t.unseen(begun); n > 0 {
		events = append(events, Event{Event: Lost, At: now, N: &n})
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.At.Compare(b.At) })
	return events
}

// unseen gives the number of invocations that passed between two looks and
// are not to be found any more. A flow that is just ending is for a moment
// neither live nor recent, so only what is missing twice counts.
func (t *tapper) unseen(begun uint64) uint64 {
	var missing uint64
	if all := t.base + t.seen + t.lost; begun > all {
		missing = begun - all
	}
	n := min(missing, t.missing)
	t.lost += n
	t.missing = missing - n
	return n
}

// remember keeps the flow from being told again.
func (t *tapper) remember(id flow.ID) {
	if len(t.order) >= 2*lookBack {
		delete(t.told, t.order[0])
		t.order = t.order[1:]
	}
	t.told[id] = true
	t.order = append(t.order, id)
}

// follow appends what has happened to a flow up to now, and says whether that
// was its end. Whatever is later is left for the next look, so that the looks
// as well as their events are in order.
func (t *tapper) follow(o *tapped, now time.Time, events []Event) ([]Event, bool) {
	v := o.f.View() // before the marks: a flow seen as ended has all of its marks
	if v.Begun.After(now) {
		return events, false
	}
	upTo := now.Sub(v.Begun)
	over := !v.Live && v.Age <= upTo
	if !o.begun && !t.chosen.Match(&v) {
		return events, over // it may be chosen later, and is told from its beginning then
	}
	if !o.begun {
		o.begun = true
		events = append(events, about(Begin, v.Begun, &v))
	}
	if !o.head && v.Replied > 0 && v.Replied <= upTo {
		o.head = true
		e := about(Head, v.Begun.Add(v.Replied), &v)
		e.Status = v.Status
		events = append(events, e)
	}
	for d := flow.Request; d <= flow.Reply; d++ {
		for h := flow.CallerIn; h <= flow.CalleeOut; h++ {
			events = t.lane(o, &v, d, h, upTo, events)
		}
	}
	if over {
		events = append(events, ended(&v))
	}
	return events, over
}

// lane appends the chunks that one hop has seen up to a moment.
func (t *tapper) lane(o *tapped, v *flow.View, d flow.Dir, h flow.Hop, upTo time.Duration, events []Event) []Event {
	after := &o.after[int(d)*4+int(h)]
	marks, lost := o.f.Lane(d, h).Marks(*after, t.marks[:0])
	t.marks = marks
	if lost > 0 {
		*after += lost
		at := v.Begun.Add(upTo)
		if len(marks) > 0 {
			at = v.Begun.Add(min(marks[0].At, upTo))
		}
		events = append(events, Event{Event: Lost, At: at, Flow: v.ID, Dir: &d, Hop: &h, N: &lost})
	}
	for _, m := range marks {
		if m.At > upTo {
			break
		}
		*after = m.N + 1
		at := m.At
		if !v.Live { // the far end may mark a last chunk when the near one is through
			at = min(at, v.Age)
		}
		events = append(events, Event{Event: Chunk, At: v.Begun.Add(at), Flow: v.ID, Dir: &d, Hop: &h, N: &m.N, Size: m.Size})
	}
	return events
}
