package pane

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
	"mesh/tui/grid"
)

// anyEdges gives edges between some apps: loops, cycles and wide names too.
func anyEdges(r *rand.Rand) (edges []edge) {
	names := []string{"web", "orders", "日本語のログ", "client", strings.Repeat("long", 20), "e\u0301t", "", "llm", "bill", "pub\x1b[2Jsub", "👩‍👩‍👧‍👦", "a", "b", "c"}[:1+r.IntN(14)]
	for range 1 + r.IntN(1+r.IntN(24)) {
		edges = append(edges, edge{from: names[r.IntN(len(names))], to: names[r.IntN(len(names))], live: r.IntN(3), stalled: r.IntN(2), failed: r.IntN(2), ended: r.IntN(100), rate: r.Float64() * 1e9})
	}
	return sorted(edges)
}

func sorted(edges []edge) []edge {
	order := func(a, b edge) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) }
	slices.SortFunc(edges, order)
	return slices.CompactFunc(edges, func(a, b edge) bool { return order(a, b) == 0 })
}

// TestPictureIsSound lays out any edges in any room: what is drawn stays
// inside, boxes do not touch each other, no line runs through a box or along
// another line, and every edge can be followed from its caller to its callee.
func TestPictureIsSound(t *testing.T) {
	shown := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 5))
		edges, w, h := anyEdges(r), r.IntN(260), r.IntN(90)
		p, ok := layOut(edges, w, h)
		if !ok {
			continue
		}
		shown++
		if what := flaw(p, edges); what != "" {
			t.Fatalf("seed %d, %d edges at %d×%d: %s", seed, len(edges), w, h, what)
		}
	}
	if shown < 800 {
		t.Errorf("only %d of 3000 graphs had a picture", shown)
	}
}

// flaw says what is wrong with a picture.
func flaw(p *picture, edges []edge) string {
	inside := map[[2]int]*box{}
	for i := range p.boxes {
		b := &p.boxes[i]
		for x := b.x; x < b.x+b.w; x++ {
			for y := b.y; y < b.y+b.h; y++ {
				if inside[[2]int{x, y}] != nil || x < 0 || y < 0 || x >= p.w || y >= p.h {
					return "the box " + b.name + " overlaps another or the border"
				}
				inside[[2]int{x, y}] = b
			}
		}
	}
	ways, at := map[[2]int]uint8{}, map[int][2]int{}
	for i := range p.legs {
		l := &p.legs[i]
		name := edges[l.edge].from + " to " + edges[l.edge].to
		if end, begun := at[l.edge]; begun && end != [2]int{l.x0 - 1, l.y0} && end != [2]int{l.x0, l.y0} {
			return name + " is torn"
		} else if b := inside[[2]int{l.x0 - 1, l.y0}]; !begun && (b == nil || b.name != edges[l.edge].from) {
			return name + " does not begin at its caller"
		}
		what, last := "", [2]int{}
		l.cells(func(x, y int, to uint8) {
			c := [2]int{x, y}
			switch {
			case x < 0 || y < 0 || x >= p.w || y >= p.h:
				what = name + " leaves the picture"
			case inside[c] != nil:
				what = name + " runs through " + inside[c].name
			case ways[c]&to != 0 && c != at[l.edge]:
				what = name + " runs along another"
			}
			ways[c] |= to
			last = c
		})
		if what != "" {
			return what
		}
		at[l.edge] = last
		if b := inside[[2]int{last[0] + 1, last[1]}]; l.arrives && (b == nil || b.name != edges[l.edge].to) {
			return name + " does not end at its callee"
		}
	}
	if len(at) != len(edges) {
		return "an edge is missing"
	}
	return ""
}

// TestTopologyAtAnySize draws pictures and lists: no line is too long.
func TestTopologyAtAnySize(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 6))
		w := &World{Mesh: &state.Mesh{Components: []state.Component{{Name: "bill"}}}, Theme: Plain()}
		pane := NewTopology(w, NewStreams(w))
		pane.every = anyEdges(r)
		pane.choose()
		pane.Wheel(r.IntN(9), 0)
		b := grid.Buffer{Plain: true}
		b.Resize(r.IntN(220), r.IntN(70))
		pane.Draw(b.All())
		width, _ := b.All().Size()
		for line := range strings.SplitSeq(b.String(), "\n") {
			if n := ansi.StringWidth(line); n > width {
				t.Fatalf("seed %d: a line of %d cells in %d: %q", seed, n, width, line)
			}
		}
		pane.Click(r.IntN(220), r.IntN(70))
	}
}

// TestPictureOfACycle shows that callers stand left of callees, that an edge
// back names where it leads, what stalls, and that a click selects an edge.
func TestPictureOfACycle(t *testing.T) {
	w := &World{Now: time.Unix(1000, 0), Mesh: &state.Mesh{Apps: []state.App{{ID: "a"}, {ID: "b"}, {ID: "c"}}}, Theme: Plain()}
	for _, e := range [][2]string{{"a", "b"}, {"b", "c"}, {"c", "a"}, {"a", "c"}} {
		w.Flows = append(w.Flows, flow.View{ID: e[0] + e[1], Head: flow.Head{Caller: e[0], Callee: e[1]}, Live: true, Holding: e[0] == "b", Held: time.Minute})
	}
	pane := NewTopology(w, NewStreams(w))
	pane.Refresh()
	b := grid.Buffer{Plain: true}
	b.Resize(110, 14)
	pane.Draw(b.All())
	lines := strings.Split(ansi.Strip(b.String()), "\n")
	place := func(text string) (x, y int) {
		for y, l := range lines {
			if before, _, ok := strings.Cut(l, text); ok {
				return ansi.StringWidth(before), y
			}
		}
		t.Fatalf("no %q in\n%s", text, strings.Join(lines, "\n"))
		return 0, 0
	}
	xa, _ := place("○ a")
	xb, _ := place("○ b")
	xc, _ := place("○ c")
	xback, _ := place("▸↩ a")
	if xa >= xb || xb >= xc || xc >= xback {
		t.Errorf("not in the order of calls:\n%s", strings.Join(lines, "\n"))
	}
	x, y := place("◐ 1")
	pane.Click(x-2, y)
	if got, _ := Press(pane.Bindings(), "enter"); got != (Show{View: ViewStreams, Filter: "from:b to:c"}) {
		t.Errorf("a click on the edge that stalls and Enter give %v", got)
	}
	b.Resize(50, 14)
	pane.Draw(b.All())
	if got := ansi.Strip(b.String()); !strings.Contains(got, "callee") {
		t.Errorf("no list where the picture has no room:\n%s", got)
	}
}
