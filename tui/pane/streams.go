package pane

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
	"mesh/tui/grid"
)

// Streams lists the invocations, the live ones on top. Make one with
// NewStreams.
type Streams struct {
	choice[flow.View]

	w        *World
	rates    rates
	rows     []streamRow
	selected string // id of the selected flow
	follow   bool   // the selection stays on the first row
	sort     int    // column; -1: live first, then latest first
	down     bool   // sorted from large to small
	top      int
	page     int // rows that were drawn
	drawn    int // cells that the columns had
	cols     []column[streamRow]
	keys     []Binding
}

type streamRow struct {
	*flow.View
	is    filter.Diagnosis
	order int // in the snapshot
}

// NewStreams gives the pane that looks at w.
func NewStreams(w *World) *Streams {
	s := &Streams{w: w, follow: true, sort: -1}
	s.choice = choice[flow.View]{lang: filter.Flows(), all: func() []flow.View { return w.Flows }, changed: s.filtered}
	s.cols = s.columns()
	s.keys = s.bindings()
	return s
}

// Refresh takes in a new snapshot.
func (s *Streams) Refresh() {
	s.rates.update(s.w.Now, s.w.Flows)
	s.choose()
}

// choose filters and sorts the rows.
func (s *Streams) choose() {
	s.rows = s.rows[:0]
	for i := range s.w.Flows {
		if v := &s.w.Flows[i]; s.match(v) {
			s.rows = append(s.rows, streamRow{v, filter.Diagnose(v), i})
		}
	}
	if s.sort >= 0 {
		less := s.cols[s.sort].cmp
		slices.SortStableFunc(s.rows, func(a, b streamRow) int {
			if a.Live != b.Live { // live ones stay on top
				if a.Live {
					return -1
				}
				return 1
			}
			if s.down {
				return less(&b, &a)
			}
			return less(&a, &b)
		})
	}
	if len(s.rows) > 0 && (s.follow || s.selected == "") {
		s.selected = s.rows[0].ID
	}
}

// filtered takes another filter into account.
func (s *Streams) filtered() {
	s.top = 0
	s.choose()
	if s.index() < 0 && len(s.rows) > 0 {
		s.selected = s.rows[0].ID
	}
}

// Selected gives the id of the selected flow, "" when there is none.
func (s *Streams) Selected() string { return s.selected }

func (s *Streams) index() int {
	return slices.IndexFunc(s.rows, func(r streamRow) bool { return r.ID == s.selected })
}

// Step selects the flow n rows below, and ends following.
func (s *Streams) Step(n int) {
	if len(s.rows) == 0 {
		return
	}
	s.follow = false
	s.selected = s.rows[min(max(0, s.index()+n), len(s.rows)-1)].ID
}

// Bindings gives what keys do here.
func (s *Streams) Bindings() []Binding { return s.keys }

func (s *Streams) bindings() []Binding {
	return append([]Binding{
		move([]string{"up", "k"}, "up", "select the stream above", func() { s.Step(-1) }),
		move([]string{"down", "j"}, "down", "select the stream below", func() { s.Step(1) }),
		move([]string{"pgup", "ctrl+b"}, "page up", "a page up", func() { s.Step(-max(1, s.page-1)) }),
		move([]string{"pgdown", "ctrl+f"}, "page down", "a page down", func() { s.Step(max(1, s.page-1)) }),
		move([]string{"home", "g"}, "first", "select the first stream", func() { s.Step(-len(s.rows)) }),
		move([]string{"end", "G"}, "last", "select the last stream", func() { s.Step(len(s.rows)) }),
		{Keys: []string{"enter"}, Name: "lanes", Help: "the chunk lanes of the stream", Hint: "lanes", Do: func(string) Action {
			if s.index() < 0 {
				return Say{Text: "there is no stream to show", Bad: true}
			}
			return Show{View: ViewLanes, Flow: s.selected}
		}},
		{Keys: []string{"o", ">"}, Name: "sort", Arg: "[COLUMN]", Help: "sort by the next column", Hint: "order", Do: s.sortBy},
		move([]string{"<"}, "sort back", "sort by the column before", func() { s.nextSort(-1) }),
		move([]string{"O"}, "turn order", "turn the order round", func() { s.down = !s.down; s.choose() }),
		{Keys: []string{"f"}, Name: "follow", Help: "keep the first stream selected, or stop that", Hint: "follow", Do: func(string) Action {
			s.follow = !s.follow
			s.choose()
			return nil
		}},
		{Keys: []string{"r"}, Name: "again", Help: "make the call again, through the same sidecar", Do: func(string) Action { return s.again(false) }},
		{Keys: []string{"R"}, Name: "edit and again", Help: "make the call again, after you have edited it", Do: func(string) Action { return s.again(true) }},
		{Keys: []string{"D"}, Name: "disturb", Help: "disturb calls of the app that is called: a fault; again: no longer", Do: func(string) Action {
			if i := s.index(); i >= 0 {
				return disturb(s.rows[i].View, s.w.Mesh.Faults)
			}
			return nil
		}},
		{Keys: []string{"B"}, Name: "capture all", Help: "capture the bytes of all new streams, or no longer", Do: func(string) Action { return captureAll(s.w) }},
		{Keys: []string{"l"}, Name: "callee logs", Help: "the logs of the app that is called, from when it was", Hint: "logs", Do: func(string) Action {
			if i := s.index(); i >= 0 {
				return Show{View: ViewLogs, App: s.rows[i].Callee, At: s.rows[i].Begun}
			}
			return nil
		}},
	}, s.filterKeys("streams")...)
}

func (s *Streams) sortBy(arg string) Action {
	arg = strings.ToLower(strings.TrimSpace(arg))
	if arg == "" {
		s.nextSort(1)
		return nil
	}
	var names []string
	for i := range s.cols {
		if s.cols[i].cmp == nil {
			continue
		}
		if s.cols[i].title == arg {
			s.sort, s.down = i, true
			s.choose()
			return nil
		}
		names = append(names, s.cols[i].title)
	}
	return Say{Text: "sort by one of " + strings.Join(names, ", "), Bad: true}
}

// nextSort goes to the next column that can be sorted by; beyond the last one
// comes the order of time.
func (s *Streams) nextSort(step int) {
	for range len(s.cols) + 1 {
		s.sort += step
		if s.sort >= len(s.cols) {
			s.sort = -1
		}
		if s.sort < -1 {
			s.sort = len(s.cols) - 1
		}
		if s.sort == -1 || s.cols[s.sort].cmp != nil {
			break
		}
	}
	s.down = true
	s.choose()
}

// Click selects the row at line y, or sorts by the title that was clicked; a
// click on the selected row shows its lanes.
func (s *Streams) Click(x, y int) Action {
	if y == 1 {
		for _, p := range place(s.cols, s.drawn) {
			if x-3 >= p.x && x-3 <= p.x+p.w && s.cols[p.col].cmp != nil {
				s.down = s.sort != p.col || !s.down
				s.sort = p.col
				s.choose()
			}
		}
		return nil
	}
	i := s.top + y - 2
	if y < 2 || i >= len(s.rows) {
		return nil
	}
	if s.rows[i].ID == s.selected {
		return Show{View: ViewLanes, Flow: s.selected}
	}
	s.selected, s.follow = s.rows[i].ID, false
	return nil
}

// Wheel moves the selection.
func (s *Streams) Wheel(n, _ int) { s.Step(n) }

func (s *Streams) columns() []column[streamRow] {
	dim := func() grid.Style { return s.w.Theme.Dim }
	by := func(f func(r *streamRow) int64) func(a, b *streamRow) int {
		return func(a, b *streamRow) int { return cmp.Compare(f(a), f(b)) }
	}
	return []column[streamRow]{
		{title: "id", width: 4, drop: 9, draw: text(func(r *streamRow) (string, grid.Style) {
			return r.ID[:min(4, len(r.ID))], dim()
		}), cmp: func(a, b *streamRow) int { return strings.Compare(a.ID, b.ID) }},
		{title: "route", width: 20, grow: 2, draw: s.drawRoute, cmp: func(a, b *streamRow) int {
			return cmp.Or(strings.Compare(a.Callee, b.Callee), strings.Compare(a.Path, b.Path))
		}},
		{title: "kind", width: 5, drop: 8, draw: text(func(r *streamRow) (string, grid.Style) {
			return kind(r.View), dim()
		}), cmp: func(a, b *streamRow) int { return strings.Compare(kind(a.View), kind(b.View)) }},
		{title: "age", width: 6, right: true, drop: 4, draw: number(func(r *streamRow) (string, grid.Style) {
			return filter.Seconds(r.Age), s.w.Theme.Text
		}), cmp: by(func(r *streamRow) int64 { return int64(r.Age) })},
		{title: "ttfb", width: 6, right: true, drop: 5, draw: number(func(r *streamRow) (string, grid.Style) {
			if d, ok := filter.TTFB(r.View); ok {
				return filter.Seconds(d), s.w.Theme.Text
			}
			return none, s.w.Theme.Faint
		}), cmp: by(func(r *streamRow) int64 { d, _ := filter.TTFB(r.View); return int64(d) })},
		{title: "chunks", width: 9, right: true, drop: 6, draw: number(func(r *streamRow) (string, grid.Style) {
			req, rep := filter.Chunks(r.View, flow.Request), filter.Chunks(r.View, flow.Reply)
			return count(req) + "/" + count(rep), s.w.Theme.Text
		}), cmp: by(func(r *streamRow) int64 {
			return int64(filter.Chunks(r.View, flow.Request) + filter.Chunks(r.View, flow.Reply))
		})},
		{title: "bytes", width: 6, right: true, drop: 2, draw: number(func(r *streamRow) (string, grid.Style) {
			return size(total(r.View)), s.w.Theme.Text
		}), cmp: by(func(r *streamRow) int64 { return int64(total(r.View)) })},
		{title: "rate", width: rateSlots / 2, most: rateSlots, grow: 1, drop: 3, draw: s.drawRate, cmp: by(func(r *streamRow) int64 { return int64(s.rates.sum(r.ID, s.w.Now)) })},
		{title: "gap p50", width: 7, right: true, drop: 10, draw: s.drawGap(func(p50, _ time.Duration) time.Duration { return p50 }), cmp: by(func(r *streamRow) int64 {
			p50, _ := filter.GapQuantiles(r.View)
			return int64(p50)
		})},
		{title: "gap p99", width: 7, right: true, drop: 7, draw: s.drawGap(func(_, p99 time.Duration) time.Duration { return p99 }), cmp: by(func(r *streamRow) int64 {
			_, p99 := filter.GapQuantiles(r.View)
			return int64(p99)
		})},
		{title: "max gap", width: 7, right: true, drop: 11, draw: number(func(r *streamRow) (string, grid.Style) {
			if g := filter.Gap(r.View); g > 0 {
				return filter.Seconds(g), s.w.Theme.Text
			}
			return none, s.w.Theme.Faint
		}), cmp: by(func(r *streamRow) int64 { return int64(filter.Gap(r.View)) })},
		{title: "state", width: 22, grow: 1, draw: text(func(r *streamRow) (string, grid.Style) {
			_, st := s.w.Theme.flow(r.is.State)
			return s.w.Words(r.View, r.is), st
		}), cmp: func(a, b *streamRow) int {
			return cmp.Or(cmp.Compare(a.is.State, b.is.State), cmp.Compare(a.Status, b.Status))
		}},
	}
}

// again asks for the call of the selected flow once more.
func (s *Streams) again(edit bool) Action {
	if s.index() < 0 {
		return Say{Text: "select a stream first"}
	}
	return Again{Flow: s.selected, Edit: edit}
}

// drawGap draws one quantile of the gaps.
func (s *Streams) drawGap(which func(p50, p99 time.Duration) time.Duration) func(cell grid.Area, r *streamRow) {
	return number(func(r *streamRow) (string, grid.Style) {
		if g := which(filter.GapQuantiles(r.View)); g > 0 {
			return filter.Seconds(g), s.w.Theme.Text
		}
		return none, s.w.Theme.Faint
	})
}

// kind says what sort of call it is, and how it travels when that is short.
func kind(v *flow.View) string {
	if v.Transport == "unary" { // whole bodies: worth knowing before anything else
		return "unary"
	}
	return cmp.Or(v.Kind, "http")
}

// title says how many streams there are and how they are chosen.
func (s *Streams) title() string {
	live := 0
	for i := range s.rows {
		if s.rows[i].Live {
			live++
		}
	}
	title := strconv.Itoa(live) + " live, " + strconv.Itoa(len(s.rows)-live) + " ended"
	if n := s.w.Stats.Forgotten; n > 0 {
		title += ", " + count(n) + " forgotten"
	}
	return title
}
