package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
	"mesh/tui/pane"
)

// How long the screen waits between two snapshots: while chunks pass in the
// lanes (the time of one column at first), while anything else changes, while
// nothing does, and while the terminal is not in focus. Then nobody types, but
// somebody may look with half an eye, so what has changed still comes.
const (
	laneTick  = 66 * time.Millisecond
	busyTick  = 100 * time.Millisecond
	quietTick = 500 * time.Millisecond
	blurTick  = 2 * time.Second
)

// manyCells is the size of a terminal in which a frame of the lanes, which
// changes everywhere at once, costs so much that fewer have to do.
const manyCells = 7000

// share bounds what the screen costs when there is more to read than usual: it
// waits so many times longer than snapshots and frames take on average, up to
// slowest. Costs are averaged, for a busy machine makes single ones look long.
const (
	share   = 20
	slowest = 500 * time.Millisecond
)

// How much is asked for at once.
const (
	recentFlows   = 256
	filteredFlows = 2048 // when a filter may have to look further back
	logLines      = 5000
	tailLines     = 60
	rawLines      = 2000
	nearLines     = 500
)

// pulling is the state of the clock.
type pulling struct {
	gen   int // of the running pull; the results of earlier ones are ignored
	wants wants
	quiet int // snapshots in a row without anything new
	lists time.Time
	last  uint64        // sum of all counters at the last snapshot
	cost  time.Duration // of a snapshot, on average
	frame time.Duration // of a frame, on average
}

// average moves an average an eighth of the way to a new value.
func average(d *time.Duration, now time.Duration) { *d += (now - *d) / 8 }

// wants is which data the screen asks for.
type wants struct {
	view   pane.View
	flow   string
	log    string
	tail   string
	recent int
	raw    bool
	bytes  pane.Span
}

// pulled is a snapshot.
type pulled struct {
	gen int
	at  time.Time
	// forced says that something was done meanwhile which it has to be shown for.
	forced bool
	cost   time.Duration
	fault  *PanicError

	mesh  *state.Mesh
	lists bool
	flows []flow.View

	flow   string
	after  flow.Cursor
	detail flow.Detail
	found  bool

	bytes  pane.Span // Flow is "" when none are wanted
	body   flow.Body
	stored bool
	stats  flow.Stats

	log, tail           string
	logAfter, tailAfter uint64
	logs, tails         []state.Line
	raw                 []state.Line
	near                [2]heard
}

// heard is output of one app for the lanes.
type heard struct {
	app   string
	after uint64
	lines []state.Line
}

func (m *model) wants() wants {
	w := wants{view: m.view, recent: recentFlows, raw: m.raw.on}
	if m.streams.Filtered() != "" {
		w.recent = filteredFlows
	}
	w.flow = m.lanes.Flow()
	w.log, _ = m.logs.Lines.Want()
	w.tail, _ = m.apps.Tail.Want()
	if m.view == pane.ViewLanes && m.lanes.Picked() {
		w.bytes, _ = m.lanes.WantBytes()
	}
	return w
}

// pull gives the command that takes the next snapshot after a while. There is
// one at a time: an earlier one that is still waiting comes to nothing.
func (m *model) pull(wait time.Duration) tea.Cmd {
	p := &m.pulling
	p.gen++
	p.wants = m.wants()
	out := pulled{gen: p.gen, forced: wait == 0}
	now := m.opt.Now()
	every := 5 * busyTick // only for the counters at the top
	if m.view == pane.ViewStreams || m.view == pane.ViewTopology {
		every = busyTick
	}
	out.lists = wait == 0 || now.Add(wait).Sub(p.lists) >= every-busyTick/10
	if out.lists {
		p.lists = now.Add(wait)
	}
	out.flow, out.after = m.lanes.Want()
	if s, ok := m.lanes.WantBytes(); ok && m.view == pane.ViewLanes {
		out.bytes = s
	}
	logLimit, tailLimit, rawAfter := 0, 0, m.raw.after
	if m.view == pane.ViewLogs {
		out.log, out.logAfter = m.logs.Lines.Want()
		logLimit = logLines
	}
	if m.view == pane.ViewApps {
		out.tail, out.tailAfter = m.apps.Tail.Want()
		tailLimit = tailLines
	}
	if m.view == pane.ViewLanes && !m.world.Frozen {
		for i, app := range m.lanes.NearApps() {
			l := m.lanes.Near()[i]
			l.Choose(app)
			out.near[i].app, out.near[i].after = l.Want()
		}
	}
	rawOn, recent, mesh, flows, clock, done := m.raw.on, p.wants.recent, m.mesh, m.flows, m.opt.Now, m.done
	return func() (msg tea.Msg) {
		if wait > 0 {
			t := time.NewTimer(wait)
			defer t.Stop()
			select {
			case <-t.C:
			case <-done:
				return nil
			}
		}
		defer func() {
			if e := caught(recover()); e != nil {
				msg = pulled{gen: out.gen, fault: e}
			}
		}()
		begun := clock()
		out.mesh = mesh.State()
		if out.lists {
			out.flows = flows.Views(recent)
			out.stats = flows.Stats()
		}
		if out.flow != "" {
			out.detail, out.found = flows.Detail(out.flow, out.after)
		}
		if s := out.bytes; s.Flow != "" {
			out.body, out.stored = flows.Body(s.Flow, s.Dir, s.From, s.To)
		}
		if logLimit > 0 {
			out.logs = mesh.Lines(out.log, out.logAfter, logLimit)
		}
		if tailLimit > 0 && out.tail != "" {
			out.tails = mesh.Lines(out.tail, out.tailAfter, tailLimit)
		}
		for i := range out.near {
			if n := &out.near[i]; n.app != "" {
				n.lines = mesh.Lines(n.app, n.after, nearLines)
			}
		}
		if rawOn {
			out.raw = mesh.Lines("", rawAfter, rawLines)
		}
		out.at = clock()
		out.cost = out.at.Sub(begun)
		return out
	}
}

// take brings a snapshot into the world, and asks for the next.
func (m *model) take(p *pulled) tea.Cmd {
	if p.fault != nil {
		m.fault = p.fault
		return tea.Quit
	}
	if p.gen != m.pulling.gen {
		return nil
	}
	raw := m.raw.on
	if m.raw.leaving {
		m.raw.on, m.raw.leaving = false, false
	}
	moved := m.takeFlows(p)
	if m.logs.Lines.Add(p.log, p.logAfter, p.logs) {
		moved = true
	}
	if m.apps.Tail.Add(p.tail, p.tailAfter, p.tails) {
		moved = true
	}
	for i := range p.near {
		m.lanes.Near()[i].Add(p.near[i].app, p.near[i].after, p.near[i].lines)
	}
	if moved || p.forced || raw || m.differs(p) {
		if p.mesh != nil {
			m.world.Mesh = p.mesh
		}
		if !m.world.Frozen {
			m.world.Now = p.at
		}
		m.refresh(p.lists)
	}
	if m.message != "" && p.at.After(m.forget) {
		m.message, m.stale = "", true
	}
	average(&m.pulling.cost, p.cost)
	if moved {
		m.pulling.quiet = 0
	} else {
		m.pulling.quiet++
	}
	return tea.Sequence(append(m.print(p.raw), m.pull(m.wait()))...)
}

// differs says whether a snapshot in which no byte and no line has come looks
// different from the last one all the same: by the state of the mesh, or by the
// time, which shows whole seconds unless something is under way. That time goes
// on is nothing to wake a terminal for that is not in focus.
func (m *model) differs(p *pulled) bool {
	if m.blurred && !m.raw.on {
		return p.mesh == nil || p.mesh.Version != m.world.Mesh.Version
	}
	if m.view == pane.ViewLanes || p.mesh == nil || p.mesh.Version != m.world.Mesh.Version {
		return true
	}
	for i := range m.world.Flows {
		if m.world.Flows[i].Live {
			return true
		}
	}
	return p.at.Unix() != m.world.Now.Unix()
}

// takeFlows takes in the invocations and says whether bytes have moved.
func (m *model) takeFlows(p *pulled) (moved bool) {
	if p.flow != "" {
		moved = m.lanes.Add(p.flow, p.after, &p.detail, p.found)
	}
	if p.bytes.Flow != "" {
		m.lanes.AddBytes(p.bytes, &p.body, p.stored)
	}
	if !p.lists {
		return moved
	}
	sum := uint64(len(p.flows))
	for i := range p.flows {
		for j := range p.flows[i].Lanes {
			sum += p.flows[i].Lanes[j].Chunks
		}
		if p.flows[i].Live {
			sum += 1 << 40
		}
	}
	if sum != m.pulling.last {
		m.pulling.last, moved = sum, true
	}
	if !m.world.Frozen {
		m.world.Flows, m.world.Stats = p.flows, p.stats
	}
	return moved
}

// wait says when to take the next snapshot.
func (m *model) wait() time.Duration {
	tick := busyTick
	switch {
	case m.blurred && !m.raw.on:
		tick = blurTick
	case m.pulling.quiet > 3:
		tick = quietTick
	case m.view == pane.ViewLanes && m.lanes.Moving() && m.w*m.h < manyCells:
		tick = laneTick
	}
	return max(tick, min(share*(m.pulling.cost+m.pulling.frame), slowest))
}
