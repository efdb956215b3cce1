package trace_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/tui/trace"
)

const ms = time.Millisecond

// feed is a flow that is written down by hand.
type feed struct{ marks [8][]flow.Mark }

func (f *feed) put(d flow.Dir, h flow.Hop, at time.Duration, sizes ...int) {
	l := &f.marks[int(d)*4+int(h)]
	for _, n := range sizes {
		*l = append(*l, flow.Mark{N: uint64(len(*l)), At: at, Size: n})
	}
}

// detail gives what a snapshot would, when only the last ring marks of each
// lane have not been overwritten.
func (f *feed) detail(after flow.Cursor, ring int) *flow.Detail {
	d := &flow.Detail{Next: after}
	d.ID, d.Live = "f", true
	for i, marks := range f.marks {
		dir, hop := flow.Dir(i/4), flow.Hop(i%4)
		v := flow.LaneView{Dir: dir, Hop: hop, Chunks: uint64(len(marks))}
		for _, m := range marks {
			v.Bytes += uint64(m.Size)
		}
		if v.Chunks == 0 {
			continue
		}
		d.Lanes = append(d.Lanes, v)
		from := max(int(after[i]), len(marks)-ring)
		if from == len(marks) {
			continue
		}
		d.Marks = append(d.Marks, flow.LaneMarks{Dir: dir, Hop: hop, Lost: uint64(from) - after[i], Marks: slices.Clone(marks[from:])})
		d.Next[i] = uint64(len(marks))
	}
	return d
}

func add(t *testing.T, tr *trace.Trace, f *feed) {
	t.Helper()
	if !tr.Add(tr.Cursor(), f.detail(tr.Cursor(), 1<<20)) {
		t.Fatal("the snapshot was refused")
	}
}

func TestLanesStandInTheOrderOfTravel(t *testing.T) {
	f, tr := &feed{}, trace.New("f")
	for _, h := range []flow.Hop{flow.CallerIn, flow.CallerOut, flow.CalleeIn, flow.CalleeOut} {
		f.put(flow.Request, h, ms, 1)
		f.put(flow.Reply, h, ms, 1)
	}
	add(t, tr, f)
	var got []string
	for _, l := range tr.Lanes() {
		got = append(got, l.Dir.String()+" "+l.Hop.String())
	}
	want := []string{
		"request caller.in", "request caller.out", "request callee.in", "request callee.out",
		"reply callee.in", "reply callee.out", "reply caller.in", "reply caller.out",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSameBytesAtTheNextHop(t *testing.T) {
	f, tr := &feed{}, trace.New("f")
	in, out := flow.CalleeIn, flow.CallerOut
	f.put(flow.Reply, in, 10*ms, 100)
	f.put(flow.Reply, in, 20*ms, 50)
	f.put(flow.Reply, in, 21*ms, 50)
	f.put(flow.Reply, in, 30*ms, 300)
	f.put(flow.Reply, out, 12*ms, 100) // as it came
	f.put(flow.Reply, out, 25*ms, 100) // two in one
	add(t, tr, f)
	f.put(flow.Reply, out, 31*ms, 100, 200) // one in two
	add(t, tr, f)

	l := tr.Lanes()[1]
	var holds []time.Duration
	for _, m := range l.Marks {
		holds = append(holds, m.Hold)
	}
	if want := []time.Duration{2 * ms, 4 * ms, ms, ms}; !slices.Equal(holds, want) {
		t.Errorf("held %v, want %v", holds, want)
	}
	if l.Merges != 1 || l.Splits != 1 {
		t.Errorf("%d merges and %d splits, want one of each", l.Merges, l.Splits)
	}
	if m, ok := l.Passed(150); !ok || m.N != 1 || m.Off != 100 {
		t.Errorf("byte 150 passed in %+v (%v), want chunk 1", m, ok)
	}
	if _, ok := l.Passed(500); ok {
		t.Error("byte 500 has not passed yet")
	}
	if got := l.Holds.Quantile(1); got != 4*ms {
		t.Errorf("longest hold %v, want 4ms", got)
	}
}

func TestLostMarksKeepTheirPlace(t *testing.T) {
	f, tr := &feed{}, trace.New("f")
	for i := range 100 {
		f.put(flow.Request, flow.CallerIn, time.Duration(i)*ms, 10+i%3)
		f.put(flow.Request, flow.CalleeOut, time.Duration(i)*ms+ms/2, 10+i%3)
	}
	tr.Add(tr.Cursor(), f.detail(tr.Cursor(), 16))
	for i := range 40 {
		f.put(flow.Request, flow.CallerIn, time.Duration(100+i)*ms, 20)
		f.put(flow.Request, flow.CalleeOut, time.Duration(100+i)*ms+ms/2, 20)
	}
	tr.Add(tr.Cursor(), f.detail(tr.Cursor(), 8))
	for _, l := range tr.Lanes() {
		if l.Lost != 84+32 || len(l.Marks) != 24 {
			t.Errorf("%v: %d lost and %d known, want 116 and 24", l.Hop, l.Lost, len(l.Marks))
		}
		last := l.Marks[len(l.Marks)-1]
		if last.End() != l.View.Bytes {
			t.Errorf("%v: the last chunk ends at %d, want %d", l.Hop, last.End(), l.View.Bytes)
		}
	}
	if l := tr.Lanes()[1]; l.Holds.N != 24 || l.Holds.Max != ms/2 || l.Merges+l.Splits != 0 {
		t.Errorf("after the loss %d holds up to %v, %d merges, %d splits; want 24 of 500µs and none", l.Holds.N, l.Holds.Max, l.Merges, l.Splits)
	}
}

// TestAnyCut sends the same bytes over two hops, cut at random places and read
// in random snapshots: every byte of the second hop finds its first hop.
func TestAnyCut(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		f, tr := &feed{}, trace.New("f")
		sent, passed, now := 0, 0, time.Duration(0)
		for range 100 {
			now += time.Duration(r.IntN(5)) * ms
			if n := 1 + r.IntN(50); r.IntN(2) == 0 {
				f.put(flow.Reply, flow.CalleeIn, now, n)
				sent += n
			} else if sent > passed {
				n = min(n, sent-passed)
				f.put(flow.Reply, flow.CallerOut, now, n)
				passed += n
			}
			if r.IntN(4) == 0 {
				add(t, tr, f)
			}
		}
		add(t, tr, f)
		for _, m := range tr.Lanes()[1].Marks {
			from, ok := tr.Lanes()[0].Passed(m.End() - 1)
			if !ok || m.Hold != m.At-from.At || m.Hold < 0 {
				t.Fatalf("seed %d: %+v does not follow on %+v (%v)", seed, m, from, ok)
			}
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	tr := trace.New("f")
	const step = 4096
	for i := range 40 {
		d := &flow.Detail{Next: tr.Cursor()}
		d.ID = "f"
		d.Lanes = []flow.LaneView{{Chunks: uint64(i+1) * step, Bytes: uint64(i+1) * step}, {Hop: flow.CalleeOut, Chunks: uint64(i+1) * step, Bytes: uint64(i+1) * step}}
		for _, hop := range []flow.Hop{flow.CallerIn, flow.CalleeOut} {
			lm := flow.LaneMarks{Hop: hop}
			for j := range step {
				n := uint64(i*step + j)
				lm.Marks = append(lm.Marks, flow.Mark{N: n, At: time.Duration(n) * ms, Size: 1})
			}
			d.Marks = append(d.Marks, lm)
			d.Next[hop] = uint64(i+1) * step
		}
		if !tr.Add(tr.Cursor(), d) {
			t.Fatal("refused")
		}
	}
	l := tr.Lanes()[1]
	if n := uint64(len(l.Marks)); n > 1<<16 || n+l.Dropped != 40*step {
		t.Errorf("%d marks kept and %d dropped of %d", n, l.Dropped, 40*step)
	}
	if l.Holds.N != 40*step || l.Holds.Max != 0 {
		t.Errorf("%d holds up to %v, want every chunk at once", l.Holds.N, l.Holds.Max)
	}
}

func TestQuantiles(t *testing.T) {
	h := trace.Hist{}
	for i := range 1000 {
		h.Add(time.Duration(i+1) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0: time.Microsecond, 0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: ms} {
		if got := h.Quantile(q); got < want*88/100 || got > want*112/100 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
	if (&trace.Hist{}).Quantile(0.5) != 0 {
		t.Error("the quantile of nothing is not 0")
	}
}
