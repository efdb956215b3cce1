package pane

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
	"mesh/tui/grid"
)

func TestFormats(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1.0k", 61_234: "61.2k", 99_960: "100k", 1_800_000: "1.8M", 999_999: "1.0M", 1 << 63: "9.2E"} {
		if got := size(n); got != want || len(got) > 5 {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
	for n, want := range map[uint64]string{99_999: "99999", 100_000: "100k", 1_500_000: "1.5M"} {
		if got := count(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// TestNumbersKeepTheirBeginning looks at what has grown with time or with load:
// without its first digit, ten minutes would be none.
func TestNumbersKeepTheirBeginning(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		since time.Duration
		cpu   float64
		want  []string
	}{
		{10*time.Minute + time.Second, 2.504, []string{"10m01s", "250%"}},
		{12 * time.Hour, 0.9996, []string{"12h00m", "100%"}},
		{300 * time.Hour, 0.999, []string{"12d", "99.9%"}},
	} {
		inst := state.Instance{Name: "web", Phase: state.Ready, Since: now.Add(-c.since), PID: 1, CPU: c.cpu}
		a := NewApps(&World{Now: now, Theme: Plain(), Mesh: &state.Mesh{Apps: []state.App{{ID: "web", Instances: []state.Instance{inst}}}}})
		a.Refresh()
		b := &grid.Buffer{Plain: true}
		b.Resize(80, 5)
		a.Draw(b.All())
		row := strings.Fields(strings.Split(b.String(), "\n")[1])
		for _, want := range c.want {
			if !slices.Contains(row, want) {
				t.Errorf("after %v at %.4f cores the row is %q, want %s in it", c.since, c.cpu, row, want)
			}
		}
	}
}

func TestColumnsGoByImportance(t *testing.T) {
	cols := []column[int]{
		{title: "a", width: 10, grow: 1},
		{title: "b", width: 5, drop: 2},
		{title: "c", width: 5, drop: 1},
		{title: "d", width: 4},
	}
	for w, want := range map[int]string{
		40: "a 0+23 b 24+5 c 30+5 d 36+4",
		27: "a 0+10 b 11+5 c 17+5 d 23+4",
		26: "a 0+15 c 16+5 d 22+4",
		20: "a 0+15 d 16+4",
		12: "a 0+10 d 11+1",
		3:  "a 0+3",
	} {
		var got []string
		for _, p := range place(cols, w) {
			got = append(got, fmt.Sprintf("%s %d+%d", cols[p.col].title, p.x, p.w))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("in %d columns: %v, want %s", w, got, want)
		}
	}
}

func TestRateIsWhatPassedInEachSlot(t *testing.T) {
	r, now := rates{}, time.Unix(1000, 0)
	view := flow.View{ID: "f", Live: true, Age: 100 * time.Millisecond, Lanes: []flow.LaneView{{}}}
	for range 40 { // 1000 bytes per second, read ten times a second
		view.Lanes[0].Bytes += 100
		view.Age += 100 * time.Millisecond
		now = now.Add(100 * time.Millisecond)
		r.update(now, []flow.View{view})
	}
	sum := 0.0
	for i := range rateSlots {
		v := r.of["f"].at(now, i, rateSlots)
		if v != 0 && (v < 400 || v > 600) {
			t.Errorf("slot %d has %.0f bytes, want about 500", i, v)
		}
		sum += v
	}
	if sum < 3000 || sum > 4000 {
		t.Errorf("%.0f bytes in all, want almost 4000", sum)
	}
	r.update(now.Add(20*time.Second), []flow.View{view})
	for i := range rateSlots {
		if v := r.of["f"].at(now.Add(20*time.Second), i, rateSlots); v != 0 {
			t.Errorf("after a silence slot %d has %.0f bytes", i, v)
		}
	}
	r.update(now.Add(21*time.Second), nil)
	if len(r.of) != 0 {
		t.Error("a flow that is gone is remembered")
	}
}

func TestLinesAreKeptInBounds(t *testing.T) {
	l, seq := Lines{}, uint64(0)
	add := func(n int) {
		app, after := l.Want()
		var lines []state.Line
		for range n {
			seq++
			lines = append(lines, state.Line{Seq: seq})
		}
		if !l.Add(app, after, lines) {
			t.Fatal("new lines were refused")
		}
	}
	for range 100 {
		add(1000)
	}
	if n := len(l.all); n < keepLines || n > 2*keepLines || l.all[n-1].Seq != seq {
		t.Errorf("%d lines are kept up to number %d", n, l.all[n-1].Seq)
	}
	seq += 50 // never read
	add(1)
	if l.skipped != 50 {
		t.Errorf("%d lines were skipped, want 50", l.skipped)
	}
	app, after := l.Want()
	l.Choose("web")
	if l.Add(app, after, []state.Line{{Seq: seq + 1}}) || len(l.all) != 0 {
		t.Error("lines of an earlier choice were taken")
	}
}

func TestHoldingSaysWhy(t *testing.T) {
	w := &World{Mesh: &state.Mesh{Apps: []state.App{{ID: "orders", Instances: []state.Instance{{Phase: state.Stopped}, {Phase: state.Backoff}}}}}}
	s := NewStreams(w)
	w.Flows = []flow.View{{ID: "aaaa", Head: flow.Head{Callee: "orders"}, Live: true, Holding: true, Held: 3 * time.Second}}
	w.Theme, w.Now = Plain(), time.Unix(1000, 0)
	s.Refresh()
	b := grid.Buffer{Plain: true}
	b.Resize(120, 10)
	s.Draw(b.All())
	if !strings.Contains(b.String(), "holding 3.0s: orders is backing off") {
		t.Errorf("the screen does not say what the app is doing:\n%s", b.String())
	}
}
