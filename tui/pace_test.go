package tui

import (
	"bytes"
	"io"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
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
