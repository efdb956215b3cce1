package tui

import (
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
)

// overlayKey takes a key for the overlay; other keys close it and go on.
func (m *model) overlayKey(key string) (taken bool) {
	switch key {
	case "up", "k":
		m.over = max(0, m.over-1)
	case "down", "j":
		m.over++
	case "pgup":
		m.over = max(0, m.over-10)
	case "pgdown":
		m.over += 10
	case "esc", "?", "!", "q", "enter", "backspace":
		m.overlay = overNone
	default:
		m.overlay = overNone
		return false
	}
	return true
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
	m.over = min(m.over, max(0, per-h))
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

// drawNotices draws everything the mesh has to say, the latest first.
func (m *model) drawNotices(a grid.Area) {
	w, h := a.Size()
	all := m.world.Mesh.Notices
	if len(all) == 0 {
		a.Text(2, 1, "nothing to say: all is well", m.world.Theme.Dim)
		return
	}
	m.over = min(m.over, len(all)-1)
	y := 0
	for i := len(all) - 1 - m.over; i >= 0 && y < h; i-- {
		y += m.drawNotice(a.Sub(0, y, w, h-y), &all[i]) + 1
	}
}
