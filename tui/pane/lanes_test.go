package pane

import (
	"strings"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
	"mesh/tui/grid"
)

const ms = time.Millisecond

// script is a flow that is written down as marks.
type script struct {
	d flow.Detail
}

func (s *script) put(dir flow.Dir, hop flow.Hop, at time.Duration, size int) {
	lane := int(dir)*4 + int(hop)
	n := s.d.Next[lane]
	s.d.Next[lane]++
	for i := range s.d.Marks {
		if m := &s.d.Marks[i]; m.Dir == dir && m.Hop == hop {
			m.Marks = append(m.Marks, flow.Mark{N: n, At: at, Size: size})
			return
		}
	}
	s.d.Marks = append(s.d.Marks, flow.LaneMarks{Dir: dir, Hop: hop, Marks: []flow.Mark{{N: n, At: at, Size: size}}})
}

// view counts the marks.
func (s *script) view() {
	s.d.ID, s.d.Caller, s.d.Callee, s.d.Transport = "abcd", "web", "llm", "local"
	blocked := s.d.Lanes
	s.d.Lanes = nil
	for i := range s.d.Marks {
		m := &s.d.Marks[i]
		v := flow.LaneView{Dir: m.Dir, Hop: m.Hop, Chunks: uint64(len(m.Marks)), First: m.Marks[0].At, Last: m.Marks[len(m.Marks)-1].At}
		for _, one := range m.Marks {
			v.Bytes += uint64(one.Size)
		}
		for _, b := range blocked {
			if b.Dir == m.Dir && b.Hop == m.Hop {
				v.Blocked = b.Blocked
			}
		}
		s.d.Lanes = append(s.d.Lanes, v)
	}
}

// draw shows a flow over cols columns of one line each and gives the plots of
// its lanes.
func draw(t *testing.T, s *script, cols int, change func(l *Lanes)) []string {
	t.Helper()
	s.view()
	w := &World{Mesh: &state.Mesh{}, Theme: Plain(), Now: time.Unix(0, 0)}
	l := NewLanes(w)
	l.Choose("abcd")
	id, after := l.Want()
	if !l.Add(id, after, &s.d, true) {
		t.Fatal("the flow was refused")
	}
	l.Refresh()
	lanes := l.lanes()
	const label = 12 // what Draw takes for the names of hops at this width
	b := grid.Buffer{Plain: true}
	b.Resize(cols+label+2, len(lanes)+4)
	if change != nil {
		l.Draw(b.All())
		change(l)
		b.Clear()
	}
	l.Draw(b.All())
	var plots []string
	for i, line := range strings.Split(b.String(), "\n") {
		if i < 2 || i >= 2+len(lanes) {
			continue
		}
		_, plot, _ := strings.Cut(line, "┤")
		var out strings.Builder
		for len(plot) > 0 { // without styles
			text, rest, found := strings.Cut(plot, "\x1b[")
			out.WriteString(text)
			if !found {
				break
			}
			_, plot, _ = strings.Cut(rest, "m")
		}
		plots = append(plots, strings.TrimRight(out.String(), " "))
	}
	return plots
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("drawn:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// An ended flow of 98 ms is fitted into 50 columns of 2 ms each.
func ended() *script {
	s := &script{}
	s.d.Age = 98 * ms
	return s
}

func TestATickPerChunk(t *testing.T) {
	s := ended()
	for _, at := range []int{10, 20, 30, 31, 40} {
		size := 100
		if at == 20 {
			size = 25
		}
		s.put(flow.Reply, flow.CalleeIn, time.Duration(at)*ms, size)
		s.put(flow.Reply, flow.CallerOut, time.Duration(at)*ms, size)
	}
	plot := "╌╌╌╌╌◆    ▃    █    ▆" + strings.Repeat(" ", 28) + "■"
	same(t, draw(t, s, 50, nil), plot, plot)
}

func TestASilenceIsIdle(t *testing.T) {
	s := ended()
	for _, at := range []int{1, 3, 5, 7, 9, 59, 61} {
		s.put(flow.Reply, flow.CalleeIn, time.Duration(at)*ms, 9)
		s.put(flow.Reply, flow.CallerOut, time.Duration(at)*ms, 9)
	}
	plot := "◆████" + strings.Repeat("·", 24) + "██" + strings.Repeat(" ", 18) + "■"
	same(t, draw(t, s, 50, nil), plot, plot)
}

func TestAWriterThatWaitsIsBlocked(t *testing.T) {
	s := ended()
	for _, at := range []int{1, 5, 9, 13, 17} {
		s.put(flow.Reply, flow.CalleeIn, time.Duration(at)*ms, 9)
		if at < 17 {
			s.put(flow.Reply, flow.CallerOut, time.Duration(at)*ms, 9)
		}
	}
	s.put(flow.Reply, flow.CallerOut, 41*ms, 9) // the fifth chunk was taken 24 ms later
	s.put(flow.Reply, flow.CalleeIn, 43*ms, 9)
	s.put(flow.Reply, flow.CallerOut, 43*ms, 9)
	same(t, draw(t, s, 50, nil),
		"◆ █ █ █ █░░░░░░░░░░░·█"+strings.Repeat(" ", 27)+"■",
		"◆ █ █ █  ▒▒▒▒▒▒▒▒▒▒▒██"+strings.Repeat(" ", 27)+"■")
}

func TestAWriteUnderWayIsBlocked(t *testing.T) {
	s := &script{}
	s.d.Live, s.d.Age = true, 10*time.Second
	s.put(flow.Request, flow.CallerIn, 0, 9)
	s.put(flow.Request, flow.CalleeOut, 0, 9)
	s.put(flow.Request, flow.CallerIn, 5*time.Second, 9)
	s.d.Lanes = []flow.LaneView{{Dir: flow.Request, Hop: flow.CalleeOut, Blocked: 5 * time.Second}}
	got := draw(t, s, 50, nil) // the last ten seconds, 200 ms in a column
	if n := strings.Count(got[1], "▒"); n != 25 {
		t.Errorf("blocked for %d columns of 200ms, want 25: %q", n, got[1])
	}
	if n := strings.Count(got[0], "░"); n < 24 {
		t.Errorf("the hop before is held up for %d columns: %q", n, got[0])
	}
}

func TestABrokenFlowEndsInACross(t *testing.T) {
	s := ended()
	s.d.Err = "reset"
	s.put(flow.Reply, flow.CalleeIn, 90*ms, 9)
	s.put(flow.Reply, flow.CallerOut, 90*ms, 9)
	if got := draw(t, s, 50, nil)[0]; !strings.HasSuffix(got, "◆   ✖") {
		t.Errorf("%q does not end with a cross", got)
	}
}

func TestZoomKeepsTheSelectedChunkInSight(t *testing.T) {
	s := ended()
	for i := range 49 {
		s.put(flow.Reply, flow.CalleeIn, time.Duration(2*i)*ms, 9)
	}
	draw(t, s, 50, func(l *Lanes) {
		for range 30 {
			l.stepChunk(-1)
		}
		_, m, _ := l.pick()
		if m.N != 19 { // the first step selects the last chunk
			t.Errorf("29 back from chunk 48 is %d", m.N)
		}
		for range 8 {
			l.axis.zoom(2, l.focus(), l.now, false)
			l.axis.lay(50, l.now, false)
			if c := l.axis.col(m.At); c < 0 || c >= 50 {
				t.Fatalf("at %v per column the chunk is in column %d of 50", l.axis.per, c)
			}
		}
		if l.axis.per > 10*time.Microsecond {
			t.Errorf("eight times closer is %v per column", l.axis.per)
		}
		for range 20 {
			l.axis.zoom(0.5, l.focus(), l.now, false)
			l.axis.lay(50, l.now, false)
		}
		if from, to := l.axis.edges(); from > 0 || to < l.now {
			t.Errorf("all the way out %v–%v is shown of %v", from, to, l.now)
		}
	})
}

func TestTheAxisFollowsInWholeColumns(t *testing.T) {
	x := axis{}
	x.lay(100, 20*time.Second, true) // ten seconds in 100 columns
	if x.per != 100*ms || x.col(20*time.Second) != 99 || x.col(10*time.Second) != -1 {
		t.Errorf("%v per column; now is in column %d", x.per, x.col(20*time.Second))
	}
	first := x.first
	x.lay(100, 20*time.Second+99*ms, true)
	if x.first != first {
		t.Error("the axis moves before a whole column is over")
	}
	x.lay(100, 20*time.Second+100*ms, true)
	if x.first != first+1 {
		t.Error("the axis does not move on after a column")
	}
}

func TestRulerIsRound(t *testing.T) {
	for per, want := range map[time.Duration]string{
		time.Microsecond:       "╷0          ╷0.02ms      ╷0.04ms",
		ms:                     "╷0          ╷20ms        ╷40ms        ╷60ms",
		100 * ms:               "╷0          ╷2s          ╷4s          ╷6s",
		time.Second:            "╷0          ╷20s         ╷40s",
		20 * time.Second:       "╷0          ╷5m00s         ╷10m00s",
		500 * time.Microsecond: "╷0          ╷10ms        ╷20ms        ╷30ms",
	} {
		x := axis{mode: axisFree, span: 65 * per}
		x.lay(65, time.Hour, false)
		b := grid.Buffer{Plain: true}
		b.Resize(65, 1)
		x.drawRuler(b.All(), grid.Style{})
		if fields := strings.Fields(b.String()); !strings.HasPrefix(strings.Join(fields, " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("%v per column: %q, want %q", per, b.String(), want)
		}
	}
}
