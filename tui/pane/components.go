package pane

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"mesh/supervisor/state"
	"mesh/tui/grid"
)

// Components shows the state stores, brokers and so on of the mesh, how they
// are and why. Make one with NewComponents.
type Components struct {
	choice[state.Component]

	w        *World
	rows     []state.Component
	selected [2]string // name, and the app that it was started for
	top      int
	cols     []column[state.Component]
	keys     []Binding
}

// NewComponents gives the pane that looks at w.
func NewComponents(w *World) *Components {
	c := &Components{w: w}
	c.choice = choice[state.Component]{lang: componentLanguage(), all: func() []state.Component { return w.Mesh.Components }, changed: c.Refresh}
	c.cols = c.columns()
	c.keys = append([]Binding{
		move([]string{"up", "k"}, "up", "select the component above", func() { c.Wheel(-1, 0) }),
		move([]string{"down", "j"}, "down", "select the component below", func() { c.Wheel(1, 0) }),
		move([]string{"home", "g"}, "first", "select the first component", func() { c.Wheel(-len(c.rows), 0) }),
		move([]string{"end", "G"}, "last", "select the last component", func() { c.Wheel(len(c.rows), 0) }),
		{Keys: []string{"enter"}, Name: "edit component", Help: "open the file that declares it in the editor", Hint: "edit", Do: func(string) Action {
			r := c.row()
			switch {
			case r == nil:
				return nil
			case r.Place == "":
				return Say{Text: r.Name + " stands in because nothing is declared: a [components." + r.Name + "] table in mesh.toml replaces it"}
			}
			return Open{Place: r.Place}
		}},
	}, c.filterKeys("components")...)
	return c
}

// Bindings gives what keys do here.
func (c *Components) Bindings() []Binding { return c.keys }

// Refresh takes in a new snapshot.
func (c *Components) Refresh() {
	c.rows = c.rows[:0]
	for _, one := range c.w.Mesh.Components {
		if c.match(&one) {
			c.rows = append(c.rows, one)
		}
	}
	if c.row() == nil && len(c.rows) > 0 {
		c.selected = [2]string{c.rows[0].Name, c.rows[0].App}
	}
}

func (c *Components) index() int {
	return slices.IndexFunc(c.rows, func(r state.Component) bool { return c.selected == [2]string{r.Name, r.App} })
}

func (c *Components) row() *state.Component {
	if i := c.index(); i >= 0 {
		return &c.rows[i]
	}
	return nil
}

// Wheel moves the selection.
func (c *Components) Wheel(n, _ int) {
	if len(c.rows) > 0 {
		r := &c.rows[min(max(0, c.index()+n), len(c.rows)-1)]
		c.selected = [2]string{r.Name, r.App}
	}
}

// Click selects the row at line y; a click on the selected one opens its file.
func (c *Components) Click(_, y int) Action {
	if !c.filter.Empty() {
		y--
	}
	i := c.top + y - 1
	if y < 1 || i >= len(c.rows) {
		return nil
	}
	if i == c.index() {
		return c.keys[4].Do("")
	}
	c.selected = [2]string{c.rows[i].Name, c.rows[i].App}
	return nil
}

// ill says whether a component is not as it should be.
func ill(c *state.Component) bool { return c.State != "ready" && c.State != "loading" }

// component gives the shape and the colour of how a component is.
func (t *Theme) component(c *state.Component) (rune, grid.Style) {
	switch c.State {
	case "ready":
		return '●', t.Good
	case "loading":
		return '◔', t.Warn
	case "outdated": // what it was before serves
		return '◒', t.Warn
	}
	return '✖', t.Bad
}

// componentState says how a component is in a word that fits what happens.
func componentState(c *state.Component) string {
	if c.State == "degraded" && c.Since.IsZero() {
		return "failed"
	}
	return c.State
}

func (c *Components) columns() []column[state.Component] {
	t := func() *Theme { return c.w.Theme }
	return []column[state.Component]{
		{title: "  component", width: 14, most: 30, grow: 1, draw: func(a grid.Area, r *state.Component) {
			w, _ := a.Size()
			shape, st := t().component(r)
			a.Rune(0, 0, shape, st)
			x := a.Cut(2, 0, w-2, r.Name, t().Title)
			if r.App != "" {
				a.Cut(x+1, 0, w-x-1, "of "+r.App, t().Dim)
			}
		}},
		{title: "type", width: 16, most: 28, grow: 1, draw: text(func(r *state.Component) (string, grid.Style) { return r.Type, t().Text })},
		{title: "version", width: 7, drop: 3, draw: text(func(r *state.Component) (string, grid.Style) { return cmp.Or(r.Version, "v1"), t().Dim })},
		{title: "state", width: 8, draw: text(func(r *state.Component) (string, grid.Style) {
			_, st := t().component(r)
			return componentState(r), st
		})},
		{title: "since", width: 6, right: true, drop: 1, draw: number(func(r *state.Component) (string, grid.Style) { return since(c.w.Now, r.Since), t().Text })},
		{title: "scopes", width: 8, most: 24, grow: 1, drop: 4, draw: text(func(r *state.Component) (string, grid.Style) { return scopes(r), t().Text })},
		{title: "declared in", width: 12, grow: 2, drop: 2, draw: text(func(r *state.Component) (string, grid.Style) { return c.place(r), t().Dim })},
		{title: "why", width: 24, grow: 3, drop: 5, draw: text(func(r *state.Component) (string, grid.Style) {
			_, st := t().component(r)
			return Brief(r.Reason), st
		})},
	}
}

func scopes(r *state.Component) string {
	if len(r.Scopes) == 0 {
		return "all apps"
	}
	return strings.Join(r.Scopes, " ")
}

// place gives where a component is declared, as seen from the project.
func (c *Components) place(r *state.Component) string {
	if r.Place == "" {
		return "embedded"
	}
	if rel, ok := strings.CutPrefix(r.Place, filepath.Clean(c.w.Mesh.Dir)+"/"); ok && c.w.Mesh.Dir != "" {
		return rel
	}
	return r.Place
}

// Draw draws the pane.
func (c *Components) Draw(a grid.Area) {
	t := c.w.Theme
	a, ok := c.drawHead(a, t, len(c.rows), "component", "no components yet: they appear when the mesh has started them")
	if !ok {
		return
	}
	w, h := a.Size()
	at := place(c.cols, w-2)
	header(a.Sub(2, 0, w-2, 1), c.cols, at, -1, false, t.Dim)
	rows := min(len(c.rows), max(1, h-7))
	body := a.Rows(1, min(rows, max(0, h-1)))
	sel := max(0, c.index())
	c.top = scroll(c.top, sel, len(c.rows), rows)
	for y := range min(rows, len(c.rows)-c.top) {
		r := &c.rows[c.top+y]
		for _, p := range at {
			c.cols[p.col].draw(body.Sub(2+p.x, y, p.w, 1), r)
		}
		if c.top+y == sel {
			body.Paint(0, y, w, t.Selected)
			body.Text(0, y, "▸", t.Key.With(t.Selected))
		}
	}
	c.drawDetail(a.Rows(1+rows, -1))
}

// drawDetail says in words how the selected component is.
func (c *Components) drawDetail(a grid.Area) {
	w, h := a.Size()
	r, t := c.row(), c.w.Theme
	if h < 2 || r == nil {
		return
	}
	a.Repeat(0, 0, w, '─', t.Faint)
	a.Text(2, 0, " "+grid.Plain(r.Name)+" ", t.Title)
	shape, st := t.component(r)
	text := componentState(r)
	if !r.Since.IsZero() {
		verb := map[string]string{"ready": ", loaded ", "loading": " since "}[r.State]
		text += cmp.Or(verb, " since ") + r.Since.Format("15:04:05") + ", " + since(c.w.Now, r.Since) + " ago"
	}
	if r.Next.After(c.w.Now) {
		text += "; tried again in " + whole(r.Next.Sub(c.w.Now)+999_999_999)
	}
	y := 1 + a.Sub(2, 0, w-3, h).Prose(1, string(shape)+" "+text, st)
	words := []string{r.Type + " " + cmp.Or(r.Version, "v1") + ", " + where(c.place(r)), "seen by " + seen(r)}
	switch r.State {
	case "outdated":
		words = append(words, "what it was before still serves, because what it should be does not start")
	case "degraded":
		words = append(words, "calls to it fail until it answers; it is tried again by itself")
	}
	for _, s := range words {
		y += a.Sub(4, 0, w-5, h).Prose(y, s, t.Text)
	}
	if r.Reason != "" {
		a.Sub(4, 0, w-5, h).Prose(y, r.Reason, st)
	}
}

func where(place string) string {
	if place == "embedded" {
		return "embedded: it stands in because none is declared"
	}
	return "declared in " + place
}

func seen(r *state.Component) string {
	switch {
	case r.App != "":
		return r.App + " alone: each app has its own"
	case len(r.Scopes) == 0:
		return "every app: it has no scopes"
	}
	return strings.Join(r.Scopes, ", ")
}
