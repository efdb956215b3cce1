package tui

import (
	"slices"
	"strconv"
	"strings"

	"mesh/tui/grid"
	"mesh/tui/pane"
)

// overlay is what covers the pane.
type overlay int

const (
	overNone overlay = iota
	overHelp
	overNotices
	overFound
)

// overlayKey takes a key for the overlay; other keys close it and go on.
func (m *model) overlayKey(key string) (taken bool) {
	switch key {
	case "up", "k":
		m.over = max(0, m.over-1)
	case "down", "j":
		m.over++
	case "pgup":
		m.over = max(0, m.over-m.page())
	case "pgdown", "space":
		m.over += m.page()
	case "home", "g":
		m.over = 0
	case "end", "G":
		m.over = m.long
	case "esc", "?", "!", "q", "enter", "backspace":
		m.overlay = overNone
	default:
		m.overlay = overNone
		return false
	}
	return true
}

// page is how far a page of the overlay goes.
func (m *model) page() int {
	_, h := m.body.Size()
	return max(1, h-1)
}

// scrolled notes how long the overlay is and keeps the position within it.
func (m *model) scrolled(long, h int) {
	m.long = long
	m.over = max(0, min(m.over, long-h))
}

// drawPosition draws the line below an overlay: the keys that move it, and
// which of its lines are shown.
func (m *model) drawPosition(a grid.Area) {
	w, _ := a.Size()
	_, h := m.body.Size()
	t := m.world.Theme
	x := a.Text(1, 0, "esc", t.Key)
	x = a.Text(x+1, 0, "close", t.Dim)
	if m.long <= h {
		return
	}
	at := "lines " + strconv.Itoa(m.over+1) + "–" + strconv.Itoa(min(m.long, m.over+h)) + " of " + strconv.Itoa(m.long)
	room := w - grid.Width(at) - 3
	a.Right(w-1, 0, at, t.Title)
	for _, p := range [][2]string{{"↑↓", "scroll"}, {"pgup pgdn", "page"}, {"g", "top"}, {"G", "end"}} {
		if x+3+grid.Width(p[0]+p[1]) > room {
			return
		}
		x = a.Text(x+2, 0, p[0], t.Key)
		x = a.Text(x+1, 0, p[1], t.Dim)
	}
}

// drawHelp draws the keys that work in the present view.
func (m *model) drawHelp(a grid.Area) {
	t := m.world.Theme
	type line struct{ key, help string }
	var lines []line
	add := func(title string, list []pane.Binding, all bool) {
		lines = append(lines, line{help: title})
		for i := range list {
			b := &list[i]
			var keys []string
			for _, k := range b.Keys {
				if all || !m.shadowed(k) {
					keys = append(keys, keyName(k))
				}
			}
			if len(keys) > 0 {
				lines = append(lines, line{strings.Join(keys, " "), b.Help})
			}
		}
	}
	add(m.view.String(), m.pane(m.view).Bindings(), true)
	lines = append(lines, line{})
	add("Everywhere", m.keys, false)
	lines = append(lines, line{}, line{help: "Filter"},
		line{"to: from: app:", "names; * stands for anything, a comma for or"},
		line{"path~ error~", "regular expressions; verb: kind: transport: id:"},
		line{"status:5xx", "or 200, 400-499, status>=400"},
		line{"ttfb>200ms", "also age gap held; bytes>1MiB chunks>100"},
		line{"live done stalled", "also idle waiting holding error ok"},
		line{"! and or ( )", "terms beside each other must all hold"})

	w, h := a.Size()
	cols := max(1, min(3, w/56))
	per := (len(lines) + cols - 1) / cols
	m.scrolled(per, h)
	for i, l := range lines {
		x, y := i/per*(w/cols), i%per-m.over
		box := a.Sub(x, 0, w/cols-1, h)
		if l.key == "" {
			box.Text(1, y, l.help, t.Title)
			continue
		}
		box.Cut(2, y, 17, l.key, t.Key)
		box.Text(20, y, l.help, t.Text)
	}
}

// drawNotices draws everything the mesh has to say: mistakes in mesh.toml, then
// the rest, the latest first.
func (m *model) drawNotices(a grid.Area) {
	_, h := a.Size()
	all := m.world.Mesh.Notices
	if len(all) == 0 {
		m.scrolled(0, h)
		a.Text(2, 1, "nothing to say: all is well", m.world.Theme.Dim)
		return
	}
	var items []item
	for i := len(all) - 1; i >= 0; i-- {
		items = append(items, split(&all[i])...)
	}
	slices.SortStableFunc(items, first)
	long := len(items) - 1 // a line between two
	for i := range items {
		long += m.drawItem(a.Rows(0, 0), 0, &items[i])
	}
	m.scrolled(long, h)
	y := -m.over
	for i := range items {
		y += m.drawItem(a, y, &items[i]) + 1
	}
}
