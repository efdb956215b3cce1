package tui

import (
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"mesh/runtime/flow"
	"mesh/tui/pane"
)

// load is what a recorder shows of streams that send chunks at an even pace.
// It works everything out from the time alone, so that nothing but the screen
// uses the processor.
type load struct {
	now     func() time.Time
	begun   time.Time
	streams int
	rate    int // chunks per second of each stream
}

const loadSize = 120 // bytes in a chunk

func (l *load) view(i int) flow.View {
	age := l.now().Sub(l.begun) + time.Duration(i)*time.Millisecond
	v := flow.View{
		ID: fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15), Live: true, Age: age, Status: 200, Replied: time.Millisecond,
		Head: flow.Head{Caller: "web", Callee: "llm", Verb: "POST", Path: "/chat", Kind: "http", Begun: l.begun},
		Peer: flow.Peer{Instance: "llm-2", Transport: "grpc"},
	}
	n := uint64(age * time.Duration(l.rate) / time.Second)
	for hop := flow.CallerIn; hop <= flow.CalleeOut && n > 0; hop++ {
		v.Lanes = append(v.Lanes, flow.LaneView{Dir: flow.Reply, Hop: hop, Chunks: n, Bytes: n * loadSize, First: time.Millisecond, Last: l.at(n - 1), Gap: time.Second / time.Duration(l.rate)})
	}
	return v
}

func (l *load) at(n uint64) time.Duration {
	return time.Duration(n+1) * time.Second / time.Duration(l.rate)
}

func (l *load) Views(recent int) []flow.View {
	out := make([]flow.View, 0, l.streams+recent)
	for i := range l.streams {
		out = append(out, l.view(i))
	}
	for i := range recent {
		v := l.view(0)
		v.ID, v.Live, v.Age = fmt.Sprintf("%016x", i), false, time.Second
		out = append(out, v)
	}
	return out
}

func (l *load) Body(string, flow.Dir, uint64, uint64) (flow.Body, bool) { return flow.Body{}, true }

func (l *load) Stats() flow.Stats { return flow.Stats{} }

func (l *load) Detail(id string, after flow.Cursor) (flow.Detail, bool) {
	for i := range l.streams {
		v := l.view(i)
		if v.ID != id {
			continue
		}
		d := flow.Detail{View: v, Next: after}
		for _, lane := range v.Lanes {
			at := int(lane.Dir)*4 + int(lane.Hop)
			m := flow.LaneMarks{Dir: lane.Dir, Hop: lane.Hop}
			for n := after[at]; n < lane.Chunks; n++ {
				m.Marks = append(m.Marks, flow.Mark{N: n, At: l.at(n) + time.Duration(lane.Hop)*50*time.Microsecond, Size: loadSize - int(n%7)*10})
			}
			if len(m.Marks) > 0 {
				d.Next[at] = lane.Chunks
				d.Marks = append(d.Marks, m)
			}
		}
		return d, true
	}
	return flow.Detail{}, false
}

// BenchmarkFrame is one snapshot and one frame of 200×60 while 10,000 chunks
// pass in a second over 50 streams: what the screen does 10 to 20 times a
// second. The frame budget is 4 ms; what is allocated is bounded below.
func BenchmarkFrame(b *testing.B) {
	for _, v := range []pane.View{pane.ViewApps, pane.ViewStreams, pane.ViewLanes, pane.ViewLogs, pane.ViewTopology} {
		b.Run(v.String(), func(b *testing.B) {
			m, step := loaded(b, v)
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
			if m.fault != nil {
				b.Fatal(m.fault)
			}
		})
	}
}

// loaded gives a model under load that shows a view, and a step that brings
// it 50 ms on.
func loaded(t testing.TB, v pane.View) (m *model, step func()) {
	now := noon()
	clock := func() time.Time { return now }
	mesh, _ := shop()
	m = newModel(t.Context(), mesh, &load{now: clock, begun: now.Add(-time.Minute), streams: 50, rate: 200}, Options{Now: clock, Theme: "dark"})
	m.Update(tea.WindowSizeMsg{Width: 200, Height: 60})
	step = func() {
		now = now.Add(50 * time.Millisecond)
		m.Update(m.pull(0)())
	}
	step()
	m.Update(keyPress(string('1' + rune(v))))
	for range 5 {
		step()
	}
	return m, step
}

// TestAllocationsOfAFrame holds the frame to a budget: what it allocates is
// the snapshot and the string of the frame, nothing per chunk or cell.
func TestAllocationsOfAFrame(t *testing.T) {
	for v, most := range map[pane.View]float64{pane.ViewLanes: 2500, pane.ViewStreams: 3000, pane.ViewApps: 2500, pane.ViewLogs: 2500} {
		_, step := loaded(t, v)
		if got := testing.AllocsPerRun(20, step); got > most {
			t.Errorf("%v: %.0f allocations for a snapshot and its frame, want at most %.0f", v, got, most)
		}
	}
}

// BenchmarkScreen runs the whole program at 200×60 with a terminal that takes
// everything, and reports which share of one core it needs: idle, and under
// 10,000 chunks per second in each view. The budgets are 0.5 % and 5 %.
func BenchmarkScreen(b *testing.B) {
	for _, c := range []struct {
		name    string
		streams int
		keys    string
	}{{"idle", 0, "1"}, {"idle streams", 0, "2"}, {"apps", 50, "1"}, {"streams", 50, "2"}, {"lanes", 50, "23"}, {"logs", 50, "4"}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(100*cpuShare(b, c.streams, c.keys), "%core")
			}
		})
	}
}

// cpuShare shows the screen for a few seconds and gives the share of one core
// that the process used.
func cpuShare(b *testing.B, streams int, keys string) float64 {
	mesh, _ := shop()
	mesh.lines = nil
	flows := &load{now: time.Now, begun: time.Now().Add(-time.Minute), streams: streams, rate: 200}
	in, keyboard := io.Pipe()
	m := newModel(b.Context(), mesh, quiet{flows, streams > 0}, Options{Now: time.Now, Theme: "dark"})
	p := tea.NewProgram(m, tea.WithContext(b.Context()), tea.WithInput(in), tea.WithOutput(io.Discard), tea.WithWindowSize(200, 60),
		tea.WithEnvironment([]string{"TERM=xterm-256color", "COLORTERM=truecolor"}), tea.WithoutSignalHandler(), tea.WithFPS(fps))
	m.pace = newPace(p)
	defer m.pace.stop()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = p.Run()
	}()
	for _, k := range keys {
		_, _ = keyboard.Write([]byte(string(k)))
		wait(300 * time.Millisecond)
	}
	wait(time.Second)
	const span = 4 * time.Second
	before := cpuTime(b)
	wait(span)
	used := cpuTime(b) - before
	p.Quit()
	<-over
	if want := keys[len(keys)-1:]; m.view != pane.View(want[0]-'1') || m.frame == "" {
		b.Fatalf("the screen shows %v after the keys %s", m.view, keys)
	}
	return used.Seconds() / span.Seconds()
}

func wait(d time.Duration) { <-time.After(d) }

// quiet hides the ended flows of an idle mesh.
type quiet struct {
	*load
	busy bool
}

func (q quiet) Views(recent int) []flow.View {
	if !q.busy {
		return nil
	}
	return q.load.Views(recent)
}

func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
