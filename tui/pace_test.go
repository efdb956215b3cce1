package tui

import (
	"bytes"
	"io"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
)

// counted is a model of nothing that hurries as the screen does.
type counted struct{ pace *pace }

func (counted) Init() tea.Cmd { return nil }

func (c counted) Update(tea.Msg) (tea.Model, tea.Cmd) {
	c.pace.hurry()
	return c, nil
}

func (counted) View() tea.View { return tea.NewView("") }

// TestTheProgramRests: a program in which nothing happens stops looking for
// frames 30 times a second, and looks again at once when something does.
func TestTheProgramRests(t *testing.T) {
	in, keyboard := io.Pipe()
	defer func() { _ = keyboard.Close() }()
	m := &counted{}
	p := tea.NewProgram(m, tea.WithContext(t.Context()), tea.WithInput(in), tea.WithOutput(&bytes.Buffer{}), tea.WithoutSignalHandler(), tea.WithFPS(fps))
	m.pace = newPace(p)
	defer m.pace.stop()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = p.Run()
	}()
	quick := func(want bool) {
		t.Helper()
		deadline := time.NewTimer(20 * time.Second)
		defer deadline.Stop()
		for {
			m.pace.mu.Lock()
			found, is := m.pace.ticker != nil, m.pace.quick
			m.pace.mu.Unlock()
			if found && is == want {
				return
			}
			select {
			case <-deadline.C:
				t.Fatalf("the ticker is found: %v, quick: %v, want %v", found, is, want)
			case <-time.After(time.Millisecond):
			}
		}
	}
	quick(false)
	p.Send(tea.FocusMsg{})
	quick(true)
	quick(false)
	p.Quit()
	<-over
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
