package tui

import (
	"strings"
	"testing"

	"mesh/runtime/flow"
)

func TestLanesFollowAStream(t *testing.T) {
	s := open(t, 120, 40, Options{NoColor: true})
	s.press("2", "enter")
	s.shows("web ▸ llm-2", "llm-2 ▸ sidecar", "sidecar ▸ web", "chunk 180/180", "hold p50", "·········")
	f := s.flows.all[0]
	f.view.Age += 500 * ms
	f.put(flow.Reply, flow.CalleeIn, f.view.Age-20*ms, 77)
	f.put(flow.Reply, flow.CallerOut, f.view.Age-19*ms, 77)
	s.tick()
	s.shows("chunk 181/181", "size 77", "hold 1.0ms", "live, 6.7s")
	f.view.Live = false
	s.tick()
	s.shows("■", "ended after 6.7s")
}

func TestChunksAreInspected(t *testing.T) {
	s := open(t, 120, 40, Options{NoColor: true})
	s.press("2", "down", "enter") // /quote over the wire
	s.press("up", "up", "up", "up", "[")
	s.shows("▾ chunk 40/40", "size 3072", "hold 100µs", "bytes 545792–548864")
	s.press("[", "[", "]")
	s.shows("▾ chunk 39/40")
	s.press("up")
	s.shows("▾ chunk 39/41", "request wire ▸ sidecar") // the same bytes one hop earlier
	s.press("esc")
	s.shows("last chunk 41/41")
}

func TestZoomAndPan(t *testing.T) {
	s := open(t, 120, 40, Options{NoColor: true})
	s.press("2", "down", "enter")
	ruler := func() string { return strings.Split(s.frame(), "\n")[2] }
	before := ruler()
	s.press("+")
	if !strings.Contains(ruler(), "╷6s") || strings.Contains(ruler(), "╷0") {
		t.Errorf("zoomed in, following: %q", ruler())
	}
	s.press("left", "left", "left", "left", "left", "left")
	if !strings.Contains(ruler(), "╷0") {
		t.Errorf("gone back: %q", ruler())
	}
	s.press("end")
	if ruler() != before {
		t.Errorf("following again: %q, want %q", ruler(), before)
	}
	s.press("0")
	if !strings.Contains(ruler(), "╷0") {
		t.Errorf("the whole: %q", ruler())
	}
}

func TestFreezeKeepsRecording(t *testing.T) {
	s := open(t, 120, 40, Options{NoColor: true})
	s.press("2", "enter", "space")
	s.shows("frozen")
	frame := s.frame()
	f := s.flows.all[0]
	for range 40 {
		f.view.Age += 50 * ms
		f.put(flow.Reply, flow.CalleeIn, f.view.Age, 30)
		f.put(flow.Reply, flow.CallerOut, f.view.Age, 30)
		s.now = s.now.Add(50 * ms)
		s.tick()
	}
	if s.frame() != frame {
		t.Errorf("frozen, the screen shows\n%s\nwant\n%s", s.frame(), frame)
	}
	s.press("space")
	s.shows("chunk 220/220")
	s.hides("frozen")
	if lost := s.m.lanes.Flow(); lost != f.view.ID {
		t.Errorf("another stream is shown: %s", lost)
	}
}

func TestGapsOfEveryLaneInAWideTerminal(t *testing.T) {
	s := open(t, 160, 40, Options{NoColor: true})
	s.press("2", "enter")
	s.shows("gap p50/p99")
	var rows int
	for line := range strings.SplitSeq(s.frame(), "\n") {
		if strings.HasPrefix(strings.TrimLeft(line, "▸ "), "←") && strings.HasSuffix(line, "24ms/30ms") {
			rows++
		}
	}
	if rows != 2 {
		t.Errorf("%d lanes of the reply show their gaps, want 2:\n%s", rows, s.frame())
	}
	small := open(t, 120, 40, Options{NoColor: true})
	small.press("2", "enter")
	small.shows("hold p50/p99")
	small.hides("gap p50/p99")
}

func TestHoldsAreReadableInASmallTerminal(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	s.press("2", "down", "enter")
	for range 3 {
		s.shows("hold p50", "p99", "+100µs ▸ web", "✖ broken off")
		s.press("up")
	}
	s.press("up")
	s.shows("+80µs ▸ wire ─ +120µs ▸ sidecar", "hold p50")
}
