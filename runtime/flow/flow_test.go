package flow

import (
	"errors"
	"sync"
	"testing"
	"testing/quick"
	"time"
)

func watched(tb testing.TB) *Recorder {
	tb.Helper()
	r := NewRecorder()
	tb.Cleanup(r.Watch())
	return r
}

func TestUnwatchedRecordsNothing(t *testing.T) {
	r := NewRecorder()
	f := r.Begin(Head{Callee: "orders"})
	if f != nil {
		t.Fatal("a recorder that nobody watches began a flow")
	}
	// Everything on a nil flow is harmless.
	f.Mark(Request, CallerIn, 10)
	f.Blocked(Request, CallerIn)
	f.Route(&Peer{})
	f.Hold()
	f.Release()
	f.Replied(200)
	f.End(errors.New("broken"))
	if v := f.View(); v.ID != "" {
		t.Errorf("a nil flow has the view %+v", v)
	}
	if begun, ended := r.Totals(); begun != 0 || ended != 0 {
		t.Errorf("%d begun and %d ended, want none", begun, ended)
	}
}

func TestFlowFromBeginToEnd(t *testing.T) {
	r := watched(t)
	f := r.Begin(Head{Caller: "web", Callee: "orders", Verb: "POST", Path: "/new"})
	f.Route(&Peer{Instance: "orders-2", Transport: "grpc", Addr: "127.0.0.1:1"})
	f.Mark(Request, CallerIn, 100)
	f.Mark(Request, CallerIn, 50)
	f.Replied(201)
	f.Mark(Reply, CallerOut, 7)
	if live := r.Live(nil); len(live) != 1 || live[0] != f {
		t.Fatalf("live flows are %v", live)
	}
	f.End(nil)
	f.End(errors.New("too late"))
	if live := r.Live(nil); len(live) != 0 {
		t.Errorf("%d flows are live after the end", len(live))
	}
	v := r.Find(f.ID()).View()
	if v.Live || v.Err != "" || v.Status != 201 || v.Instance != "orders-2" || v.Transport != "grpc" {
		t.Errorf("view %+v", v)
	}
	if up, _ := v.Lane(Request, CallerIn); up.Chunks != 2 || up.Bytes != 150 || up.First == 0 || up.Last < up.First {
		t.Errorf("request lane %+v", up)
	}
	if _, ok := v.Lane(Request, CalleeOut); ok {
		t.Error("a lane that saw nothing is shown")
	}
}

// TestAnsweredWithAnError: only a caller without a whole answer is broken off.
func TestAnsweredWithAnError(t *testing.T) {
	r := watched(t)
	for _, how := range []struct {
		end          func(*Flow)
		err          string
		broken, said bool
	}{
		{func(f *Flow) { f.End(errors.New("gone")) }, "gone", true, false},
		{func(f *Flow) { f.Answered(errors.New("no")); f.End(errors.New("too late")) }, "no", false, true},
		{func(f *Flow) { f.End(errors.New("gone")); f.Answered(errors.New("too late")) }, "gone", true, false},
		{func(f *Flow) { f.Answered(nil); f.End(errors.New("too late")) }, "", false, false},
	} {
		f := r.Begin(Head{})
		how.end(f)
		if v := f.View(); v.Live || v.Err != how.err || v.Broken() != how.broken || v.Answered != how.said {
			t.Errorf("it ended with %q (broken off %v, answered %v), want %+v", v.Err, v.Broken(), v.Answered, how)
		}
	}
}

func TestJoinRecordsBothEndsInOneFlow(t *testing.T) {
	r := watched(t)
	caller := r.Begin(Head{Callee: "orders"})
	callee, began := r.Join(caller.ID(), Head{})
	if callee != caller || began {
		t.Errorf("the callee records into %v (began %v), want the caller's flow", callee, began)
	}
	other, began := r.Join(12345, Head{Callee: "orders"})
	if other.ID() != 12345 || !began {
		t.Errorf("a call from elsewhere gives flow %v (began %v)", other.ID(), began)
	}
}

func TestIDsSurviveText(t *testing.T) {
	if err := quick.Check(func(n uint64) bool {
		id, err := ParseID(ID(n).String())
		return err == nil && id == ID(n)
	}, nil); err != nil {
		t.Error(err)
	}
	if _, err := ParseID("no id"); err == nil {
		t.Error("nonsense is taken for an id")
	}
}

// TestEveryMarkIsReadOrLost checks the invariant of the rings: what a reader
// reads and what it is told it has lost make up everything that was put.
func TestEveryMarkIsReadOrLost(t *testing.T) {
	for _, chunks := range []int{1, 2, firstMarks, firstMarks + 1, maxMarks, maxMarks + 1, 3*maxMarks + 7} {
		r := watched(t)
		f := r.Begin(Head{})
		for i := range chunks {
			f.Mark(Reply, CalleeIn, i+1)
		}
		d := f.Detail(Cursor{})
		m := d.Marks[0]
		if uint64(len(m.Marks))+m.Lost != uint64(chunks) {
			t.Errorf("%d chunks: %d read and %d lost", chunks, len(m.Marks), m.Lost)
		}
		if last := m.Marks[len(m.Marks)-1]; last.Size != chunks || last.N != uint64(chunks-1) {
			t.Errorf("%d chunks: the last mark is %+v", chunks, last)
		}
	}
}

// TestReadersSeeConsistentMarks reads while a writer writes: no mark is torn,
// none is counted twice, and with the cursor none is missed silently.
func TestReadersSeeConsistentMarks(t *testing.T) {
	const chunks = 200_000
	r := watched(t)
	f := r.Begin(Head{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range chunks {
			f.Mark(Request, CallerOut, i+1) // the size says which chunk it is
		}
		f.End(nil)
	})
	var read, lost uint64
	var at Cursor
	var last time.Duration
	for done := false; !done; {
		done = !f.Live()
		d := f.Detail(at)
		at = d.Next
		for _, m := range d.Marks {
			lost += m.Lost
			for _, k := range m.Marks {
				read++
				if uint64(k.Size) != k.N+1 {
					t.Fatalf("mark %d has size %d: torn", k.N, k.Size)
				}
				if k.At < last {
					t.Fatalf("mark %d is older than the one before it", k.N)
				}
				last = k.At
			}
		}
	}
	wg.Wait()
	if read+lost != chunks {
		t.Errorf("%d read and %d lost of %d", read, lost, chunks)
	}
}

func TestRecentIsBounded(t *testing.T) {
	r := watched(t)
	for range keepRecent + 10 {
		r.Begin(Head{}).End(nil)
	}
	if n := len(r.Recent(nil, 2*keepRecent)); n != keepRecent {
		t.Errorf("%d ended flows are kept, want %d", n, keepRecent)
	}
	begun, ended := r.Totals()
	if begun != keepRecent+10 || ended != begun {
		t.Errorf("%d begun, %d ended", begun, ended)
	}
}

func TestMarkBudgetIsGivenBack(t *testing.T) {
	r := watched(t)
	for range keepRecent + markBudget/1024 + 1 { // together they take more than there is
		f := r.Begin(Head{})
		for range 520 {
			f.Mark(Request, CallerIn, 1)
		}
		f.End(nil)
	}
	if held := r.marks.Load(); held > markBudget+int64(shards*maxMarks) {
		t.Errorf("%d marks are held, the budget is %d", held, markBudget)
	}
	f := r.Begin(Head{})
	for range firstMarks {
		f.Mark(Request, CallerIn, 1)
	}
	if d := f.Detail(Cursor{}); len(d.Marks[0].Marks) != firstMarks {
		t.Errorf("a new flow keeps %d marks of %d", len(d.Marks[0].Marks), firstMarks)
	}
}

func TestHoldIsMeasured(t *testing.T) {
	r := watched(t)
	f := r.Begin(Head{})
	f.Hold()
	if v := f.View(); !v.Holding {
		t.Error("a held flow does not say so")
	}
	f.Release()
	f.Release() // harmless
	if v := f.View(); v.Holding || v.Held <= 0 {
		t.Errorf("after its release: holding %v, held %v", v.Holding, v.Held)
	}
}

func BenchmarkMark(b *testing.B) {
	r := watched(b)
	f := r.Begin(Head{})
	b.ReportAllocs()
	for b.Loop() {
		f.Mark(Reply, CallerOut, 100)
	}
}

func BenchmarkUnwatched(b *testing.B) {
	r := NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		f := r.Begin(Head{})
		f.Mark(Reply, CallerOut, 100)
		f.End(nil)
	}
}

func BenchmarkFlow(b *testing.B) {
	r := watched(b)
	b.ReportAllocs()
	for b.Loop() {
		f := r.Begin(Head{})
		f.Mark(Request, CallerIn, 100)
		f.Mark(Request, CalleeOut, 100)
		f.Replied(200)
		f.Mark(Reply, CalleeIn, 100)
		f.Mark(Reply, CallerOut, 100)
		f.End(nil)
	}
}

func TestEachLaneKeepsItsOwnFigures(t *testing.T) {
	r := NewRecorder()
	defer r.Watch()()
	f := r.Begin(Head{})
	var marked sync.WaitGroup
	for i := range lanes {
		marked.Go(func() {
			f.Mark(Dir(i/4), Hop(i%4), i+1)
			f.Finish(Dir(i/4), Hop(i%4))
		})
	}
	marked.Wait()
	v := f.View()
	if len(v.Lanes) != lanes {
		t.Fatalf("%d lanes are shown", len(v.Lanes))
	}
	for i, l := range v.Lanes {
		if l.Dir != Dir(i/4) || l.Hop != Hop(i%4) || l.Bytes != uint64(i+1) || l.Chunks != 1 || l.Done == 0 {
			t.Errorf("lane %d shows %+v", i, l)
		}
		if marks, _ := f.Lane(l.Dir, l.Hop).Marks(0, nil); len(marks) != 1 || marks[0].Size != i+1 {
			t.Errorf("lane %d has the marks %v", i, marks)
		}
	}
}
