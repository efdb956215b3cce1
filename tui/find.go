package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"mesh/tui/grid"
	"mesh/tui/pane"
)

// explained is what was said of finding an app.
type explained struct {
	app  string
	said []string
	err  error
}

// find asks where an app is found and by whom, or why not, and does not wait for
// the answer.
func (m *model) find(app string) tea.Cmd {
	switch {
	case m.explain == nil:
		m.say("names cannot be asked for here", true)
		return nil
	case app == "":
		m.say("which app? write find APP", true)
		return nil
	}
	m.say("looking for "+app+"…", false)
	return func() tea.Msg {
		said, err := m.explain(app)
		return explained{app, said, err}
	}
}

// tell shows what was said.
func (m *model) tell(e explained) tea.Cmd {
	if e.err != nil {
		m.say("looking for "+e.app+": "+e.err.Error(), true)
		return nil
	}
	m.message, m.found = "", e
	m.overlay, m.over = overFound, 0
	return nil
}

// drawFound draws where an app is found, source by source.
func (m *model) drawFound(a grid.Area) {
	w, h := a.Size()
	t := m.world.Theme
	inner := a.Sub(1, 0, w-2, h)
	y := -m.over
	y += inner.Wrap(y, "Where "+m.found.app+" is found", t.Title) + 1
	for _, line := range m.found.said {
		source, rest, ok := strings.Cut(line, ": ")
		if !ok || strings.Contains(source, " ") {
			source, rest = "", line
		}
		if source != "" {
			inner.Cut(1, y, 14, source, t.Key)
		}
		y += max(1, a.Sub(16, 0, w-18, h).Wrap(y, rest, t.Text))
	}
	m.scrolled(y+m.over, h)
}

// findBinding is the command for it.
func (m *model) findBinding() pane.Binding {
	return pane.Binding{
		Name: "find", Arg: "APP", Help: "where an app is found and by whom, or why not",
		Do: func(app string) pane.Action { return pane.Find{App: app} },
	}
}
