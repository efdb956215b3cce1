package tui

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
	"mesh/tui/pane"
)

func TestAppKeysCommandTheMesh(t *testing.T) {
	s := open(t, 120, 40, Options{NoColor: true})
	s.press("down", "down", "r") // llm
	s.press("down", "S")         // llm-2
	s.shows("stop llm-2?")
	s.press("n", "S", "y")
	s.mesh.set(func(m *state.Mesh) { m.Apps[2].Instances[1].Phase = state.Stopped })
	s.tick()
	s.press("S") // starts without a question
	s.press("+", "-")
	s.press(":")
	s.text("scale orders 3")
	s.press("enter", ":")
	s.text("restart web")
	s.press("enter")
	want := []state.Command{
		{Op: state.Restart, App: "llm"},
		{Op: state.Stop, App: "llm-2"},
		{Op: state.Start, App: "llm-2"},
		{Op: state.Scale, App: "llm", Count: 3},
		{Op: state.Scale, App: "llm", Count: 1},
		{Op: state.Scale, App: "orders", Count: 3},
		{Op: state.Restart, App: "web"},
	}
	if got := s.mesh.asked(); !slices.Equal(got, want) {
		t.Errorf("the mesh was asked for %+v, want %+v", got, want)
	}
	s.shows("restart web: done")

	s.mesh.err = errFake
	s.press("r")
	s.shows("restart llm-2: the app orders is not in this mesh")
}

func TestReasonsOfFailureAreOnTheScreen(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	s.shows("exit code 1 after 120ms", "panic: no such table: invoices", "tries again in 3s", "gave up after 5 starts: killed by SIGSEGV", "waits for orders to be ready", "✖ 2")
}

func TestEnterLeadsFromAppToLogsAndBack(t *testing.T) {
	s := open(t, 120, 40, Options{NoColor: true})
	s.press("down", "down", "down", "enter")
	s.shows("▸Logs", "[llm-2]", "loaded 日本語 model")
	s.hides("connecting to the database")
	s.press("a")
	s.shows("[all]", "connecting to the database")
	s.press("esc")
	s.shows("▸Apps")
	s.press("t")
	s.shows("▸Streams", "filter app:llm-2", "web ▸ llm-2 POST /chat")
	s.hides("/quote")
}

func TestStreamsSayWhatTheyWaitFor(t *testing.T) {
	s := open(t, 200, 60, Options{NoColor: true})
	s.press("2")
	s.shows("stalled: bill not reading 2.1s", "holding 1.2s: orders is starting", "flowing", "200 in 12ms", "broken off: llm went away", "waiting for web 5.1s", "41/1", "größe-日本")
}

func TestFilterWhileTyping(t *testing.T) {
	s := open(t, 120, 40, Options{NoColor: true})
	s.press("2", "/")
	s.text("to:bill")
	s.shows("/quote")
	s.hides("/chat", "/embed")
	s.text(" ttfb>5")
	s.shows("a time needs a unit", "^", "/quote") // the last good one still holds
	s.press("enter")
	s.shows("a time needs a unit") // not accepted
	s.press("esc")
	s.shows("/chat", "/embed")
	s.press("/")
	s.text("stal")
	s.press("tab", "enter")
	s.shows("filter stalled", "/quote", "1 live, 0 ended")
	s.press("x")
	s.shows("4 live, 2 ended")
}

func TestSortingKeepsLiveStreamsOnTop(t *testing.T) {
	s := open(t, 200, 60, Options{NoColor: true})
	s.press("2", ":")
	s.text("sort bytes")
	s.press("enter")
	s.shows("bytes▾")
	order(t, s.frame(), "/files", "/quote", "/chat", "/orders ", "/embed", "/orders/17")
	s.press("O")
	s.shows("bytes▴")
	order(t, s.frame(), "/orders ", "/chat", "/quote", "/files", "/orders/17", "/embed")
	s.press(":")
	s.text("sort colour")
	s.press("enter")
	s.shows("sort by one of id, route")
}

func order(t *testing.T, frame string, texts ...string) {
	t.Helper()
	at := -1
	for _, text := range texts {
		i := strings.Index(frame, text)
		if i < at {
			t.Errorf("%q stands too high in\n%s", text, frame)
		}
		at = i
	}
}

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

func TestLogsSearchAndScroll(t *testing.T) {
	s := open(t, 80, 16, Options{NoColor: true})
	s.press("4", "/")
	s.text("ATTEMPT 7")
	s.press("enter")
	s.shows("▸connecting to the database, attempt 7", "below")
	s.press("n")
	s.shows("no more \"ATTEMPT 7\"")
	s.press("/")
	for range len("ATTEMPT 7") {
		s.press("backspace")
	}
	s.text("attempt 1")
	s.press("enter", "n", "n")
	s.shows("▸connecting to the database, attempt 11")
	s.press("N")
	s.shows("▸connecting to the database, attempt 12")
	s.press("G")
	s.shows("follow", "panic: no such table")
	s.press("g")
	s.shows("▸connecting to the database, attempt 1 ")
	s.mesh.print("web", "stdout", "something new")
	s.tick()
	s.hides("something new")
	s.press("G")
	s.shows("something new")
	s.press("w")
	s.shows("warning: a very long line", "›")
	s.press("t")
	s.shows("11:59:5")
}

func TestConfigErrorsStandUntilTheyAreResolved(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	s.mesh.set(func(m *state.Mesh) {
		m.Notices = []state.Notice{{At: noon(), Level: "error", Code: "config", Text: configError, Hint: "did you mean port?"}}
	})
	for _, k := range []string{"1", "2", "3", "4", "5", "?", "esc", "esc"} {
		s.press(k)
		s.shows("mesh.toml:12:3", "^^^^", "12 | prot = 8080", "did you mean port?", "mesh.toml:20:14")
	}
	s.now = s.now.Add(time.Hour)
	s.tick()
	s.shows("mesh.toml:12:3")
	s.mesh.set(func(m *state.Mesh) { m.Notices = nil })
	s.tick()
	s.hides("mesh.toml")
}

func TestQuitNamesWhoIsStillStopping(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	_, cmd := s.m.Update(keyPress("ctrl+c"))
	if cmd == nil || s.quit {
		t.Fatal("Ctrl-C does nothing, or ends the screen at once")
	}
	s.shows("stopping: llm, llm-2, orders, web", "q, ^c: kill now")
	s.run(cmd) // the mesh stops
	if !s.quit || !errors.Is(s.m.reason, ReasonQuit) {
		t.Errorf("left: %v, because of %v; want quit", s.quit, s.m.reason)
	}
	if got := s.mesh.asked(); !slices.Equal(got, []state.Command{{Op: state.Down}}) {
		t.Errorf("the mesh was asked for %v, want down", got)
	}
}

func TestAFailedStopIsReported(t *testing.T) {
	s := open(t, 80, 24, Options{})
	s.mesh.err = errFake
	s.press("q")
	if !s.quit || !errors.Is(s.m.reason, ReasonQuit) || !errors.Is(s.m.reason, errFake) {
		t.Errorf("left with %v, want quit and why stopping failed", s.m.reason)
	}
}

func TestSecondInterruptKills(t *testing.T) {
	s := open(t, 80, 24, Options{})
	_, _ = s.m.Update(keyPress("ctrl+c"))
	s.send(keyPress("ctrl+c"))
	if !s.quit || !errors.Is(s.m.reason, ReasonKill) {
		t.Errorf("left: %v, because of %v; want kill", s.quit, s.m.reason)
	}
}

func TestAttachedAsksBeforeItStops(t *testing.T) {
	for key, want := range map[string]error{"d": ReasonDetach, "s": ReasonQuit, "ctrl+c": ReasonDetach, "esc": nil} {
		s := open(t, 80, 24, Options{NoColor: true, Attached: true})
		s.press("q")
		s.shows("leave the mesh running?", "d detach", "s stop the mesh")
		s.press(key)
		if !errors.Is(s.m.reason, want) || s.quit != (want != nil) {
			t.Errorf("%s: left %v because of %v, want %v", key, s.quit, s.m.reason, want)
		}
		if stopped := len(s.mesh.asked()) > 0; stopped != (key == "s") {
			t.Errorf("%s: the mesh was asked for %v", key, s.mesh.asked())
		}
	}
}

func TestMouse(t *testing.T) {
	s := open(t, 120, 40, Options{NoColor: true})
	click := func(text string) {
		t.Helper()
		for y, line := range strings.Split(s.frame(), "\n") {
			if before, _, found := strings.Cut(line, text); found {
				s.send(tea.MouseClickMsg{X: len([]rune(before)), Y: y, Button: tea.MouseLeft})
				s.tick()
				return
			}
		}
		t.Fatalf("%q is not on the screen", text)
	}
	click("2Streams")
	s.shows("▸Streams")
	click("/quote")
	s.shows("▸◐ 77a0")
	click("bytes")
	s.shows("bytes▾")
	click("/quote")
	s.shows("▸Lanes", "77a0")
	click("web ▸ sidecar")
	s.shows("▸→      web ▸ sidecar")
	s.send(tea.MouseWheelMsg{X: 60, Y: 10, Button: tea.MouseWheelUp})
	click("4Logs")
	click("llm")
	s.shows("[llm]")
	s.send(tea.MouseWheelMsg{X: 60, Y: 10, Button: tea.MouseWheelUp})
	s.shows("[llm]")
	click("1Apps")
	click("cart")
	s.shows("▸ ✖ cart")
}

func TestRawLogs(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	s.press("2")
	_, _ = s.m.Update(keyPress("s"))
	if v := s.m.View(); v.AltScreen || v.MouseMode != tea.MouseModeNone {
		t.Error("the raw logs are shown on the screen")
	}
	printed := prints(t, s)
	if !strings.Contains(printed, "web │ GET /chat 200 38ms user=ada") || !strings.Contains(printed, "attempt 30") {
		t.Errorf("printed %q", printed)
	}
	s.mesh.print("web", "stdout", "one more")
	if got := prints(t, s); !strings.Contains(got, "one more") || strings.Contains(got, "attempt") {
		t.Errorf("then printed %q, want the new line only", got)
	}
	_, _ = s.m.Update(keyPress("s"))
	s.tick()
	if !s.m.View().AltScreen {
		t.Error("s does not lead back to the screen")
	}
	s.shows("▸Streams")
}

// prints takes a snapshot and gives what is written to the terminal for it.
func prints(t *testing.T, s *session) string {
	t.Helper()
	_, cmd := s.m.Update(s.m.pull(0)())
	var out strings.Builder
	for _, c := range flatten(cmd) {
		if _, pull := c.(pulled); !pull {
			fmt.Fprintf(&out, "%+v\n", c)
		}
	}
	return out.String()
}

// flatten runs a command, and those it consists of.
func flatten(cmd tea.Cmd) []tea.Msg {
	if cmd == nil {
		return nil
	}
	msg := cmd()
	if v := fmt.Sprintf("%T", msg); v == "tea.sequenceMsg" || v == "tea.BatchMsg" {
		return parts(msg)
	}
	return []tea.Msg{msg}
}

func TestViewIsTheSameStringWhenNothingChanges(t *testing.T) {
	for v := range pane.Views {
		s := open(t, 80, 24, Options{})
		s.press(string('1' + rune(v)))
		s.tick()
		before := s.m.View()
		s.tick()
		if after := s.m.View(); after.Content != before.Content || !sameString(after.Content, before.Content) {
			t.Errorf("%v: another string for the same frame", v)
		}
	}
}

func TestClockSlowsDown(t *testing.T) {
	s := open(t, 80, 24, Options{})
	s.press("2", "enter")
	f := s.flows.all[0]
	f.put(flow.Reply, flow.CalleeIn, f.view.Age, 30)
	s.tick()
	if got := s.m.wait(); got != laneTick {
		t.Errorf("while chunks pass the screen waits %v, want %v", got, laneTick)
	}
	for range 10 {
		s.tick()
	}
	if got := s.m.wait(); got != quietTick {
		t.Errorf("when nothing happens the screen waits %v, want %v", got, quietTick)
	}
	s.send(tea.BlurMsg{})
	if got := s.m.wait(); got != blurTick {
		t.Errorf("when nobody looks the screen waits %v, want %v", got, blurTick)
	}
	look := func() { s.m.Update(withoutForce(s.m.pull(0)())) }
	look()
	s.press("1")
	was := s.frame()
	s.now = s.now.Add(10 * time.Second)
	look()
	if got := s.frame(); got != was {
		t.Errorf("out of focus, the screen draws that time goes on:\n%s", got)
	}
	s.mesh.set(func(m *state.Mesh) { m.Notices = []state.Notice{{Level: "error", Code: "x", Text: "the disk is full"}} })
	look()
	s.shows("the disk is full")
	s.send(tea.FocusMsg{})
	s.tick()
	if s.frame() == was {
		t.Error("with the focus back the screen does not show the time")
	}
	for range 10 {
		s.tick()
	}
	if got := s.m.wait(); got != quietTick {
		t.Errorf("with the focus back the screen waits %v, want %v", got, quietTick)
	}
}

// withoutForce makes a snapshot that was asked for at once one of the clock's.
func withoutForce(msg tea.Msg) tea.Msg {
	if p, ok := msg.(pulled); ok {
		p.forced = false
		return p
	}
	return msg
}

func TestAPanicEndsOnlyTheScreen(t *testing.T) {
	s := open(t, 80, 24, Options{})
	s.m.world.Mesh = nil // no pane expects that
	_, cmd := s.m.Update(keyPress("2"))
	if _, ok := errors.AsType[*PanicError](s.m.fault); !ok {
		t.Fatalf("the fault is %v, want a PanicError", s.m.fault)
	}
	if _, ok := cmd().(tea.QuitMsg); !ok {
		t.Error("the screen goes on after a panic")
	}
}
