package tui

import (
	"fmt"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"

	"mesh/supervisor/state"
	"mesh/tui/grid"
	"mesh/tui/pane"
)

// question waits for one of a few keys.
type question struct {
	text    string
	answers []answer
}

type answer struct {
	key, label string
	do         func() tea.Cmd // nil: nothing is done
}

// answer takes a key for the question that stands; esc is no answer.
func (m *model) answer(key string) tea.Cmd {
	q := m.ask
	if key == "esc" {
		m.ask = nil
		return nil
	}
	for _, a := range q.answers {
		if a.key == key {
			m.ask = nil
			if a.do != nil {
				return a.do()
			}
			return nil
		}
	}
	return nil
}

// interrupt is Ctrl-C: it quits, and the second time at once.
func (m *model) interrupt() tea.Cmd {
	if m.quitting || m.world.Mesh.Stopping {
		m.reason = ReasonKill
		return tea.Quit
	}
	if m.ask != nil { // asked already whether to stop: do not stop what others use
		m.ask = nil
		m.reason = ReasonDetach
		return tea.Quit
	}
	return m.quit()
}

// quit stops the mesh, after a question when it belongs to another process. The
// second time, while it stops, it kills.
func (m *model) quit() tea.Cmd {
	if m.quitting || (m.world.Mesh.Stopping && !m.opt.Attached) {
		m.reason = ReasonKill
		return tea.Quit
	}
	if !m.opt.Attached {
		return m.stopMesh()
	}
	m.ask = &question{text: "leave the mesh running?", answers: []answer{
		{"d", "detach: it runs on", func() tea.Cmd { m.reason = ReasonDetach; return tea.Quit }},
		{"s", "stop the mesh", m.stopMesh},
		{"esc", "stay", nil},
	}}
	return nil
}

// stopMesh asks the mesh to stop; the screen stays to show who is still
// stopping, until it is done.
func (m *model) stopMesh() tea.Cmd {
	m.quitting, m.overlay, m.input, m.world.Frozen = true, overNone, nil, false
	return tea.Batch(m.pull(m.raw.pause()), func() tea.Msg {
		c := state.Command{Op: state.Down}
		return finished{command: c, err: m.do(c)}
	})
}

// stopped ends the screen after the mesh.
func (m *model) stopped(err error) tea.Cmd {
	m.reason = ReasonQuit
	if err != nil {
		m.reason = fmt.Errorf("%w: stopping the mesh: %w", ReasonQuit, err)
	}
	return tea.Quit
}

// stopping gives the line that says who is still stopping, "" when the mesh
// runs.
func (m *model) stopping() string {
	if !m.quitting && !m.world.Mesh.Stopping {
		return ""
	}
	var names []string
	for i := range m.world.Mesh.Apps {
		for j := range m.world.Mesh.Apps[i].Instances {
			inst := &m.world.Mesh.Apps[i].Instances[j]
			if inst.Phase.Live() && inst.PID != 0 {
				s := grid.Plain(inst.Name)
				if inst.Phase == state.Stopping && !inst.Since.IsZero() {
					s += " (" + strconv.Itoa(int(max(0, m.world.Now.Sub(inst.Since).Seconds()))) + "s)"
				}
				names = append(names, s)
			}
		}
	}
	if len(names) == 0 {
		return "stopping…"
	}
	return "stopping: " + strings.Join(names, ", ")
}

// killKeys says which keys kill the mesh while it stops. That of somebody else
// is not killed by a q, which may be meant for this screen only.
func (m *model) killKeys() string {
	if m.opt.Attached && !m.quitting {
		return "ctrl+c: kill now"
	}
	return "q, ^c: kill now"
}

func countOf(n int) string {
	return pane.Plural(n, "instance")
}
