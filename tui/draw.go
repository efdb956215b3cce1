package tui

import (
	"strconv"
	"strings"

	"mesh/supervisor/state"
	"mesh/tui/grid"
	"mesh/tui/pane"
)

// draw makes the frame: tabs, banner, pane, and a line of hints or input.
func (m *model) draw() {
	m.stale = false
	if m.raw.on {
		m.frame = m.rawStatus()
		return
	}
	m.buf.Plain = m.opt.NoColor
	m.buf.Resize(m.w, m.h)
	all := m.buf.All()
	m.drawTabs(all.Rows(0, 1))
	top := 1
	top += m.drawBanner(all.Rows(1, max(0, m.h-2)))
	bottom := min(1, max(0, m.h-top))
	if m.input != nil {
		bottom = min(m.input.height(m), max(0, m.h-top))
	}
	m.body, m.bodyY = all.Rows(top, max(0, m.h-top-bottom)), top
	switch m.overlay {
	case overHelp:
		m.drawHelp(m.body)
	case overNotices:
		m.drawNotices(m.body)
	case overFound:
		m.drawFound(m.body)
	case overNone:
		m.pane(m.view).Draw(m.body)
	}
	m.drawBottom(all.Rows(m.h-bottom, bottom))
	if next := m.buf.String(); next != m.frame { // else the same string stays, which costs nothing
		m.frame = next
	}
}

// drawTabs draws the first line: the views, and how the mesh is.
func (m *model) drawTabs(a grid.Area) {
	w, _ := a.Size()
	t := m.world.Theme
	a.Repeat(0, 0, w, ' ', t.Bar)
	right := m.summary(w)
	room := w - 1
	for _, p := range right {
		room -= grid.Width(p.text) + 1
	}
	// As long as there is room, the titles are written out; then they are short;
	// then only the present one stands beside its number.
	titles := make([]string, pane.Views)
	long, short := 0, 0
	for v := range pane.Views {
		long += len(v.String()) + 3
		short += len(v.Short()) + 3
	}
	for v := range pane.Views {
		switch {
		case long <= room:
			titles[v] = v.String()
		case short <= room || v == m.view:
			titles[v] = v.Short()
		}
	}
	x := 0
	if name := grid.Plain(m.world.Mesh.Name); name != "" && long+grid.Width(name)+3 < room {
		x = a.Text(1, 0, name, t.Title.With(t.Bar))
		x = a.Text(x+1, 0, "│", t.Faint.With(t.Bar))
	}
	for v, title := range titles {
		st := t.Dim.With(t.Bar)
		present := pane.View(v) == m.view
		if present {
			st = t.Key.With(t.Bar)
		}
		x = a.Text(x+1, 0, strconv.Itoa(v+1), t.Dim.With(t.Bar))
		if present {
			a.Text(x-1, 0, "▸", st)
		}
		if title != "" {
			x = a.Text(x, 0, title, st)
			if present {
				a.Paint(x-len(title), 0, len(title), grid.Style{Attr: grid.Underline})
			}
			x++
		}
		m.tabs[v] = x
	}
	if room < x { // the views are more important
		return
	}
	x = room
	for _, p := range right {
		x = a.Text(x, 0, p.text, p.st.With(t.Bar)) + 1
	}
}

type part struct {
	text string
	st   grid.Style
}

// readiness counts the instances: those that are ready or done, all that are to
// be, and those that have failed. Those that were stopped do not count.
func (m *model) readiness() (ready, all, broken int) {
	for i := range m.world.Mesh.Apps {
		for j := range m.world.Mesh.Apps[i].Instances {
			all++
			switch m.world.Mesh.Apps[i].Instances[j].Phase {
			case state.Ready, state.Done:
				ready++
			case state.Failed, state.Backoff:
				broken++
			case state.Stopped:
				all--
			case state.Pending, state.Starting, state.Stopping:
			}
		}
	}
	return ready, all, broken
}

// summary gives what stands at the right of the first line.
func (m *model) summary(w int) (parts []part) {
	t := m.world.Theme
	ready, all, broken := m.readiness()
	live := 0
	for i := range m.world.Flows {
		if m.world.Flows[i].Live {
			live++
		}
	}
	if m.world.Frozen {
		parts = append(parts, part{"‖ frozen", t.Warn.Bold()})
	}
	on := 0
	for i := range m.world.Mesh.Faults {
		if m.world.Mesh.Faults[i].On {
			on++
		}
	}
	if on > 0 {
		parts = append(parts, part{"≠ " + pane.Plural(on, "fault"), t.Warn.Bold()})
	}
	if broken > 0 {
		parts = append(parts, part{"✖ " + strconv.Itoa(broken), t.Bad})
	}
	if w >= 70 {
		parts = append(parts, part{"● " + strconv.Itoa(ready) + "/" + strconv.Itoa(all) + " ready", t.Good}, part{strconv.Itoa(live) + " live", t.Text})
	} else {
		parts = append(parts, part{strconv.Itoa(ready) + "/" + strconv.Itoa(all), t.Good}, part{strconv.Itoa(live) + "↯", t.Text})
	}
	return parts
}

// drawBottom draws the last line, or the lines of an input.
func (m *model) drawBottom(a grid.Area) {
	w, h := a.Size()
	t := m.world.Theme
	if h == 0 {
		return
	}
	switch {
	case m.ask != nil:
		x := a.Text(1, 0, m.ask.text, t.Warn.Bold())
		for _, o := range m.ask.answers {
			x = a.Text(x+2, 0, o.key, t.Key)
			x = a.Text(x+1, 0, o.label, t.Text)
		}
	case m.input != nil:
		m.input.draw(m, a)
	case m.message != "":
		st := t.Info
		if m.bad {
			st = t.Bad
		}
		text, _, _ := strings.Cut(m.message, "\n")
		a.Cut(1, 0, w-2, text, st)
	case m.overlay != overNone:
		m.drawPosition(a)
	default:
		m.drawHints(a)
	}
}

// drawHints draws the most useful keys, those of the pane first. Help and quit
// are always among them.
func (m *model) drawHints(a grid.Area) {
	w, _ := a.Size()
	var own, always, other []hint
	for i, list := range [][]pane.Binding{m.pane(m.view).Bindings(), m.keys} {
		for j := range list {
			b := &list[j]
			h := hint{firstKey(b), b.Hint}
			switch {
			case b.Hint == "" || len(b.Keys) == 0 || (i == 1 && m.shadowed(b.Keys[0])):
			case i == 0:
				own = append(own, h)
			case b.Name == "help" || b.Name == "quit":
				always = append(always, h)
			default:
				other = append(other, h)
			}
		}
	}
	room := w - 1
	for _, h := range always {
		room -= h.width() + 2
	}
	x := m.putHints(a, 1, room, own)
	x = m.putHints(a, x, w+1, always)
	m.putHints(a, x, w+1, other)
}

// hint is a key and a word for what it does.
type hint struct{ key, word string }

func (h hint) width() int { return grid.Width(h.key) + 1 + grid.Width(h.word) }

// putHints draws the hints that fit before column end, and gives the column
// for the next one.
func (m *model) putHints(a grid.Area, x, end int, hints []hint) int {
	t := m.world.Theme
	for _, h := range hints {
		if x+h.width()+1 > end {
			break
		}
		x = a.Text(x, 0, h.key, t.Key)
		x = a.Text(x+1, 0, h.word, t.Dim) + 2
	}
	return x
}

func firstKey(b *pane.Binding) string {
	if len(b.Keys) == 0 {
		return ""
	}
	return keyName(b.Keys[0])
}

// keyName gives the name of a key as people know it.
func keyName(k string) string {
	switch k {
	case "up":
		return "↑"
	case "down":
		return "↓"
	case "left":
		return "←"
	case "right":
		return "→"
	case "enter":
		return "⏎"
	case "shift+tab":
		return "⇧tab"
	case "shift+left":
		return "⇧←"
	case "shift+right":
		return "⇧→"
	}
	return strings.Replace(k, "ctrl+", "^", 1)
}
