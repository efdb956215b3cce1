package tui

import (
	"strings"
	"time"

	"mesh/supervisor/state"
	"mesh/tui/grid"
)

// newsTime is how long a notice that is no trouble is shown.
const newsTime = 8 * time.Second

// drawBanner draws what cannot be missed: who is still stopping, and what is
// wrong, until it is put right. It gives the lines that it took.
func (m *model) drawBanner(a grid.Area) (y int) {
	_, h := a.Size()
	most := max(1, h/2) // the pane keeps at least half
	if h < 3 {
		most = min(1, h)
	}
	t := m.world.Theme
	if s := m.stopping(); s != "" && most > 0 {
		m.drawBar(a.Rows(0, 1), "◒ "+s, "ctrl+c: kill now", t.Caution)
		y++
	}
	notices := m.standing()
	for i := range notices {
		if y >= most {
			break
		}
		if left := len(notices) - i; y == most-1 && left > 1 {
			m.drawBar(a.Rows(y, 1), "✖ "+countOfNotices(left), "! shows all", t.Alarm)
			return y + 1
		}
		room := most - y
		if i < len(notices)-1 && room > 1 {
			room-- // to say that there are more
		}
		y += m.drawNotice(a.Rows(y, room), &notices[i])
	}
	return y
}

func countOfNotices(n int) string {
	return strings.Replace(countOf(n), "instance", "notice", 1)
}

// standing gives the notices that are to be seen now, the worst first.
func (m *model) standing() (out []state.Notice) {
	for _, level := range []string{"error", "warning", "info"} {
		for i := len(m.world.Mesh.Notices) - 1; i >= 0; i-- {
			n := &m.world.Mesh.Notices[i]
			if n.Level != level || (level == "info" && m.world.Now.Sub(n.At) > newsTime) {
				continue
			}
			out = append(out, *n)
		}
	}
	return out
}

// drawBar draws one line that reaches over the whole width.
func (m *model) drawBar(a grid.Area, text, right string, st grid.Style) {
	w, _ := a.Size()
	a.Repeat(0, 0, w, ' ', st)
	text, more, _ := strings.Cut(text, "\n")
	room := w - 2
	if n := grid.Width(right); right != "" && n+3 < w/2 && more == "" && grid.Width(text)+n+3 < w {
		a.Right(w-1, 0, right, st)
		room -= n + 2
	}
	a.Cut(1, 0, room, text, st)
}

// drawNotice draws a notice with all its lines, as far as there is room, and
// gives the lines that it took.
func (m *model) drawNotice(a grid.Area, n *state.Notice) (y int) {
	w, h := a.Size()
	t := m.world.Theme
	shape, st, body := "✖ ", t.Alarm, t.Bad
	switch n.Level {
	case "warning":
		shape, st, body = "▲ ", t.Caution, t.Warn
	case "info":
		shape, st, body = "• ", t.Bar.With(t.Info), t.Text
	}
	head, rest, _ := strings.Cut(strings.TrimRight(n.Text, "\n"), "\n")
	if n.App != "" && !strings.Contains(head, n.App) {
		head = n.App + ": " + head
	}
	at := ""
	if !n.At.IsZero() {
		at = n.At.Format(time.TimeOnly)
	}
	m.drawBar(a.Rows(0, 1), shape+head, at, st)
	y = 1
	if over := grid.Width(shape+head) - (w - 2); over > 0 && h > 1 { // what did not fit goes on below
		room := a.Sub(3, 1, w-4, h-1)
		y += room.Wrap(0, head, body)
	}
	if rest != "" {
		for line := range strings.SplitSeq(rest, "\n") {
			if y >= h {
				return h
			}
			a.Text(1, y, "▌", body)
			a.Cut(3, y, w-4, line, caretStyle(line, body, t.Text))
			y++
		}
	}
	if n.Hint != "" && y < h {
		a.Text(1, y, "→", t.Key)
		y += a.Sub(3, y, w-4, h-y).Wrap(0, n.Hint, t.Text)
	}
	return min(y, h)
}

// caretStyle makes the line with the caret stand out from the quoted source.
func caretStyle(line string, caret, text grid.Style) grid.Style {
	if strings.Contains(line, "^") && strings.Trim(line, " \t|│^~─") == "" {
		return caret
	}
	return text
}
