package tui

import (
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

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
