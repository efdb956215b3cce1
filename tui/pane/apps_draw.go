package pane

import (
	"strconv"
	"strings"

	"mesh/supervisor/state"
	"mesh/tui/grid"
)

// look gives the shape and the colour of a phase.
func (t *Theme) look(p state.Phase) (rune, grid.Style) {
	switch p {
	case state.Pending:
		return '◌', t.Dim
	case state.Starting:
		return '◔', t.Warn
	case state.Ready:
		return '●', t.Good
	case state.Stopping:
		return '◒', t.Warn
	case state.Stopped:
		return '○', t.Dim
	case state.Backoff:
		return '↻', t.Bad
	case state.Done:
		return '✓', t.Good
	case state.Failed:
		return '✖', t.Bad
	}
	return '?', t.Warn
}

// broken says whether the reason of a phase has to be seen at once.
func broken(p state.Phase) bool { return p == state.Failed || p == state.Backoff }

func (r *appRow) phase() state.Phase {
	if r.inst == nil {
		return state.Stopped
	}
	return r.inst.Phase
}

func (r *appRow) reason() string {
	if r.inst == nil {
		return "no instances"
	}
	return r.inst.Reason
}

func (a *Apps) columns() []column[appRow] {
	inst := func(f func(i *state.Instance) string) func(*appRow) (string, grid.Style) {
		return func(r *appRow) (string, grid.Style) {
			if r.inst == nil {
				return none, a.w.Theme.Dim
			}
			if s := f(r.inst); s != "" && s != none {
				return s, a.w.Theme.Text
			}
			return none, a.w.Theme.Faint
		}
	}
	return []column[appRow]{
		{title: "  app", width: 14, grow: 1, draw: func(c grid.Area, r *appRow) {
			w, _ := c.Size()
			shape, st := a.w.Theme.look(r.phase())
			c.Rune(0, 0, shape, st)
			c.Cut(2, 0, w-2, r.name, a.w.Theme.Title)
		}},
		{title: "state", width: 9, draw: text(func(r *appRow) (string, grid.Style) {
			_, st := a.w.Theme.look(r.phase())
			if r.app.External && r.phase() == state.Ready {
				return "external", st
			}
			return string(r.phase()), st
		})},
		{title: "for", width: 6, right: true, drop: 6, draw: number(inst(func(i *state.Instance) string { return since(a.w.Now, i.Since) }))},
		{title: "restarts", width: 8, right: true, drop: 5, draw: number(func(r *appRow) (string, grid.Style) {
			if r.inst == nil || r.inst.Restarts == 0 {
				return none, a.w.Theme.Faint
			}
			return strconv.Itoa(r.inst.Restarts), a.w.Theme.Warn
		})},
		{title: "port", width: 5, right: true, drop: 4, draw: number(inst(func(i *state.Instance) string { return port(i.AppPort) }))},
		{title: "http", width: 5, right: true, drop: 8, draw: number(inst(func(i *state.Instance) string { return port(i.HTTPPort) }))},
		{title: "grpc", width: 5, right: true, drop: 9, draw: number(inst(func(i *state.Instance) string { return port(i.GRPCPort) }))},
		{title: "peer", width: 5, right: true, drop: 11, draw: number(inst(func(i *state.Instance) string { return port(i.PeerPort) }))},
		{title: "pid", width: 7, right: true, drop: 10, draw: number(inst(func(i *state.Instance) string { return port(i.PID) }))},
		{title: "cpu", width: 5, right: true, drop: 3, draw: number(inst(func(i *state.Instance) string {
			if i.PID == 0 {
				return ""
			}
			return percent(i.CPU)
		}))},
		{title: "mem", width: 5, right: true, drop: 7, draw: number(inst(func(i *state.Instance) string {
			if i.Memory == 0 {
				return ""
			}
			return scaled(i.Memory, 1024, "KMGT")
		}))},
		{title: "calls", width: 5, right: true, drop: 1, draw: number(inst(func(i *state.Instance) string { return orNone(i.Calls) }))},
		{title: "held", width: 5, right: true, drop: 2, draw: number(func(r *appRow) (string, grid.Style) {
			if r.inst == nil || r.inst.Waiting == 0 {
				return none, a.w.Theme.Faint
			}
			return count(uint64(r.inst.Waiting)), a.w.Theme.Warn.Bold()
		})},
		{title: "live", width: 4, right: true, draw: number(func(r *appRow) (string, grid.Style) {
			if r.live == 0 {
				return none, a.w.Theme.Faint
			}
			return count(uint64(r.live)), a.w.Theme.Good
		})},
		{title: "why", width: 24, grow: 1, drop: 12, draw: text(func(r *appRow) (string, grid.Style) {
			if !a.beside(r) {
				return "", a.w.Theme.Dim
			}
			return a.words(r), a.w.Theme.why(r.phase())
		})},
	}
}

func port(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// words gives what is written below a row: why it is in its phase, and when
// it is tried again.
func (a *Apps) words(r *appRow) string {
	why := Brief(r.reason())
	if r.inst != nil && r.phase() == state.Backoff && r.inst.Next.After(a.w.Now) {
		why = strings.TrimSpace(why + " · tries again in " + whole(r.inst.Next.Sub(a.w.Now)+999_999_999))
	}
	if why == "" && broken(r.phase()) {
		why = "no reason is known"
	}
	return why
}

// beside says whether the words about a row stand in it, and not below.
func (a *Apps) beside(r *appRow) bool {
	why := a.words(r)
	return a.why > 0 && why != "" && r.phase() != state.Ready && !strings.Contains(why, "\n") && grid.Width(why) <= a.why
}

// why gives the style of the words about a phase.
func (t *Theme) why(p state.Phase) grid.Style {
	if broken(p) {
		return t.Bad
	}
	return t.Dim
}

// lay places the columns; that of the names is as wide as they need.
func (a *Apps) lay(w int) []placed {
	a.cols[0].most = 0
	for i := range a.rows {
		a.cols[0].most = max(a.cols[0].most, grid.Width(a.rows[i].name)+4)
	}
	at := place(a.cols, w)
	a.why = 0
	if last := at[len(at)-1]; last.col == len(a.cols)-1 {
		a.why = last.w
	}
	return at
}

// height gives the lines that a row takes in w columns.
func (a *Apps) height(r *appRow, w int) int {
	why := a.words(r)
	if why == "" || r.phase() == state.Ready || a.beside(r) {
		return 1
	}
	n := 0
	for line := range strings.SplitSeq(why, "\n") {
		n += grid.Lines(line, max(1, w-5))
	}
	return 1 + min(n, 6)
}

// Draw draws the pane.
func (a *Apps) Draw(area grid.Area) {
	t := a.w.Theme
	area, ok := a.drawHead(area, t, len(a.rows), "app", "no apps yet: add an [apps.NAME] table to mesh.toml")
	if !ok {
		return
	}
	w, h := area.Size()
	at := a.lay(w - 2)
	need := 1
	for i := range a.rows {
		need += a.height(&a.rows[i], w)
	}
	top := min(need, max(h*3/5, h-12))
	if h < 12 {
		top = h
	}
	header(area.Sub(2, 0, w-2, 1), a.cols, at, -1, false, t.Dim)
	a.drawRows(area.Rows(1, top-1), at)
	a.drawTail(area.Rows(top, -1))
}

func (a *Apps) drawRows(area grid.Area, at []placed) {
	w, h := area.Size()
	sel, used := max(0, a.index()), 0
	first := sel // as many rows above the selected one as there is room for
	for i := sel; i >= 0; i-- {
		if used += a.height(&a.rows[i], w); used > h && i < sel {
			break
		}
		first = i
	}
	a.top = min(max(a.top, first), sel)
	y := 0
	a.tops = a.tops[:0]
	for i := a.top; i < len(a.rows) && y < h; i++ {
		r := &a.rows[i]
		a.tops = append(a.tops, y+1) // below the header
		for _, p := range at {
			a.cols[p.col].draw(area.Sub(2+p.x, y, p.w, 1), r)
		}
		if i == sel {
			area.Paint(0, y, w, a.w.Theme.Selected)
			area.Text(0, y, "▸", a.w.Theme.Key.With(a.w.Theme.Selected))
		}
		a.drawWords(area.Sub(4, y+1, w-5, a.height(r, w)-1), r)
		y += a.height(r, w)
	}
	a.tops = append(a.tops, y+1)
}

func (a *Apps) drawWords(area grid.Area, r *appRow) {
	_, h := area.Size()
	st, y := a.w.Theme.why(r.phase()), 0
	for line := range strings.SplitSeq(a.words(r), "\n") {
		if y >= h {
			return
		}
		y += area.Wrap(y, line, st)
	}
}

func (a *Apps) drawTail(area grid.Area) {
	w, h := area.Size()
	if h < 2 {
		return
	}
	t := a.w.Theme
	area.Repeat(0, 0, w, '─', t.Faint)
	area.Text(2, 0, " "+grid.Plain(a.selected)+" ", t.Title)
	drawLast(area.Rows(1, -1), a.Tail.all, 0, t)
}
