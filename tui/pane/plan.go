package pane

import (
	"strconv"
	"strings"

	"mesh/runtime/flow/filter"
	"mesh/supervisor/state"
	"mesh/tui/grid"
)

// Plan shows what became of the last edit of mesh.toml: what it changes, item by
// item, or why it cannot be read. Make one with NewPlan.
type Plan struct {
	w    *World
	top  int // first line that is shown
	long int // lines there were
	page int
	all  bool // items that nothing happens to are shown too
	keys []Binding
}

// NewPlan gives the pane that looks at w.
func NewPlan(w *World) *Plan {
	p := &Plan{w: w, page: 1}
	scroll := func(n int) func() { return func() { p.Wheel(n, 0) } }
	p.keys = []Binding{
		move([]string{"up", "k"}, "up", "a line up", scroll(-1)),
		move([]string{"down", "j"}, "down", "a line down", scroll(1)),
		move([]string{"pgup", "ctrl+b"}, "page up", "a page up", func() { p.Wheel(-p.page, 0) }),
		move([]string{"pgdown", "ctrl+f"}, "page down", "a page down", func() { p.Wheel(p.page, 0) }),
		{Keys: []string{"u"}, Name: "undo", Help: "put mesh.toml back to what ran before", Hint: "undo", Do: func(string) Action { return AskUndo }},
		{Keys: []string{"w"}, Name: "review", Help: "let edits of mesh.toml wait here until they are applied, or not", Hint: "wait", Do: func(string) Action {
			if w.Mesh.Review {
				return p.apply()
			}
			return Do{Command: state.Command{Op: state.Review}}
		}},
		{Keys: []string{"a"}, Name: "apply", Help: "apply the edit that waits", Hint: "apply", Do: func(string) Action {
			if !w.Mesh.Review {
				return Say{Text: "nothing waits: edits count as soon as they are saved"}
			}
			return p.apply()
		}},
		move([]string{"o"}, "all items", "show what stays as it is, too, or not", func() { p.all = !p.all }),
	}
	return p
}

// apply asks for the edit that waits, after a question when it costs something.
func (p *Plan) apply() Action {
	d := Do{Command: state.Command{Op: state.Apply}}
	if e := p.w.Mesh.Edit; e != nil && e.State == state.EditPending && e.Plan != nil {
		n := 0
		for _, i := range e.Plan.Items {
			n += i.Streams
		}
		if n > 0 {
			d.Ask = "apply it? " + Plural(n, "call") + " under way must end first"
		}
	}
	return d
}

// Bindings gives what keys do here.
func (p *Plan) Bindings() []Binding { return p.keys }

// Wheel scrolls.
func (p *Plan) Wheel(n, _ int) { p.top = max(0, min(p.top+n, p.long-p.page)) }

// Click does nothing: there is nothing to select.
func (p *Plan) Click(int, int) Action { return nil }

// Draw draws the pane.
func (p *Plan) Draw(a grid.Area) {
	w, h := a.Size()
	t := p.w.Theme
	p.page = max(1, h-1)
	p.long = p.draw(a.Rows(0, 0), 0) // nothing is drawn, but counted
	p.Wheel(0, 0)
	p.draw(a, -p.top)
	if p.long > h && w > 12 {
		a.Right(w-1, h-1, " "+strconv.Itoa(p.top+1)+"–"+strconv.Itoa(min(p.top+h, p.long))+" of "+strconv.Itoa(p.long)+" ", t.Dim.With(t.Bar))
	}
}

// draw draws everything from line y on and gives the number of lines.
func (p *Plan) draw(a grid.Area, y int) int {
	w, h := a.Size()
	t, from := p.w.Theme, y
	inner := a.Sub(2, 0, max(0, w-3), h)
	head, st := p.words()
	y += inner.Prose(y, head, st)
	if p.w.Mesh.Review {
		y += inner.Prose(y, "edits wait: a applies them, w lets them count at once again", t.Warn)
	} else {
		y += inner.Prose(y, "edits count when they are saved; w lets them wait here first", t.Dim)
	}
	y++
	e := p.w.Mesh.Edit
	if e == nil {
		return y - from
	}
	if e.Error != "" {
		for line := range strings.SplitSeq(strings.TrimRight(e.Error, "\n"), "\n") {
			y += inner.Wrap(y, line, CaretStyle(line, t.Bad, t.Text))
		}
		y++
		y += inner.Prose(y, "e opens the file there; u puts it back to what ran before", t.Dim)
	}
	if e.Plan != nil {
		y += p.items(a, y, e.Plan)
	}
	return y - from
}

// words says how far the last edit has come.
func (p *Plan) words() (string, grid.Style) {
	t, e := p.w.Theme, p.w.Mesh.Edit
	if e == nil {
		return "● mesh.toml was not edited since the mesh was started", t.Good
	}
	when := " " + since(p.w.Now, e.At) + " ago"
	switch e.State {
	case state.EditPending:
		return "◌ an edit of" + when + " waits to be applied", t.Warn.Bold()
	case state.EditApplying:
		return "◔ an edit of" + when + " is being applied", t.Warn
	case state.EditApplied:
		return "● the edit of" + when + " was applied in " + filter.Seconds(e.Took), t.Good
	case state.EditBroken:
		return "✖ mesh.toml cannot be read, since" + strings.TrimSuffix(when, " ago") + "; the mesh runs on as it was", t.Bad
	case state.EditFailed:
		return "✖ the edit of" + when + " could not be applied", t.Bad
	}
	return string(e.State), t.Text
}

// items draws what happens to each thing of the mesh, and gives the lines it took.
func (p *Plan) items(a grid.Area, y int, plan *state.Plan) int {
	w, h := a.Size()
	t, from, same := p.w.Theme, y, 0
	name := 12
	for i := range plan.Items {
		name = max(name, grid.Width(plan.Items[i].Kind+" "+plan.Items[i].Name))
	}
	name = min(name, max(12, w/3))
	for i := range plan.Items {
		it := &plan.Items[i]
		if it.Action == state.PlanNothing && !p.all {
			same++
			continue
		}
		sign, st := t.action(it.Action)
		a.Text(2, y, sign, st)
		x := a.Text(4, y, it.Kind+" ", t.Dim)
		a.Cut(x, y, 4+name-x, it.Name, t.Title)
		x = 6 + name
		text := string(it.Action)
		if it.Streams > 0 {
			text += ", " + Plural(it.Streams, "call") + " under way must end first"
		}
		y += max(1, a.Sub(x, 0, max(1, w-x-1), h).Prose(y, text, st))
		for _, why := range it.Why {
			y += a.Sub(x, 0, max(1, w-x-1), h).Prose(y, why, t.Dim)
		}
	}
	if same > 0 {
		a.Text(4, y, count(uint64(same))+" unchanged: o shows what stays as it is", t.Dim)
		y++
	}
	return y - from
}

// action gives the sign and the colour of what happens to an item.
func (t *Theme) action(a state.Action) (string, grid.Style) {
	switch a {
	case state.PlanNothing:
		return "=", t.Dim
	case state.PlanSwap:
		return "≈", t.Good
	case state.PlanAdd, state.PlanStart:
		return "+", t.Good
	case state.PlanRemove, state.PlanStop:
		return "-", t.Bad
	case state.PlanScale:
		return "±", t.Info
	case state.PlanRestart, state.PlanRebuild:
		return "↻", t.Warn
	}
	return "?", t.Text
}

// CaretStyle makes the line with the caret stand out from the quoted source.
func CaretStyle(line string, caret, text grid.Style) grid.Style {
	if strings.Contains(line, "^") && strings.Trim(line, " \t|│^~─") == "" {
		return caret
	}
	return text
}
