package tui

import (
	"context"
	"io"

	tea "charm.land/bubbletea/v2"
)

// visitTerminal leaves the screen for the terminal of an app.
func (m *model) visitTerminal(app string) tea.Cmd {
	switch {
	case app == "":
		m.say("there is no app", false)
	case m.attach == nil:
		m.say("this screen cannot go to the terminals of apps: `mesh attach "+app+"` does", true)
	default:
		return m.attach(app)
	}
	return nil
}

// openTerminal gives the command that hands the terminal to an app.
func openTerminal(ctx context.Context, attach func(context.Context, string, io.Reader, io.Writer) error, app string) tea.Cmd {
	e := &editor{}
	e.run = func() error { return attach(ctx, app, e.in, e.out) }
	return tea.Exec(e, func(err error) tea.Msg {
		return finished{doing: "attach", said: "back from the terminal of " + app, err: err}
	})
}
