package pane

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"mesh/runtime/flow/filter"
	"mesh/supervisor/state"
)

// Apps shows what runs, what does not and why, with the last lines of the
// selected app below. Make one with NewApps.
type Apps struct {
	choice[appRow]
	Tail Lines // of the selected app

	w        *World
	rows     []appRow
	selected string // name of the selected row
	top      int
	cols     []column[appRow]
	why      int // width of the column for the words about a row; 0: they stand below
	keys     []Binding
	tops     []int // the first line of each row that was drawn, and the one after the last
}

type appRow struct {
	name string
	app  *state.App
	inst *state.Instance // nil: the app has no instances
	live int             // flows under way to it
}

// NewApps gives the pane that looks at w.
func NewApps(w *World) *Apps {
	a := &Apps{w: w}
	a.choice = choice[appRow]{lang: appLanguage(), all: a.list, changed: a.Refresh}
	a.cols = a.columns()
	a.keys = a.bindings()
	return a
}

// Refresh takes in a new snapshot.
func (a *Apps) Refresh() {
	a.rows = slices.DeleteFunc(a.list(), func(r appRow) bool { return !a.match(&r) })
	if a.row() == nil && len(a.rows) > 0 {
		a.selected = a.rows[0].name
	}
	a.Tail.Choose(a.selected)
}

// list gives a row for every instance.
func (a *Apps) list() (rows []appRow) {
	live := map[string]int{}
	for i := range a.w.Flows {
		if v := &a.w.Flows[i]; v.Live {
			live[filter.Callee(v)]++
		}
	}
	for i := range a.w.Mesh.Apps {
		app := &a.w.Mesh.Apps[i]
		if len(app.Instances) == 0 {
			rows = append(rows, appRow{name: app.ID, app: app, live: live[app.ID]})
		}
		for j := range app.Instances {
			inst := &app.Instances[j]
			rows = append(rows, appRow{name: inst.Name, app: app, inst: inst, live: live[inst.Name]})
		}
	}
	return rows
}

func (a *Apps) index() int {
	for i := range a.rows {
		if a.rows[i].name == a.selected {
			return i
		}
	}
	return -1
}

func (a *Apps) row() *appRow {
	if i := a.index(); i >= 0 {
		return &a.rows[i]
	}
	return nil
}

func (a *Apps) step(n int) {
	if len(a.rows) > 0 {
		a.selected = a.rows[min(max(0, a.index()+n), len(a.rows)-1)].name
		a.Tail.Choose(a.selected)
	}
}

// Bindings gives what keys do here.
func (a *Apps) Bindings() []Binding { return a.keys }

func (a *Apps) bindings() []Binding {
	command := func(op state.Op) func(string) Action {
		return func(arg string) Action {
			name := cmp.Or(strings.TrimSpace(arg), a.selected)
			if name == "" {
				return Say{Text: "there is no app"}
			}
			d := Do{Command: state.Command{Op: op, App: name}}
			if op == state.Stop {
				d.Ask = "stop " + name + a.cost(name) + "?"
			}
			return d
		}
	}
	stop, start := command(state.Stop), command(state.Start)
	return append([]Binding{
		move([]string{"up", "k"}, "up", "select the app above", func() { a.step(-1) }),
		move([]string{"down", "j"}, "down", "select the app below", func() { a.step(1) }),
		move([]string{"home", "g"}, "first", "select the first app", func() { a.step(-len(a.rows)) }),
		move([]string{"end", "G"}, "last", "select the last app", func() { a.step(len(a.rows)) }),
		{Keys: []string{"enter"}, Name: "app logs", Help: "the logs of the app", Hint: "logs", Do: func(string) Action {
			return Show{View: ViewLogs, App: a.selected}
		}},
		{Keys: []string{"t"}, Name: "app streams", Help: "the streams from and to the app", Hint: "streams", Do: func(string) Action {
			if r := a.row(); r != nil {
				return Show{View: ViewStreams, Filter: "app:" + r.name}
			}
			return nil
		}},
		{Keys: []string{"r"}, Name: "restart", Arg: "[APP]", Help: "restart the app; calls wait meanwhile", Hint: "restart", Do: command(state.Restart)},
		{Keys: []string{"S"}, Name: "stop or start", Help: "stop the app, or start it when it does not run", Hint: "stop/start", Do: func(string) Action {
			if r := a.row(); r != nil && r.runs() {
				return stop("")
			}
			return start("")
		}},
		{Keys: []string{"a"}, Name: "attach", Arg: "[APP]", Help: "go to the terminal of the app", Do: func(arg string) Action {
			return Attach{App: cmp.Or(strings.TrimSpace(arg), a.selected)}
		}},
		{Name: "stop", Arg: "[APP]", Help: "stop an app", Do: stop},
		{Name: "start", Arg: "[APP]", Help: "start an app", Do: start},
		{Keys: []string{"+", "="}, Name: "scale up", Help: "one more instance", Hint: "more", Do: func(string) Action { return a.scale(1) }},
		{Keys: []string{"-", "_"}, Name: "scale down", Help: "one instance less", Hint: "less", Do: func(string) Action { return a.scale(-1) }},
		{Name: "scale", Arg: "APP N", Help: "run N instances of the app", Do: a.scaleTo},
	}, a.filterKeys("apps")...)
}

// runs says whether the row has a process, or is about to have one.
func (r *appRow) runs() bool {
	return r.phase().Live() || r.phase() == state.Backoff || r.phase() == state.Pending
}

// cost says what stopping an app or an instance breaks off, "" for nothing.
func (a *Apps) cost(name string) string {
	calls := 0
	for i := range a.w.Mesh.Apps {
		for _, inst := range a.w.Mesh.Apps[i].Instances {
			if inst.Name == name || a.w.Mesh.Apps[i].ID == name {
				calls += inst.Calls
			}
		}
	}
	if calls == 0 {
		return ""
	}
	return " with " + Plural(calls, "call") + " under way"
}

func (a *Apps) scale(by int) Action {
	r := a.row()
	if r == nil {
		return nil
	}
	n := len(r.app.Instances) + by
	if n < 1 {
		return Say{Text: "the last instance stays; S stops the app"}
	}
	return a.scaled(r.app.ID, n)
}

func (a *Apps) scaleTo(arg string) Action {
	f := strings.Fields(arg)
	if len(f) == 1 {
		if r := a.row(); r != nil {
			f = []string{r.app.ID, f[0]}
		}
	}
	if len(f) != 2 {
		return Say{Text: "scale takes an app and a number: scale orders 3", Bad: true}
	}
	n, err := strconv.Atoi(f[1])
	if err != nil || n < 0 {
		return Say{Text: f[1] + " is no number of instances", Bad: true}
	}
	return a.scaled(f[0], n)
}

// scaled asks for n instances of an app, after a question when calls would be
// broken off.
func (a *Apps) scaled(app string, n int) Action {
	d := Do{Command: state.Command{Op: state.Scale, App: app, Count: n}}
	if have := a.w.Mesh.Find(app); have != nil && n < len(have.Instances) {
		for _, inst := range have.Instances[n:] {
			if cost := a.cost(inst.Name); cost != "" {
				d.Ask = "stop " + inst.Name + cost + "?"
			}
		}
	}
	return d
}

// Click selects the row at line y; a click on the selected one shows its logs.
func (a *Apps) Click(_, y int) Action {
	i := len(a.tops) - 1
	for i >= 0 && y < a.tops[i] {
		i--
	}
	row := a.top + i
	if i < 0 || i == len(a.tops)-1 || row >= len(a.rows) {
		return nil
	}
	if a.rows[row].name == a.selected {
		return Show{View: ViewLogs, App: a.selected}
	}
	a.selected = a.rows[row].name
	a.Tail.Choose(a.selected)
	return nil
}

// Wheel moves the selection.
func (a *Apps) Wheel(n, _ int) { a.step(n) }
