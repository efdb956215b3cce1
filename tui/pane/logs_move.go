package pane

import (
	"slices"
	"strings"
	"time"

	"mesh/supervisor/state"
)

// pause ends following; what is on the screen stays there.
func (l *Logs) pause() {
	if l.follow {
		l.top, l.above = l.end()
		l.follow = false
	}
}

// selectLine selects line i.
func (l *Logs) selectLine(i int) {
	if all := l.list(); i >= 0 && i < len(all) {
		l.pause()
		l.cur = all[i].Seq
	}
}

// current gives the selected line, the last one while following; ok is false
// when there are no lines.
func (l *Logs) current() (line state.Line, ok bool) {
	all := l.list()
	if len(all) == 0 {
		return line, false
	}
	if l.cur == 0 {
		return all[len(all)-1], true
	}
	return all[min(l.index(l.cur), len(all)-1)], true
}

// Step selects the line n lines below. What is longer than the screen is
// scrolled through first.
func (l *Logs) Step(n int) {
	all := l.list()
	if len(all) == 0 || (l.follow && n > 0) {
		return
	}
	if l.cur == 0 {
		l.pause()
		l.cur = all[len(all)-1].Seq
		l.see(len(all) - 1)
		return
	}
	i := min(l.index(l.cur), len(all)-1)
	if i == l.index(l.top) && n > 0 && l.rows(&all[i])-l.above > l.h {
		l.above++
		return
	}
	if i == l.index(l.top) && n < 0 && l.above > 0 {
		l.above--
		return
	}
	if i+n >= len(all) {
		l.follow, l.cur = true, 0
		return
	}
	i = max(0, i+n)
	l.cur = all[i].Seq
	l.see(i)
}

// see scrolls no further than it takes to bring line i to the screen.
func (l *Logs) see(i int) {
	all := l.list()
	top := min(l.index(l.top), len(all)-1)
	if i < top || (i == top && l.rows(&all[i])-l.above < min(l.h, l.rows(&all[i]))) {
		l.top, l.above = all[i].Seq, 0
		return
	}
	used := -l.above
	for j := top; j <= i; j++ {
		if used += l.rows(&all[j]); used > l.h+l.rows(&all[i]) {
			break
		}
	}
	if used <= l.h {
		return
	}
	left := l.h // the last of its lines comes to the bottom
	for j := i; j >= 0; j-- {
		n := l.rows(&all[j])
		l.top, l.above = all[j].Seq, max(0, n-left)
		if left -= n; left <= 0 {
			break
		}
	}
	if l.index(l.top) == i { // longer than the screen: its beginning
		l.above = 0
	}
}

// show brings line i to the middle.
func (l *Logs) show(i int) {
	all := l.list()
	l.follow, l.top, l.above = false, all[i].Seq, 0
	l.scroll(-l.h / 2)
	l.follow = false
	if top, above := l.end(); l.top > top || (l.top == top && l.above > above) {
		l.top, l.above = top, above
	}
}

// Scroll moves by n lines of the screen and takes the selection along; reaching
// the end follows again.
func (l *Logs) Scroll(n int) {
	had := l.cur != 0
	l.scroll(n)
	all := l.list()
	if l.follow || !had || len(all) == 0 {
		l.cur = 0
		if !l.follow && len(all) > 0 { // somewhere has to be
			l.cur = all[min(l.index(l.top), len(all)-1)].Seq
		}
		return
	}
	first := min(l.index(l.top), len(all)-1)
	last, used := first, -l.above
	for last < len(all)-1 {
		if used += l.rows(&all[last]); used+l.rows(&all[last+1]) > l.h {
			break
		}
		last++
	}
	l.cur = all[min(max(l.index(l.cur), first), last)].Seq
}

// scroll moves by n lines of the screen; reaching the end follows again.
func (l *Logs) scroll(n int) {
	all := l.list()
	if len(all) == 0 || (l.follow && n >= 0) {
		return
	}
	l.pause()
	i := min(l.index(l.top), len(all)-1)
	sub := l.above + n
	for sub < 0 && i > 0 {
		i--
		sub += l.rows(&all[i])
	}
	sub = max(0, sub)
	for sub >= l.rows(&all[i]) && i < len(all)-1 {
		sub -= l.rows(&all[i])
		i++
	}
	l.top, l.above = all[i].Seq, min(sub, l.rows(&all[i])-1)
	if top, above := l.end(); n > 0 && (l.top > top || (l.top == top && l.above >= above)) {
		l.follow, l.cur = true, 0
	}
}

// end gives the place of the top when the last line is at the bottom.
func (l *Logs) end() (top uint64, above int) {
	left := l.h
	all := l.list()
	for i := len(all) - 1; i >= 0; i-- {
		n := l.rows(&all[i])
		top, above = all[i].Seq, max(0, n-left)
		if left -= n; left <= 0 {
			break
		}
	}
	return top, above
}

// mark marks the selected line, or takes its mark away.
func (l *Logs) mark() Action {
	line, ok := l.current()
	if !ok {
		return Say{Text: "there is no line to mark"}
	}
	if l.marks[line.Seq] {
		delete(l.marks, line.Seq)
	} else {
		l.marks[line.Seq] = true
	}
	return nil
}

// toMark goes to the next marked line in a direction.
func (l *Logs) toMark(step int) Action {
	all := l.list()
	i := len(all)
	if l.cur != 0 {
		i = l.index(l.cur)
	}
	for i += step; i >= 0 && i < len(all); i += step {
		if l.marks[all[i].Seq] {
			l.selectLine(i)
			l.show(i)
			return nil
		}
	}
	if len(l.marks) == 0 {
		return Say{Text: "no line is marked: b marks one"}
	}
	return Say{Text: "no more marks in this direction"}
}

// flowsAround says how long before and after a line the flows may have been
// under way that it has to do with: an app writes its line when it has answered.
const flowsAround = 100 * time.Millisecond

// flows shows the streams of the line's app that were under way at its moment.
func (l *Logs) flows() Action {
	line, ok := l.current()
	if !ok {
		return Say{Text: "there is no line"}
	}
	if l.cur == 0 { // esc comes back to it
		l.pause()
		l.cur = line.Seq
	}
	const layout = "15:04:05.00"
	text := "at:" + line.At.Add(-flowsAround).Format(layout) + "-" + line.At.Add(flowsAround).Format(layout)
	if line.App != "" && !strings.ContainsAny(line.App, " \t\n\"'()|&*?[,") {
		text = "app:" + line.App + " " + text
	}
	return Show{View: ViewStreams, Filter: text}
}

// hide shows only what comes from now on, or everything again.
func (l *Logs) hide() Action {
	if l.clear > 0 {
		l.clear = 0
		return nil
	}
	if all := l.list(); len(all) > 0 {
		l.clear = all[len(all)-1].Seq
	}
	l.follow, l.cur = true, 0
	return Say{Text: "only what comes from now on; c shows the lines before again"}
}

// Bindings gives what keys do here.
func (l *Logs) Bindings() []Binding { return l.keys }

func (l *Logs) bindings() []Binding {
	act := func(keys []string, name, help, hint string, f func() Action) Binding {
		return Binding{Keys: keys, Name: name, Help: help, Hint: hint, Do: func(string) Action { return f() }}
	}
	filters := l.filterKeys("lines")
	filters[0].Keys = []string{"&"}
	return slices.Concat([]Binding{
		move([]string{"up", "k"}, "up", "select the line above", func() { l.Step(-1) }),
		move([]string{"down", "j"}, "down", "select the line below", func() { l.Step(1) }),
		move([]string{"pgup", "ctrl+b"}, "page up", "a page up", func() { l.Scroll(-max(1, l.h-1)) }),
		move([]string{"pgdown", "ctrl+f"}, "page down", "a page down", func() { l.Scroll(max(1, l.h-1)) }),
		move([]string{"home", "g"}, "first", "the oldest line", func() { l.Scroll(-1 << 30) }),
		act([]string{"end", "G", "f"}, "follow", "the newest line, and follow", "follow", func() Action { l.follow, l.cur = true, 0; return nil }),
		act([]string{"enter"}, "line streams", "the streams of the line's app at that moment; esc comes back", "streams", l.flows),
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
	}, filters, []Binding{
		act([]string{"w"}, "wrap", "wrap long lines, or cut them", "wrap", func() Action { l.wrap, l.left, l.above = !l.wrap, 0, 0; return nil }),
		move([]string{"t"}, "times", "show when each line came", func() { l.times = !l.times }),
		act([]string{"v"}, "as printed", "show records in JSON as they were printed, or what they say", "", func() Action { l.printed, l.above = !l.printed, 0; return nil }),
		act([]string{"b"}, "mark", "mark the line, or take its mark away", "", l.mark),
		act([]string{"'"}, "mark above", "go to the marked line above", "", func() Action { return l.toMark(-1) }),
		act([]string{"\""}, "mark below", "go to the marked line below", "", func() Action { return l.toMark(1) }),
		act([]string{"c"}, "clear", "show only what comes from now on; again: all", "", l.hide),
		move([]string{"left", "h"}, "left", "go left in lines that are cut", func() { l.left = max(0, l.left-8) }),
		move([]string{"right", "l"}, "right", "go right in lines that are cut", func() {
			if !l.wrap {
				l.left = min(l.left+8, 10_000)
			}
		}),
	})
}
