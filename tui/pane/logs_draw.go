package pane

import (
	"strconv"

	"mesh/supervisor/state"
	"mesh/tui/grid"
)

// Draw draws the pane.
func (l *Logs) Draw(area grid.Area) {
	w, h := area.Size()
	t := l.w.Theme
	l.below = 0
	defer l.drawApps(area.Rows(0, 1)) // when it is known how much lies below
	body := area.Rows(1, -1)
	l.sought()
	app, _ := l.Lines.Want()
	all := l.list()
	names := 0
	if app == "" || l.several(app) {
		names = l.names(w)
	}
	margin := 2
	if names > 0 {
		margin += names + 1
	}
	if l.times {
		margin += len(clock) + 1
	}
	l.h, l.wide = max(1, h-1), max(1, w-margin)
	if l.ends = l.ends[:0]; len(all) == 0 {
		switch {
		case !l.filter.Empty():
			body.Text(2, 1, "no line matches the filter "+l.Filtered()+": x shows all of them", t.Dim)
		case l.clear > 0:
			body.Text(2, 1, "nothing since: c shows the lines before", t.Dim)
		default:
			body.Text(2, 1, "no output yet", t.Dim)
		}
		return
	}
	top, above := l.top, l.above
	if l.follow {
		top, above = l.end()
	}
	l.first = min(l.index(top), len(all)-1)
	y := -min(above, l.rows(&all[l.first])-1)
	for i := l.first; i < len(all) && y < l.h; i++ {
		y = l.drawLine(body, y, &all[i], names, margin)
		l.below = len(all) - 1 - i
		l.ends = append(l.ends, y)
	}
}

const clock = "15:04:05.000"

// drawLine draws one line of output and gives the line of the screen after it.
func (l *Logs) drawLine(body grid.Area, y int, line *state.Line, names, margin int) int {
	w, _ := body.Size()
	t := l.w.Theme
	text := l.text(line)
	if l.search != "" {
		text = grid.Highlight(text, l.search)
	}
	if line.Partial {
		text += "\x1b[m" + "↩"
	}
	x, n := 0, 1
	if l.times {
		x = body.Text(0, y, line.At.Format(clock), t.Dim) + 1
	}
	gutter := body.Sub(x, 0, w-x, l.h)
	drawMargin(gutter, y, line, names, t)
	room := body.Sub(margin, 0, w-margin, l.h)
	if l.wrap {
		n = room.Wrap(y, text, ground(line, t))
	} else if room.ANSI(0, y, text, ground(line, t), l.left) > w-margin {
		room.Rune(w-margin-1, y, '›', t.Dim)
	}
	for i := 1; i < n; i++ { // the bar goes on beside what was wrapped
		one := *line
		one.Instance = ""
		drawMargin(gutter, y+i, &one, names, t)
	}
	if l.marks[line.Seq] {
		body.Text(margin-2, y, "●", t.Warn.Bold())
	}
	if line.Seq == l.cur {
		for i := range n {
			body.Paint(0, y+i, w, t.Selected)
		}
		body.Text(margin-1, y, "▸", t.Key.With(t.Selected))
	}
	return y + n
}

// several says whether an app has more than one instance.
func (l *Logs) several(app string) bool {
	a := l.w.Mesh.Find(app)
	return a != nil && len(a.Instances) > 1
}

// names gives the width for the names of instances.
func (l *Logs) names(w int) int {
	n := 4
	for i := range l.w.Mesh.Apps {
		for j := range l.w.Mesh.Apps[i].Instances {
			n = max(n, grid.Width(l.w.Mesh.Apps[i].Instances[j].Name))
		}
	}
	return min(n, max(4, w/5), 20)
}

// drawApps draws whose lines are shown and whose could be.
func (l *Logs) drawApps(a grid.Area) {
	w, _ := a.Size()
	t := l.w.Theme
	app, _ := l.Lines.Want()
	right := ""
	if !l.filter.Empty() {
		right = "&" + l.Filtered() + " "
	}
	if l.search != "" {
		right += "/" + l.search + " "
	}
	if n := len(l.marks); n > 0 {
		right += "●" + strconv.Itoa(n) + " "
	}
	if l.Lines.skipped > 0 {
		right += strconv.FormatUint(l.Lines.skipped, 10) + " lines too fast to show "
	}
	if l.follow {
		right += "follow"
	} else {
		right += "↓ " + strconv.Itoa(l.below) + " below"
	}
	l.tabs = l.tabs[:0]
	x, room := 1, w-2-min(grid.Width(right), w/2)
	for _, name := range l.apps() {
		label, st := name, t.Name(name)
		if name == "" {
			label, st = "all", t.Text
		}
		l.tabs = append(l.tabs, x)
		if x+grid.Width(label)+2 > room {
			a.Text(x, 0, "…", t.Dim)
			break
		}
		end := a.Text(x+1, 0, label, st)
		if name == app {
			a.Text(x, 0, "[", t.Key)
			a.Text(end, 0, "]", t.Key)
			a.Paint(x, 0, end-x+1, t.Title)
		}
		x = end + 2
	}
	a.Right(w-1, 0, right, t.Dim)
}
