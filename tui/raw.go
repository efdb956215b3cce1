package tui

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"mesh/supervisor/state"
	"mesh/tui/grid"
)

// settle is how long the terminal gets to leave the screen before lines are
// written where it was.
const settle = 120 * time.Millisecond

// raw is the state of the logs without the screen. Lines are written to the
// terminal itself, which keeps them, scrolls them and lets them be copied.
type raw struct {
	on    bool
	after uint64 // number of the last line that was written
	lost  uint64 // lines that came faster than they could be read
	// leaving says that the line below the logs is wiped out before the screen
	// comes back: nobody else would.
	leaving bool
}

// enterRaw leaves the screen for the raw logs.
func (m *model) enterRaw() tea.Cmd {
	m.raw.on, m.overlay, m.input = true, overNone, nil
	return m.pull(settle)
}

// pause gives the time that the terminal needs before the screen comes back.
func (r *raw) pause() time.Duration {
	if r.leaving {
		return settle
	}
	return 0
}

// rawKey takes a key while the raw logs are shown.
func (m *model) rawKey(key string) tea.Cmd {
	switch key {
	case "s", "esc", "ctrl+o", "enter":
		m.raw.leaving = true
		return m.pull(settle)
	case "q":
		m.raw.leaving = true
		return m.quitRaw()
	}
	return nil
}

// quitRaw quits; when that raises a question, the screen comes back for it.
func (m *model) quitRaw() tea.Cmd {
	cmd := m.quit()
	if m.ask != nil {
		cmd = m.pull(m.raw.pause())
	}
	return cmd
}

// rawStatus gives the line below the raw logs.
func (m *model) rawStatus() string {
	if m.raw.leaving || m.reason != nil {
		return ""
	}
	text := " raw logs of " + grid.Plain(m.world.Mesh.Name) + "  s back to the screen  q quit "
	if s := m.stopping(); s != "" {
		text = " " + s + "  " + m.killKeys() + " "
	}
	m.buf.Plain = m.opt.NoColor
	m.buf.Resize(max(1, m.w-1), 1)
	m.buf.All().Text(0, 0, text, grid.Style{Attr: grid.Reverse})
	return m.buf.String()
}

// print gives the commands that write lines to the terminal, a screenful each.
func (m *model) print(lines []state.Line) (cmds []tea.Cmd) {
	if !m.raw.on || len(lines) == 0 {
		return nil
	}
	if first := lines[0].Seq; m.raw.after > 0 && first > m.raw.after+1 {
		m.raw.lost += first - m.raw.after - 1
	}
	m.raw.after = lines[len(lines)-1].Seq
	var page []string
	used := 0
	for i := range lines {
		s := m.rawLine(&lines[i])
		page = append(page, s)
		if used += grid.Lines(s, max(1, m.w)); used >= m.h-3 || i == len(lines)-1 {
			cmds = append(cmds, tea.Println(strings.Join(page, "\n")))
			page, used = nil, 0
		}
	}
	return cmds
}

func (m *model) rawLine(l *state.Line) string {
	name := grid.Plain(l.Instance)
	if m.opt.NoColor {
		return name + " │ " + grid.Plain(l.Text)
	}
	return grid.Styled(name, m.world.Theme.Name(l.App)) + " │ " + grid.Safe(l.Text)
}
