package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
	"mesh/supervisor/logs"
	"mesh/supervisor/state"
)

// headless prints what a mesh does as lines, for pipes, logs and CI: every
// line of its apps, every change of an instance, every invocation. It reads
// snapshots like the screen does and never holds up the mesh.
type headless struct {
	out   io.Writer
	mesh  watched
	flows *flow.Recorder
	color bool

	lines   uint64                    // lines printed so far
	ended   uint64                    // flows that had ended when we last looked
	sums    sums                      // of calls of components
	seen    map[string]state.Instance // by name
	notices map[string]time.Time      // printed, by code, app and text
	width   int                       // of the name column
	bye     bool                      // has said that the mesh is stopping
}

// watched is what headless needs of a mesh.
type watched interface {
	State() *state.Mesh
	Wait(ctx context.Context, version uint64) *state.Mesh
	printedLines
}

// printedLines are what its apps have printed.
type printedLines interface {
	Lines(app string, after uint64, limit int) []state.Line
	LastLine() uint64
	WaitLine(ctx context.Context, after uint64) error
}

// How often headless looks at most, how often it looks for invocations, and how many invocations it prints per look: more
// would only scroll by, so the rest is counted in one line.
const (
	headlessLook  = 25 * time.Millisecond
	headlessCalls = 100 * time.Millisecond
	headlessFlows = 20
	headlessLooks = 1000 // invocations that are looked at, per look
)

func newHeadless(out io.Writer, mesh watched, flows *flow.Recorder, color bool) *headless {
	return &headless{out: out, mesh: mesh, flows: flows, color: color, seen: map[string]state.Instance{}, notices: map[string]time.Time{}}
}

// Run prints until ctx ends, and then what is still to be printed. It sleeps as
// long as nothing happens; only invocations, which tell nobody, are looked for.
func (h *headless) Run(ctx context.Context) error {
	news := make(chan struct{}, 1)
	tell := func() {
		select {
		case news <- struct{}{}:
		default:
		}
	}
	waiting, stop := context.WithCancel(ctx)
	var waiters sync.WaitGroup
	defer waiters.Wait()
	defer stop()
	waiters.Go(func() {
		for m := h.mesh.State(); waiting.Err() == nil; {
			version := m.Version
			if m = h.mesh.Wait(waiting, version); m.Version == version {
				return // the mesh has ended
			}
			tell()
		}
	})
	waiters.Go(func() {
		for {
			last := h.mesh.LastLine()
			tell()
			if h.mesh.WaitLine(waiting, last) != nil {
				return
			}
			pause(waiting, headlessLook)
		}
	})
	calls := time.NewTicker(headlessCalls)
	defer calls.Stop()
	for {
		h.look()
		pause(ctx, headlessLook) // a burst is one look
		for waited := false; !waited; {
			select {
			case <-ctx.Done():
				h.look()
				return nil
			case <-news:
				waited = true
			case <-calls.C:
				_, ended := h.flows.Totals()
				waited = ended != h.ended || h.sums.due()
			}
		}
	}
}

// pause waits for a while, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (h *headless) look() {
	m := h.mesh.State()
	if m.Stopping && !h.bye {
		h.bye = true
		var names []string
		for _, a := range m.Apps {
			for _, i := range a.Instances {
				if i.Phase.Live() {
					names = append(names, i.Name)
				}
			}
		}
		h.print("mesh", "33", "stopping "+strings.Join(names, ", ")+" (interrupt again to kill)")
	}
	for _, a := range m.Apps {
		for _, i := range a.Instances {
			h.width = max(h.width, len(i.Name))
			h.instance(i)
		}
	}
	for _, n := range m.Notices {
		key := n.Code + n.App + n.Text
		if h.notices[key] != n.At {
			h.notices[key] = n.At
			h.notice(n)
		}
	}
	for {
		lines := h.mesh.Lines("", h.lines, 1000)
		for _, l := range lines {
			if skipped := l.Seq - h.lines - 1; h.lines > 0 && skipped > 0 {
				h.print("mesh", "1", fmt.Sprintf("%d lines are not shown here; see mesh logs", skipped))
			}
			h.lines = l.Seq
			h.line(l)
		}
		if len(lines) < 1000 {
			break
		}
	}
	h.invocations()
}

func (h *headless) instance(i state.Instance) {
	was, known := h.seen[i.Name]
	h.seen[i.Name] = i
	if known && was.Phase == i.Phase && was.Reason == i.Reason && was.PID == i.PID {
		return
	}
	text := string(i.Phase)
	if i.Reason != "" {
		text += ": " + i.Reason
	}
	if i.Phase == state.Ready {
		text += " ("
		if i.PID > 0 {
			text += fmt.Sprintf("pid %d, ", i.PID)
		}
		if i.AppPort > 0 {
			text += fmt.Sprintf("app port %d, ", i.AppPort)
		}
		text += fmt.Sprintf("sidecar http %d grpc %d)", i.HTTPPort, i.GRPCPort)
	}
	h.print(i.Name, phaseColor(i.Phase), "● "+text)
}

func phaseColor(p state.Phase) string {
	switch p {
	case state.Ready, state.Done:
		return "32"
	case state.Failed, state.Backoff:
		return "31"
	case state.Pending, state.Starting, state.Stopping, state.Stopped:
		return "33"
	}
	return "0"
}

func (h *headless) notice(n state.Notice) {
	color := map[string]string{"error": "31", "warning": "33"}[n.Level]
	for i, l := range strings.Split(n.Text, "\n") {
		if i == 0 {
			l = "! " + l
		}
		h.print("mesh", color, l)
	}
	if n.Hint != "" {
		h.print("mesh", color, "  "+n.Hint)
	}
}

func (h *headless) line(l state.Line) {
	name := l.Instance
	if name == "" {
		name = "mesh"
	}
	switch l.Stream {
	case logs.StreamMesh:
		h.print(name, "2", "· "+l.Text)
	case logs.StreamMark:
		h.print(name, "1", "── "+l.Text)
	default:
		h.print(name, "", l.Text)
	}
}

func (h *headless) invocations() {
	_, ended := h.flows.Totals()
	fresh := int(ended - h.ended) //nolint:gosec // a few thousand at most between two looks
	h.ended = ended
	var views []flow.View // told one by one
	for _, f := range slices.Backward(h.told(h.flows.Recent(nil, min(fresh, headlessLooks)))) {
		fresh--
		if v := f.View(); !h.sums.add(&v) {
			views = append(views, v)
		}
	}
	if more := fresh + max(0, len(views)-headlessFlows); more > 0 {
		h.print("mesh", "2", fmt.Sprintf("⇄ %d more invocations", more))
		views = views[max(0, len(views)-headlessFlows):]
	}
	for i := range views {
		h.print("mesh", "36", "⇄ "+invocation(views[i]))
	}
	if h.sums.due() {
		for _, line := range h.sums.take() {
			h.print("mesh", "36", "⇄ "+line)
		}
	}
}

// told leaves out, of flows with the latest first, the invocations that are only
// counted. Snapshots of those were a third of what a mesh under load allocated.
func (h *headless) told(flows []*flow.Flow) []*flow.Flow {
	invocations := 0
	return slices.DeleteFunc(flows, func(f *flow.Flow) bool {
		if ofComponent(f.Head().Kind) {
			return false
		}
		invocations++
		return invocations > headlessFlows
	})
}

// invocation describes an invocation in one line.
func invocation(v flow.View) string {
	caller := v.Caller
	if caller == "" {
		caller = "client"
	}
	callee := v.Callee
	if v.Instance != "" {
		callee = v.Instance
	}
	outcome := fmt.Sprintf("%d in %v", v.Status, v.Age.Round(100*time.Microsecond))
	switch {
	case v.Broken():
		outcome = "broke off after " + v.Age.Round(100*time.Microsecond).String() + ": " + v.Err
	case v.Err != "":
		outcome += ": " + v.Err
	}
	up, ok := v.Lane(flow.Request, flow.CallerIn)
	if !ok { // the caller is elsewhere
		up, _ = v.Lane(flow.Request, flow.CalleeIn)
	}
	down, ok := v.Lane(flow.Reply, flow.CallerOut)
	if !ok {
		down, _ = v.Lane(flow.Reply, flow.CalleeOut)
	}
	first := ""
	if d, ok := filter.TTFB(&v); ok {
		first = fmt.Sprintf("first byte %v  ", d.Round(100*time.Microsecond))
	}
	return fmt.Sprintf("%s ▸ %s %s %s %s  ↑ %s in %d  ↓ %s in %d  %s%s",
		caller, callee, v.Verb, v.Path, outcome, size(up.Bytes), up.Chunks, size(down.Bytes), down.Chunks, first, v.Transport)
}

// size writes a number of bytes for people.
func size(n uint64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

func (h *headless) print(name, color, text string) {
	stamp := time.Now().Format("15:04:05.000")
	if h.color && color != "" {
		_, _ = fmt.Fprintf(h.out, "%s %-*s \x1b[%sm│ %s\x1b[0m\n", stamp, h.width, name, color, text)
		return
	}
	_, _ = fmt.Fprintf(h.out, "%s %-*s │ %s\n", stamp, h.width, name, text)
}
