package pane

import (
	"time"

	"mesh/runtime/flow"
	"mesh/tui/trace"
)

// Lanes shows one flow: a lane per hop on one axis of time, a tick per chunk.
// Make one with NewLanes.
type Lanes struct {
	w     *World
	trace *trace.Trace // nil: no flow is chosen
	queue []recorded   // what came while the view was frozen
	gone  bool         // the flow is no longer remembered by the recorder
	now   time.Duration
	view  flow.View // what is shown; stays while the view is frozen
	axis  axis
	keys  []Binding

	lane   laneID // the selected one
	chunk  uint64 // the number of the selected chunk, when picked
	picked bool

	cells      [][]bin // one row of bins for each lane, reused
	bytes      inspector
	near       [2]Lines // the output of caller and callee
	abbreviate bool     // names of hops are too long to be written out
	plotX      int      // where the plot was drawn, for clicks
	laneTop    []int    // the first line of each lane that was drawn
}

// recorded is a snapshot that is not shown yet.
type recorded struct {
	after  flow.Cursor
	detail flow.Detail
}

// maxQueue bounds what is put aside while the view is frozen, which takes
// some minutes; what comes later is taken in at once, and shown late.
const maxQueue = 4096

type laneID struct {
	dir flow.Dir
	hop flow.Hop
}

// NewLanes gives the pane that looks at w.
func NewLanes(w *World) *Lanes {
	l := &Lanes{w: w}
	l.keys = l.bindings()
	return l
}

// Choose turns to the flow of that id. Choosing one again that was said to be
// forgotten asks for it once more: the mesh may only have been slow to answer.
func (l *Lanes) Choose(id string) {
	if id == "" || id == l.Flow() && !l.gone {
		return
	}
	l.trace, l.queue, l.gone, l.now, l.view = trace.New(id), nil, false, 0, flow.View{}
	l.axis = axis{}
	l.picked = false
	l.bytes.known, l.bytes.whole, l.bytes.top = false, false, 0
	l.lane = laneID{flow.Reply, flow.CallerOut}
}

// Flow gives the id of the chosen flow, "" when there is none.
func (l *Lanes) Flow() string {
	if l.trace == nil {
		return ""
	}
	return l.trace.ID
}

// Want says which marks are still unknown; id is "" when none are wanted.
func (l *Lanes) Want() (id string, after flow.Cursor) {
	if l.trace == nil || l.gone {
		return "", flow.Cursor{}
	}
	after, ended := l.trace.Cursor(), l.trace.Seen && !l.trace.View.Live
	if n := len(l.queue); n > 0 {
		after, ended = l.queue[n-1].detail.Next, !l.queue[n-1].detail.Live
	}
	if ended {
		return "", flow.Cursor{}
	}
	return l.trace.ID, after
}

// Add takes in what came for a Want; ok is false when the flow is no longer
// remembered. It says whether bytes have moved.
func (l *Lanes) Add(id string, after flow.Cursor, d *flow.Detail, ok bool) (moved bool) {
	if l.trace == nil || id != l.trace.ID {
		return false
	}
	if !ok {
		l.gone = true
		return true
	}
	if l.w.Frozen && l.trace.Seen && len(l.queue) < maxQueue {
		if _, want := l.Want(); want == after {
			l.queue = append(l.queue, recorded{after, *d})
		}
		return true
	}
	l.drain()
	return l.trace.Add(after, d) && (len(d.Marks) > 0 || !d.Live)
}

// drain takes in what was put aside.
func (l *Lanes) drain() {
	for _, r := range l.queue {
		l.trace.Add(r.after, &r.detail)
	}
	l.queue = nil
}

// Refresh shows what has been taken in; the screen does not call it while the
// view is frozen.
func (l *Lanes) Refresh() {
	if l.trace != nil && l.trace.Seen {
		l.drain()
		l.view, l.now = l.trace.View, l.trace.View.Age
	}
}

// Moving says whether the picture changes by itself.
func (l *Lanes) Moving() bool {
	return l.trace != nil && !l.gone && !l.w.Frozen && (!l.trace.Seen || l.trace.View.Live)
}

// lanes gives what there is to draw.
func (l *Lanes) lanes() []*trace.Lane {
	if l.trace == nil {
		return nil
	}
	return l.trace.Lanes()
}

// selected gives the selected lane and its index, nil when there are no lanes.
func (l *Lanes) selected() (*trace.Lane, int) {
	all := l.lanes()
	for i, one := range all {
		if one.Dir == l.lane.dir && one.Hop == l.lane.hop {
			return one, i
		}
	}
	if len(all) == 0 {
		return nil, -1
	}
	return all[len(all)-1], len(all) - 1
}

// stepLane selects another lane, and in it the chunk with the same bytes.
func (l *Lanes) stepLane(n int) {
	all := l.lanes()
	was, i := l.selected()
	if was == nil {
		return
	}
	to := all[(i+n+len(all))%len(all)]
	l.lane = laneID{to.Dir, to.Hop}
	if !l.picked {
		return
	}
	l.picked = false
	if j, ok := was.Index(l.chunk); ok && was.Dir == to.Dir {
		if m, ok := to.Passed(was.Marks[j].End() - 1); ok {
			l.chunk, l.picked = m.N, true
		}
	}
}

// stepChunk selects the chunk n after the selected one; without one it begins
// with the last.
func (l *Lanes) stepChunk(n int) {
	lane, _ := l.selected()
	if lane == nil || len(lane.Marks) == 0 {
		return
	}
	i := lane.From(l.now+1) - 1
	if l.picked {
		i, _ = lane.Index(l.chunk)
		i += n
	}
	i = min(max(0, i), len(lane.Marks)-1)
	l.chunk, l.picked = lane.Marks[i].N, true
	l.lane = laneID{lane.Dir, lane.Hop}
	l.axis.reveal(lane.Marks[i].At, l.now, l.view.Live)
}

// pick gives the chunk that the inspector shows: the selected one, or the
// latest of the selected lane.
func (l *Lanes) pick() (lane *trace.Lane, m trace.Mark, ok bool) {
	lane, _ = l.selected()
	if lane == nil {
		return nil, trace.Mark{}, false
	}
	i := lane.From(l.now+1) - 1
	if l.picked {
		i, _ = lane.Index(l.chunk)
	}
	if i < 0 || i >= len(lane.Marks) {
		return lane, trace.Mark{}, false
	}
	return lane, lane.Marks[i], true
}

// Bindings gives what keys do here.
func (l *Lanes) Bindings() []Binding { return l.keys }

func (l *Lanes) bindings() []Binding {
	return append([]Binding{
		move([]string{"down", "tab", "j"}, "next lane", "select the next lane", func() { l.stepLane(1) }),
		move([]string{"up", "shift+tab", "k"}, "lane before", "select the lane before", func() { l.stepLane(-1) }),
		{Keys: []string{"]", "."}, Name: "next chunk", Help: "select the next chunk", Do: func(string) Action { l.stepChunk(1); return nil }},
		{Keys: []string{"[", ","}, Name: "chunk before", Help: "select the chunk before", Hint: "chunk", Do: func(string) Action { l.stepChunk(-1); return nil }},
		move([]string{"}"}, "10 chunks on", "ten chunks on", func() { l.stepChunk(10) }),
		move([]string{"{"}, "10 chunks back", "ten chunks back", func() { l.stepChunk(-10) }),
		{Keys: []string{"+", "="}, Name: "zoom in", Help: "show less time, closer", Hint: "zoom", Do: func(string) Action {
			l.axis.zoom(2, l.focus(), l.now, l.view.Live)
			return nil
		}},
		move([]string{"-", "_"}, "zoom out", "show more time", func() { l.axis.zoom(0.5, l.focus(), l.now, l.view.Live) }),
		{Keys: []string{"left", "h"}, Name: "pan left", Help: "go back in time", Hint: "pan", Do: func(string) Action {
			l.axis.pan(-0.2, l.now, l.view.Live)
			return nil
		}},
		move([]string{"right", "l"}, "pan right", "go on in time", func() { l.axis.pan(0.2, l.now, l.view.Live) }),
		move([]string{"pgup", "shift+left"}, "page left", "go back a whole screen, or a page of bytes", func() { l.page(-1) }),
		move([]string{"pgdown", "shift+right"}, "page right", "go on a whole screen, or a page of bytes", func() { l.page(1) }),
		{Keys: []string{"0", "f"}, Name: "fit", Help: "the whole stream at once", Hint: "fit", Do: func(string) Action { l.axis.fit(); return nil }},
		move([]string{"home", "g"}, "begin", "go to the first byte", func() { l.axis.to(0, l.now, l.view.Live) }),
		{Keys: []string{"end", "G"}, Name: "now", Help: "follow the stream again", Hint: "now", Do: func(string) Action {
			l.axis.now()
			l.picked = false
			return nil
		}},
		{Keys: []string{"enter", "i"}, Name: "inspect", Help: "show the bytes of the chunk, or no longer", Hint: "bytes", Do: func(string) Action { return l.toggleBytes() }},
		{Keys: []string{"v"}, Name: "next form", Help: "bytes as text, JSON, events, gRPC, hex", Do: func(string) Action { return l.nextForm(1) }},
		{Keys: []string{"V"}, Name: "form before", Help: "the same, backwards", Do: func(string) Action { return l.nextForm(-1) }},
		{Keys: []string{"b"}, Name: "capture stream", Help: "capture the bytes of this stream, or no longer", Do: func(string) Action { return l.setCapture(false) }},
		{Keys: []string{"B"}, Name: "capture all", Help: "capture the bytes of all new streams, or no longer", Do: func(string) Action { return l.setCapture(true) }},
		{Keys: []string{"L"}, Name: "stream logs", Help: "the logs of the called app at the chunk's moment", Do: func(string) Action { return l.logs() }},
	}, l.copies()...)
}

// logs shows the lines of the app that is called from the moment of the selected
// chunk on; without one the latest of a live stream, or those from the beginning
// of an ended one on.
func (l *Lanes) logs() Action {
	if l.view.Callee == "" {
		return nil
	}
	show := Show{View: ViewLogs, App: l.view.Callee}
	if _, m, ok := l.pick(); ok && l.picked {
		show.At = l.view.Begun.Add(m.At)
	} else if !l.view.Live {
		show.At = l.view.Begun
	}
	return show
}

// Unpick closes the inspector or, when it is closed, lets go of the selected
// chunk; it says whether there was something to do.
func (l *Lanes) Unpick() bool {
	if l.bytes.open {
		l.bytes.open = false
		return true
	}
	was := l.picked
	l.picked = false
	return was
}

// focus gives the time around which to zoom: the selected chunk when there is
// one, -1 for the middle or, when the axis follows, for the right edge.
func (l *Lanes) focus() time.Duration {
	if lane, m, ok := l.pick(); ok && l.picked && lane != nil {
		return m.At
	}
	return -1
}

// Click selects the lane at line y and the chunk nearest to column x.
func (l *Lanes) Click(x, y int) Action {
	all := l.lanes()
	i := len(l.laneTop) - 1
	for i >= 0 && y < l.laneTop[i] {
		i--
	}
	if i < 0 || i >= len(all) {
		return nil
	}
	lane := all[i]
	l.lane, l.picked = laneID{lane.Dir, lane.Hop}, false
	if x < l.plotX || len(lane.Marks) == 0 {
		return nil
	}
	at := l.axis.time(x - l.plotX)
	j := min(lane.From(at), len(lane.Marks)-1)
	if j > 0 && at-lane.Marks[j-1].At < lane.Marks[j].At-at {
		j--
	}
	l.chunk, l.picked = lane.Marks[j].N, true
	return nil
}

// Wheel zooms at column x.
func (l *Lanes) Wheel(n, x int) {
	factor := 1.25
	if n > 0 {
		factor = 0.8
	}
	at := time.Duration(-1)
	if x >= l.plotX && !l.axis.following(l.view.Live) {
		at = l.axis.time(x - l.plotX)
	}
	l.axis.zoom(factor, at, l.now, l.view.Live)
}
