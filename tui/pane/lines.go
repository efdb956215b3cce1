package pane

import (
	"slices"
	"strings"

	"mesh/supervisor/state"
	"mesh/tui/decode"
	"mesh/tui/grid"
)

// keepLines is how many lines of output a pane remembers at least.
const keepLines = 20_000

// Lines is the output of one app or of all, as far as it is remembered. The
// zero value is that of all apps.
type Lines struct {
	app     string
	all     []state.Line // oldest first
	skipped uint64       // lines that came faster than they could be read
	changed uint64       // grows with every change
}

// Choose turns to the output of another app or instance; "" is all of them.
func (l *Lines) Choose(app string) {
	if app != l.app {
		*l = Lines{app: app, changed: l.changed + 1}
	}
}

// Want says which lines are still unknown: those of the app above after.
func (l *Lines) Want() (app string, after uint64) {
	if len(l.all) == 0 {
		return l.app, 0
	}
	return l.app, l.all[len(l.all)-1].Seq
}

// Add takes in the lines that were asked for with what Want gave, and says
// whether there was anything new. Lines of an earlier choice are ignored.
func (l *Lines) Add(app string, after uint64, lines []state.Line) bool {
	if a, n := l.Want(); a != app || n != after || len(lines) == 0 {
		return false
	}
	if first := lines[0].Seq; l.app == "" && after > 0 && first > after+1 {
		l.skipped += first - after - 1
	}
	l.all = append(l.all, lines...)
	if n := len(l.all) - keepLines; n > keepLines {
		l.all = slices.Delete(l.all, 0, n)
	}
	l.changed++
	return true
}

// drawLast draws the end of the lines, each cut to one line of the area. Names
// of instances stand before them when there are several.
func drawLast(area grid.Area, lines []state.Line, names int, t *Theme) {
	w, h := area.Size()
	if len(lines) == 0 {
		area.Text(2, 0, "no output yet", t.Dim)
		return
	}
	lines = lines[max(0, len(lines)-h):]
	for y := range lines {
		if n := grid.Width(lines[y].Instance); lines[y].Instance != lines[0].Instance || names > 0 {
			names = max(names, min(n, w/4), min(grid.Width(lines[0].Instance), w/4))
		}
	}
	for y := range lines {
		x := drawMargin(area, y, &lines[y], names, t)
		area.Sub(x, y, w-x, 1).ANSI(0, 0, inWords(&lines[y], t), ground(&lines[y], t), 0)
	}
}

// drawMargin draws what stands before a line: the instance when names is not
// 0 but the width for it, and a bar that tells the streams apart.
func drawMargin(area grid.Area, y int, l *state.Line, names int, t *Theme) (x int) {
	if names > 0 {
		x = area.Cut(0, y, names, l.Instance, t.Name(l.App)) + 1
	}
	r, st := '│', t.Faint
	switch l.Stream {
	case "stderr":
		r, st = '┃', t.Warn
	case "mesh":
		r, st = '◆', t.Info
	case "mark":
		r, st = '─', t.Info.Bold()
	}
	area.Rune(x, y, r, st)
	return x + 2
}

// inWords gives the text of a line as it is shown: as it was printed, or what it
// says when it is a record in JSON.
func inWords(l *state.Line, t *Theme) string {
	if l.Partial {
		return l.Text
	}
	r, ok := decode.ReadRecord(l.Text)
	if !ok {
		return l.Text
	}
	var b strings.Builder
	if r.Level != "" {
		st := t.Info
		switch r.Level {
		case "error", "fatal", "panic", "critical":
			st = t.Bad.Bold()
		case "warn":
			st = t.Warn.Bold()
		case "debug", "trace":
			st = t.Dim
		}
		b.WriteString(grid.Styled(strings.ToUpper(r.Level), st) + " ")
	}
	b.WriteString(r.Message)
	for _, f := range r.Fields {
		b.WriteString("  " + grid.Styled(f.Key+"=", t.Dim) + f.Value)
	}
	return b.String()
}

// ground gives the style in which the text of a line begins.
func ground(l *state.Line, t *Theme) grid.Style {
	switch l.Stream {
	case "mesh":
		return t.Info
	case "mark":
		return t.Info.Bold()
	}
	return t.Text
}
