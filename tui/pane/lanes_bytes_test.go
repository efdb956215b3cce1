package pane

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
	"mesh/tui/decode"
)

// TestQueueIsPlotted holds 300 bytes for half of the time.
func TestQueueIsPlotted(t *testing.T) {
	s := ended()
	for _, at := range []int{10, 20, 30} {
		s.put(flow.Reply, flow.CalleeIn, time.Duration(at)*ms, 100)
	}
	s.put(flow.Reply, flow.CallerOut, 80*ms, 300)
	var depth []uint64
	var most uint64
	var all []queue
	draw(t, s, 50, func(l *Lanes) {
		lanes := l.lanes()
		depth, most = l.depths(lanes[0], lanes[1])
		all = l.queues(lanes, 20)
		if few := l.queues(lanes, 3); few != nil {
			t.Errorf("with three lines for two lanes there are queues: %v", few)
		}
	})
	var want []uint64
	for c := range 50 { // of 2 ms each
		switch {
		case c < 5 || c >= 40:
			want = append(want, 0)
		case c < 10:
			want = append(want, 100)
		case c < 15:
			want = append(want, 200)
		default:
			want = append(want, 300)
		}
	}
	if !slices.Equal(depth, want) || most != 300 {
		t.Errorf("at most %d bytes waited: %v", most, depth)
	}
	if !slices.Equal(all, []queue{{from: 0, to: 1, last: 1}}) {
		t.Errorf("queues %v", all)
	}
}

func TestStallsOfTheWireLookOtherwise(t *testing.T) {
	for transport, sign := range map[string]string{"grpc": "▤", "unary": "▓"} {
		s := ended()
		s.put(flow.Request, flow.CallerIn, 1*ms, 9)
		s.put(flow.Request, flow.CallerOut, 61*ms, 9)
		s.put(flow.Request, flow.CalleeIn, 61*ms, 9)
		s.put(flow.Request, flow.CalleeOut, 61*ms, 9)
		got := draw(t, s, 50, func(l *Lanes) { l.view.Transport = transport })
		if n := strings.Count(got[1], sign); n != 29 {
			t.Errorf("%s: %d columns of 2ms show %s, want 29: %q", transport, n, sign, got[1])
		}
	}
}

func TestForgottenFlowCanBeChosenAgain(t *testing.T) {
	s := ended()
	s.put(flow.Reply, flow.CalleeIn, ms, 1)
	s.view()
	l := NewLanes(&World{Mesh: &state.Mesh{}, Theme: Plain(), Now: time.Unix(0, 0)})
	l.Choose("abcd")
	id, after := l.Want()
	l.Add(id, after, &flow.Detail{}, false) // the mesh was too slow to answer
	if id, _ := l.Want(); id != "" {
		t.Fatal("a flow that is forgotten is asked for again by itself")
	}
	l.Choose("abcd")
	if id, after = l.Want(); id != "abcd" || !l.Add(id, after, &s.d, true) {
		t.Errorf("chosen again, %q is wanted", id)
	}
}

func TestBytesAreAskedForUntilTheyAreThere(t *testing.T) {
	s := ended()
	s.put(flow.Reply, flow.CalleeIn, 10*ms, 8)
	s.put(flow.Reply, flow.CallerOut, 11*ms, 8)
	draw(t, s, 50, func(l *Lanes) {
		if _, ok := l.WantBytes(); ok {
			t.Error("bytes are wanted while nobody looks at them")
		}
		l.toggleBytes()
		span, ok := l.WantBytes()
		if !ok || span != (Span{"abcd", flow.Reply, 0, 8}) {
			t.Fatalf("wanted is %+v (%v)", span, ok)
		}
		l.AddBytes(span, &flow.Body{}, true)
		if _, ok := l.WantBytes(); !ok {
			t.Error("bytes that were not captured may be yet, but are not asked for")
		}
		l.AddBytes(span, &flow.Body{On: true, Limit: 100, Parts: []flow.Part{{Data: []byte(`{"a":12}`)}}}, true)
		if _, ok := l.WantBytes(); ok {
			t.Error("bytes that are there are asked for again")
		}
		if l.bytes.shown != decode.JSON || len(l.bytes.text) != 3 {
			t.Errorf("shown as %v: %q", l.bytes.shown, l.bytes.text)
		}
		l.nextForm(-1)
		if l.bytes.shown != decode.Hex {
			t.Errorf("shown as %v, want hex", l.bytes.shown)
		}
		l.bytes.wrap(10)
		for _, line := range l.bytes.lines {
			if len(line) > 10 {
				t.Errorf("%q is wider than 10", line)
			}
		}
		if strings.Join(l.bytes.lines, "") != strings.Join(l.bytes.text, "") {
			t.Errorf("wrapped to %q", l.bytes.lines)
		}
	})
}
