package tui

import (
	"errors"
	"slices"
	"testing"

	tea "charm.land/bubbletea/v2"

	"mesh/supervisor/state"
)

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

func TestSecondQKills(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	_, _ = s.m.Update(keyPress("q"))
	s.shows("q, ^c: kill now")
	s.send(keyPress("q"))
	if !s.quit || !errors.Is(s.m.reason, ReasonKill) {
		t.Errorf("left: %v, because of %v; want kill", s.quit, s.m.reason)
	}
}
