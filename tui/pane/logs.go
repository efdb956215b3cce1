package pane

import (
	"slices"
	"strconv"
	"strings"

	"mesh/supervisor/state"
	"mesh/tui/grid"
)

// Logs shows the output of one app or of all of them. Make one with NewLogs.
type Logs struct {
	Lines Lines

	w       *World
	follow  bool
	top     uint64 // number of the line at the top, when not following
	above   int    // lines of it that lie above the top
	wrap    bool
	times   bool
	left    int // columns scrolled to the right, when not wrapping
	search  string
	hit     uint64 // number of the line that was found last; 0: none
	h, wide int    // lines and columns for text, as drawn last
	below   int    // lines of output below the last one that was drawn
	tabs    []int  // where the names of apps were drawn
	keys    []Binding
}

// NewLogs gives the pane that looks at w.
func NewLogs(w *World) *Logs {
	l := &Logs{w: w, follow: true, wrap: true, h: 1, wide: 80}
	l.keys = l.bindings()
	return l
}

// Choose turns to the output of an app; "" is all of them.
func (l *Logs) Choose(app string) {
	l.Lines.Choose(app)
	l.follow, l.hit, l.left = true, 0, 0
}

// Search looks for a text, case aside, from the end of what is shown upwards.
func (l *Logs) Search(text string) Action {
	l.search, l.hit = text, 0
	if text == "" {
		return nil
	}
	return l.find(-1)
}

// Searched gives the text that is looked for.
func (l *Logs) Searched() string { return l.search }

// find goes to the next line with the text in a direction.
func (l *Logs) find(step int) Action {
	if l.search == "" {
		return Prompt{Kind: PromptSearch}
	}
	all := l.Lines.all
	i := l.index(l.hit)
	if l.hit == 0 {
		i = len(all) - 1
		if !l.follow {
			i = min(l.index(l.top)+l.h, len(all)) - 1
		}
		i -= step // the line itself counts too
	}
	for i += step; i >= 0 && i < len(all); i += step {
		if grid.Find(all[i].Text, l.search) {
			l.hit = all[i].Seq
			l.show(i)
			return nil
		}
	}
	if l.hit != 0 {
		return Say{"no more " + strconv.Quote(l.search) + " in this direction"}
	}
	return Say{strconv.Quote(l.search) + " is not in these lines"}
}

// index gives the place of the line of that number, or of the first after it.
func (l *Logs) index(seq uint64) int {
	i, _ := slices.BinarySearchFunc(l.Lines.all, seq, func(x state.Line, seq uint64) int {
		switch {
		case x.Seq < seq:
			return -1
		case x.Seq > seq:
			return 1
		}
		return 0
	})
	return i
}

// show brings line i to the middle.
func (l *Logs) show(i int) {
	l.follow, l.top, l.above = false, l.Lines.all[i].Seq, 0
	l.Scroll(-l.h / 2)
	if top, above := l.end(); l.top > top || (l.top == top && l.above > above) {
		l.top, l.above = top, above
	}
}

// rows gives the lines of the screen that line i takes.
func (l *Logs) rows(i int) int {
	if !l.wrap {
		return 1
	}
	return grid.Lines(l.Lines.all[i].Text, l.wide)
}

// Scroll moves by n lines of the screen; reaching the end follows again.
func (l *Logs) Scroll(n int) {
	all := l.Lines.all
	if len(all) == 0 || (l.follow && n >= 0) {
		return
	}
	if l.follow {
		l.top, l.above = l.end()
		l.follow = false
	}
	i := min(l.index(l.top), len(all)-1)
	sub := l.above + n
	for sub < 0 && i > 0 {
		i--
		sub += l.rows(i)
	}
	sub = max(0, sub)
	for sub >= l.rows(i) && i < len(all)-1 {
		sub -= l.rows(i)
		i++
	}
	l.top, l.above = all[i].Seq, min(sub, l.rows(i)-1)
	if top, above := l.end(); n > 0 && (l.top > top || (l.top == top && l.above >= above)) {
		l.follow = true
	}
}

// end gives the place of the top when the last line is at the bottom.
func (l *Logs) end() (top uint64, above int) {
	left := l.h
	for i, line := range slices.Backward(l.Lines.all) {
		n := l.rows(i)
		top, above = line.Seq, max(0, n-left)
		if left -= n; left <= 0 {
			break
		}
	}
	return top, above
}

// apps gives the choices: all, then every app.
func (l *Logs) apps() []string {
	names := []string{""}
	for i := range l.w.Mesh.Apps {
		names = append(names, l.w.Mesh.Apps[i].ID)
	}
	if app, _ := l.Lines.Want(); !slices.Contains(names, app) {
		names = append(names, app)
	}
	return names
}

func (l *Logs) stepApp(n int) {
	names := l.apps()
	app, _ := l.Lines.Want()
	l.Choose(names[(slices.Index(names, app)+n+len(names))%len(names)])
}

// Bindings gives what keys do here.
func (l *Logs) Bindings() []Binding { return l.keys }

func (l *Logs) bindings() []Binding {
	act := func(keys []string, name, help, hint string, f func() Action) Binding {
		return Binding{Keys: keys, Name: name, Help: help, Hint: hint, Do: func(string) Action { return f() }}
	}
	return []Binding{
		move([]string{"up", "k"}, "up", "a line up", func() { l.Scroll(-1) }),
		move([]string{"down", "j"}, "down", "a line down", func() { l.Scroll(1) }),
		move([]string{"pgup", "ctrl+b"}, "page up", "a page up", func() { l.Scroll(-max(1, l.h-1)) }),
		move([]string{"pgdown", "ctrl+f"}, "page down", "a page down", func() { l.Scroll(max(1, l.h-1)) }),
		move([]string{"home", "g"}, "first", "the oldest line", func() { l.Scroll(-1 << 30) }),
		act([]string{"end", "G", "f"}, "follow", "the newest line, and follow", "follow", func() Action { l.follow, l.hit = true, 0; return nil }),
		act([]string{"tab"}, "next app", "the logs of the next app", "app", func() Action { l.stepApp(1); return nil }),
		move([]string{"shift+tab"}, "app before", "the logs of the app before", func() { l.stepApp(-1) }),
		move([]string{"a"}, "all apps", "the logs of all apps", func() { l.Choose("") }),
		{Name: "logs", Arg: "[APP]", Help: "the logs of an app", Do: func(arg string) Action { return Show{View: ViewLogs, App: strings.TrimSpace(arg)} }},
		{Keys: []string{"/"}, Name: "search", Arg: "[TEXT]", Help: "look for a text", Hint: "search", Do: func(arg string) Action {
			if arg == "" {
				return Prompt{Kind: PromptSearch, Text: l.search}
			}
			return l.Search(arg)
		}},
		act([]string{"n"}, "next hit", "the next line with it, upwards", "", func() Action { return l.find(-1) }),
		act([]string{"N"}, "hit before", "the line with it before, downwards", "", func() Action { return l.find(1) }),
		act([]string{"w"}, "wrap", "wrap long lines, or cut them", "wrap", func() Action { l.wrap, l.left, l.above = !l.wrap, 0, 0; return nil }),
		move([]string{"t"}, "times", "show when each line came", func() { l.times = !l.times }),
		move([]string{"left", "h"}, "left", "go left in lines that are cut", func() { l.left = max(0, l.left-8) }),
		move([]string{"right", "l"}, "right", "go right in lines that are cut", func() {
			if !l.wrap {
				l.left = min(l.left+8, 10_000)
			}
		}),
	}
}

// Click chooses the app whose name was clicked.
func (l *Logs) Click(x, y int) Action {
	if y != 0 {
		return nil
	}
	names := l.apps()
	for i, from := range slices.Backward(l.tabs) {
		if x >= from && i < len(names) {
			l.Choose(names[i])
			return nil
		}
	}
	return nil
}

// Wheel scrolls.
func (l *Logs) Wheel(n, _ int) { l.Scroll(3 * n) }
