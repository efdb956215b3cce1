package tui

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"mesh/supervisor/state"
	"mesh/tui/grid"
	"mesh/tui/pane"
)

// newsTime is how long a notice that is no trouble is shown.
const newsTime = 8 * time.Second

// drawBanner draws what cannot be missed: who is still stopping, and what is
// wrong, until it is put right. It takes a third of the area at most, says what
// there was no room for, and gives the lines that it took.
func (m *model) drawBanner(a grid.Area) (y int) {
	w, h := a.Size()
	most := min(h, max(1, h/3))
	t := m.world.Theme
	if s := m.stopping(); s != "" && most > 0 {
		m.drawBar(a.Rows(0, 1), "◒ "+s, m.killKeys(), t.Caution)
		y++
	}
	if e := m.world.Mesh.Edit; e != nil && e.State == state.EditPending && m.view != pane.ViewPlan && y < most {
		m.drawBar(a.Rows(y, 1), "◌ an edit of mesh.toml waits: 7 shows what it changes, a there applies it", "", t.Caution)
		y++
	}
	items := m.standing()
	room := most - y
	if len(items) == 0 || room <= 0 || m.overlay == overNotices {
		return y
	}
	all := 0
	for i := range items {
		all += m.drawItem(a.Rows(0, 0), 0, &items[i])
	}
	if all > room {
		room-- // to say that there is more
	}
	box, used, shown := a.Rows(y, room), 0, 0
	for i := range items {
		need := m.drawItem(a.Rows(0, 0), 0, &items[i])
		if room == 0 || (i > 0 && used+need > room) {
			break
		}
		m.drawItem(box, used, &items[i])
		used, shown = min(room, used+need), shown+1
	}
	y += used
	if all > most-(y-used) {
		a.Repeat(0, y, w, ' ', t.Alarm)
		a.Cut(1, y, w-2, itemCount(shown, items), t.Alarm)
		y++
	}
	return y
}

// itemCount says how many of the items are shown.
func itemCount(shown int, items []item) string {
	wrong := 0
	for i := range items {
		if items[i].mistake() {
			wrong++
		}
	}
	if len(items) == 1 {
		return "! shows all of it"
	}
	var parts []string
	if wrong > 0 {
		parts = append(parts, pane.Plural(wrong, "mistake"))
	}
	if n := len(items) - wrong; n > 0 {
		parts = append(parts, pane.Plural(n, "notice"))
	}
	text := strings.Join(parts, " and ") + ", ! shows all"
	if shown > 0 {
		text = strconv.Itoa(shown) + " of " + text
	}
	return text
}

// item is a notice, or one of the mistakes that a notice lists.
type item struct {
	*state.Notice
	text string
	last bool // of its notice: the hint comes below
}

// mistake says whether it is one in mesh.toml, which comes before all others.
func (i *item) mistake() bool { return i.Code == "config" && i.Level == "error" }

// first orders items so that mistakes in mesh.toml come first.
func first(a, b item) int {
	switch {
	case a.mistake() == b.mistake():
		return 0
	case a.mistake():
		return -1
	}
	return 1
}

// split gives the items of a notice.
func split(n *state.Notice) (items []item) {
	for text := range strings.SplitSeq(strings.TrimRight(n.Text, "\n"), "\n\n") {
		items = append(items, item{Notice: n, text: strings.Trim(text, "\n")})
	}
	items[len(items)-1].last = true
	return items
}

// standing gives what is to be seen now, the worst first.
func (m *model) standing() (out []item) {
	for _, level := range []string{"error", "warning", "info"} {
		for i := len(m.world.Mesh.Notices) - 1; i >= 0; i-- {
			n := &m.world.Mesh.Notices[i]
			if m.view == pane.ViewPlan && (n.Code == "config" || n.Code == "reload") {
				continue // the plan has it in full
			}
			if n.Level != level || (level == "info" && m.world.Now.Sub(n.At) > newsTime) {
				continue
			}
			brief := *n
			brief.Text = pane.Brief(n.Text)
			out = append(out, split(&brief)...)
		}
	}
	slices.SortStableFunc(out, first)
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

// drawItem draws an item with all its lines from line y on, which may lie
// above the area, and gives the number of lines.
func (m *model) drawItem(a grid.Area, y int, n *item) (lines int) {
	w, h := a.Size()
	t := m.world.Theme
	shape, st, body := "✖ ", t.Alarm, t.Bad
	switch n.Level {
	case "warning":
		shape, st, body = "▲ ", t.Caution, t.Warn
	case "info":
		shape, st, body = "• ", t.Bar.With(t.Info), t.Text
	}
	head, rest, _ := strings.Cut(n.text, "\n")
	if n.App != "" && !strings.Contains(head, n.App) {
		head = n.App + ": " + head
	}
	at := ""
	if !n.At.IsZero() {
		at = n.At.Format(time.TimeOnly)
	}
	first := y
	y += grid.Lines(shape+head, max(1, w-2))
	for line := first; line < y; line++ {
		a.Repeat(0, line, w, ' ', st)
	}
	a.Sub(1, 0, w-2, h).Wrap(first, shape+head, st)
	if y == first+1 && grid.Width(shape+head)+grid.Width(at)+4 < w {
		a.Right(w-1, first, at, st)
	}
	inner := a.Sub(3, 0, w-4, h)
	if rest != "" {
		for line := range strings.SplitSeq(rest, "\n") {
			a.Text(1, y, "▌", body)
			y += inner.Wrap(y, line, pane.CaretStyle(line, body, t.Text))
		}
	}
	if n.Hint != "" && n.last {
		a.Text(1, y, "→", t.Key)
		y += inner.Prose(y, n.Hint, t.Text)
	}
	return y - first
}
