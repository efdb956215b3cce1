package pane

import (
	"slices"
	"sort"
	"strconv"
	"time"

	"mesh/supervisor/state"
	"mesh/tui/grid"
)

// Logs shows the output of one app or of all of them. Make one with NewLogs.
type Logs struct {
	choice[state.Line] // which lines are shown
	Lines              Lines

	w       *World
	follow  bool
	top     uint64 // number of the line at the top, when not following
	above   int    // lines of it that lie above the top
	cur     uint64 // number of the selected line; 0: none, as while following
	wrap    bool
	times   bool
	printed bool            // records in JSON are shown as they were printed
	left    int             // columns scrolled to the right, when not wrapping
	seek    time.Time       // the moment to go to when there are lines; zero: none
	patient int             // how often it may still be that its lines have not come yet
	clear   uint64          // lines up to this number are not shown
	marks   map[uint64]bool // by number
	search  string
	fresh   bool // the search has not found anything yet
	h, wide int  // lines and columns for text, as drawn last
	below   int  // lines of output below the last one that was drawn
	first   int  // the line at the top, as drawn last
	ends    []int
	tabs    []int // where the names of apps were drawn
	keys    []Binding

	kept   []state.Line // those that the filter chooses
	keptTo uint64       // number of the last line that it was asked about
	keptOf string       // whose lines they are
}

// NewLogs gives the pane that looks at w.
func NewLogs(w *World) *Logs {
	l := &Logs{w: w, follow: true, wrap: true, h: 1, wide: 80, marks: map[uint64]bool{}}
	l.choice = choice[state.Line]{lang: lineLanguage(), all: func() []state.Line { return l.Lines.all[max(0, len(l.Lines.all)-500):] }, changed: l.filtered}
	l.keys = l.bindings()
	return l
}

// Choose turns to the output of an app; "" is all of them.
func (l *Logs) Choose(app string) {
	l.Lines.Choose(app)
	l.follow, l.cur, l.left, l.seek = true, 0, 0, time.Time{}
}

// Seek goes to the first line after a moment, as soon as there are lines.
func (l *Logs) Seek(at time.Time) { l.seek, l.patient = at, 3 }

// sought goes where Seek wants to be.
func (l *Logs) sought() {
	all := l.list()
	if l.seek.IsZero() || len(all) == 0 {
		return
	}
	i := sort.Search(len(all), func(i int) bool { return !all[i].At.Before(l.seek) })
	if l.patient--; i == len(all) && l.patient > 0 {
		return
	}
	l.seek = time.Time{}
	l.selectLine(min(i, len(all)-1))
	l.show(l.index(l.cur))
}

// filtered takes another filter into account: the selected line stays in sight,
// or the one after it.
func (l *Logs) filtered() {
	l.kept, l.keptTo = nil, 0
	all := l.list()
	if l.follow || len(all) == 0 {
		l.follow, l.cur = true, 0
		return
	}
	l.selectLine(min(l.index(max(l.cur, l.top)), len(all)-1))
	l.show(l.index(l.cur))
}

// list gives the lines that are shown, oldest first.
func (l *Logs) list() []state.Line {
	all := l.Lines.all
	if !l.filter.Empty() {
		if l.keptOf != l.Lines.app || (len(all) > 0 && l.keptTo > all[len(all)-1].Seq) {
			l.kept, l.keptTo, l.keptOf = nil, 0, l.Lines.app
		}
		if len(all) > 0 {
			l.kept = l.kept[indexOf(l.kept, all[0].Seq):]
			for i := indexOf(all, l.keptTo+1); i < len(all); i++ {
				if l.match(&all[i]) {
					l.kept = append(l.kept, all[i])
				}
			}
			l.keptTo = all[len(all)-1].Seq
		}
		all = l.kept
	}
	if l.clear > 0 {
		all = all[indexOf(all, l.clear+1):]
	}
	return all
}

// Search looks for a text, case aside, from the selected line upwards.
func (l *Logs) Search(text string) Action {
	l.search, l.fresh = text, true
	if text == "" {
		return nil
	}
	return l.find(-1)
}

// find goes to the next line with the text in a direction.
func (l *Logs) find(step int) Action {
	if l.search == "" {
		return Prompt{Kind: PromptSearch}
	}
	all := l.list()
	i := len(all)
	switch {
	case l.fresh && !l.follow: // what is on the screen counts, too
		i = min(l.first+len(l.ends), len(all))
	case l.cur != 0:
		i = l.index(l.cur)
	}
	hit, ok := l.hit(i, step)
	if !ok && l.fresh {
		hit, ok = l.hit(i-1, 1)
	}
	switch {
	case ok:
		l.selectLine(hit)
		l.fresh = false
		l.show(hit)
		return nil
	case l.fresh:
		return Say{Text: strconv.Quote(l.search) + " is not in these lines"}
	}
	return Say{Text: "no more " + strconv.Quote(l.search) + " in this direction"}
}

// hit gives the next line after line i, in a direction, that has the text.
func (l *Logs) hit(i, step int) (line int, ok bool) {
	all := l.list()
	for i += step; i >= 0 && i < len(all); i += step {
		if grid.Find(l.text(&all[i]), l.search) {
			return i, true
		}
	}
	return 0, false
}

// index gives the place of the line of that number, or of the first after it.
func (l *Logs) index(seq uint64) int { return indexOf(l.list(), seq) }

func indexOf(lines []state.Line, seq uint64) int {
	return sort.Search(len(lines), func(i int) bool { return lines[i].Seq >= seq })
}

// rows gives the lines of the screen that a line takes.
func (l *Logs) rows(line *state.Line) int {
	if !l.wrap {
		return 1
	}
	return grid.Lines(l.text(line), l.wide)
}

// text gives a line as it is shown.
func (l *Logs) text(line *state.Line) string {
	if l.printed {
		return line.Text
	}
	return inWords(line, l.w.Theme)
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

// Click chooses the app whose name was clicked, or the line.
func (l *Logs) Click(x, y int) Action {
	if y != 0 {
		for i, end := range l.ends {
			if y-1 < end {
				l.pause()
				l.selectLine(l.first + i)
				break
			}
		}
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
