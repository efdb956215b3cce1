package flow

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/quick"
	"time"
)

func TestNothingIsCapturedUnlessAsked(t *testing.T) {
	r := watched(t)
	f := r.Begin(Head{})
	f.Headers(Request, http.Header{"A": {"b"}}, "q")
	f.Pass(Request, CallerIn, []byte("secret"))
	if b := f.Body(Request, 0, 100); b.On || b.Limit != 0 || b.Parts != nil || b.Header != nil {
		t.Errorf("captured %+v", b)
	}
	if l, _ := f.View().Lane(Request, CallerIn); l.Bytes != 6 {
		t.Errorf("%d bytes are counted, want 6", l.Bytes)
	}
}

// TestCaptureKeepsBothEnds cuts a stream at random: what is kept is what was
// sent, at its place, up to the limit, and what is not is counted.
func TestCaptureKeepsBothEnds(t *testing.T) {
	check := func(seed uint64, limit16, length uint16) bool {
		limit := int(limit16)%3000 + 1
		r := NewRecorder()
		defer r.Watch()()
		r.Capture(limit)
		f := r.Begin(Head{})
		defer f.End(nil)
		rng := rand.New(rand.NewPCG(seed, 1))
		sent := make([]byte, int(length)%9000)
		for i := range sent {
			sent[i] = byte(rng.Uint32())
		}
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(1500))
			f.Pass(Reply, CalleeIn, rest[:n])
			f.Pass(Reply, CallerOut, rest[:n]) // the next hop's bytes are the same ones
			rest = rest[n:]
		}
		b := f.Body(Reply, 0, 1<<40)
		kept, last := 0, uint64(0)
		for _, p := range b.Parts {
			if p.Off < last || !bytes.Equal(p.Data, sent[p.Off:int(p.Off)+len(p.Data)]) {
				return false
			}
			last = p.Off + uint64(len(p.Data))
			kept += len(p.Data)
		}
		whole, all := b.Whole(uint64(len(sent)))
		switch {
		case uint64(kept)+b.Missed != uint64(len(sent)), kept > limit+1, len(sent) > 0 && last != uint64(len(sent)):
			return false
		case len(sent) <= limit && (!all || !bytes.Equal(whole, sent)):
			return false
		}
		// Any piece of it is the same bytes.
		from := uint64(rng.IntN(len(sent) + 1))
		for _, p := range f.Body(Reply, from, from+100).Parts {
			if p.Off < from || p.Off+uint64(len(p.Data)) > from+100 || !bytes.Equal(p.Data, sent[p.Off:int(p.Off)+len(p.Data)]) {
				return false
			}
		}
		return true
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 400}); err != nil {
		t.Error(err)
	}
}

func TestSecretsAreNotKept(t *testing.T) {
	r := watched(t)
	r.Capture(100)
	f := r.Begin(Head{})
	f.Headers(Request, http.Header{
		"Authorization": {"Bearer abc"}, "Cookie": {"a=abc", "b=abc"}, "Dapr-Api-Token": {"abc"}, "X-Api-Key": {"abc"}, "Accept": {"text/plain"},
	}, "q=1&access_token=abc&x")
	f.Headers(Reply, http.Header{"Set-Cookie": {"abc"}}, "")
	req, rep := f.Body(Request, 0, 1), f.Body(Reply, 0, 1)
	for _, h := range []http.Header{req.Header, rep.Header} {
		for key, values := range h {
			if strings.Contains(strings.Join(values, ""), "abc") {
				t.Errorf("%s: %v is kept", key, values)
			}
		}
	}
	if req.Header.Get("Accept") != "text/plain" || len(req.Header["Cookie"]) != 2 {
		t.Errorf("kept %v", req.Header)
	}
	if req.Query != "q=1&access_token="+Redacted+"&x" {
		t.Errorf("the query is %q", req.Query)
	}
}

func TestCaptureIsSwitchedForOneFlow(t *testing.T) {
	r := watched(t)
	f, other := r.Begin(Head{}), r.Begin(Head{})
	f.Pass(Reply, CalleeIn, []byte("before "))
	if !r.CaptureFlow(f.ID().String(), 100) || !f.Capturing() || other.Capturing() {
		t.Fatal("the flow is not captured, or the other one is")
	}
	f.Pass(Reply, CalleeIn, []byte("while "))
	r.CaptureFlow(f.ID().String(), 0)
	f.Pass(Reply, CalleeIn, []byte("after "))
	b := f.Body(Reply, 0, 100)
	if b.On || b.Begin != 7 || len(b.Parts) != 1 || string(b.Parts[0].Data) != "while " || b.Parts[0].Off != 7 {
		t.Errorf("captured %+v", b)
	}
	r.CaptureFlow(f.ID().String(), 100)
	f.Pass(Reply, CalleeIn, []byte("again"))
	if b := f.Body(Reply, 0, 100); !b.On || b.Begin != 19 || string(b.Parts[0].Data) != "again" {
		t.Errorf("captured %+v", b)
	}
	f.End(nil)
	if r.CaptureFlow(f.ID().String(), 100) || r.CaptureFlow("nonsense", 100) {
		t.Error("a flow that is over, or none, can be captured")
	}
}

func TestCaptureIsBoundedInAll(t *testing.T) {
	r := watched(t)
	r.Capture(1 << 20)
	chunk := bytes.Repeat([]byte("x"), 256<<10)
	var first, last *Flow
	for range 2*captureBudget>>20 + 3 {
		last = r.Begin(Head{})
		if first == nil {
			first = last
		}
		for range 4 {
			last.Pass(Request, CallerIn, chunk)
		}
		last.End(nil)
	}
	s := r.Stats()
	if s.Captured > captureBudget || s.Shed == 0 || !first.Body(Request, 0, 1).Shed {
		t.Errorf("%+v; want at most %d bytes, and the first flow to be given up", s, captureBudget)
	}
	if b := last.Body(Request, 0, 1<<30); b.Missed != 0 {
		t.Errorf("the latest flow misses %d bytes", b.Missed)
	}
	// Live flows are not given up: the next one gets nothing, and says so.
	var live []*Flow
	for range captureBudget>>20 + 2 {
		f := r.Begin(Head{})
		for range 4 {
			f.Pass(Request, CallerIn, chunk)
		}
		live = append(live, f)
	}
	b := live[len(live)-1].Body(Request, 0, 1<<30)
	if b.Missed != 1<<20 || r.Stats().Captured > captureBudget {
		t.Errorf("the last flow misses %d bytes with %d in all", b.Missed, r.Stats().Captured)
	}
	for _, f := range live {
		f.End(nil)
	}
	for range keepRecent + 1 {
		r.Begin(Head{}).End(nil)
	}
	if n := r.Stats().Captured; n != 0 {
		t.Errorf("forgotten flows still hold %d bytes", n)
	}
}

// TestCaptureUnderWay reads and switches while chunks pass.
func TestCaptureUnderWay(t *testing.T) {
	r := watched(t)
	f := r.Begin(Head{})
	id := f.ID().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 20_000 {
			f.Pass(Reply, CalleeIn, []byte{byte(i), byte(i >> 8), byte(i >> 16)})
		}
		f.End(nil)
	})
	for on := true; f.Live(); on = !on {
		r.CaptureFlow(id, map[bool]int{true: 999}[on])
		for _, p := range f.Body(Reply, 0, 1<<40).Parts {
			for i := range p.Data {
				if at := int(p.Off) + i; p.Data[i] != byte(at/3>>(8*(at%3))) {
					t.Fatalf("byte %d is not the one that was sent", at)
				}
			}
		}
	}
	wg.Wait()
}

func TestGapQuantiles(t *testing.T) {
	g := &gaps{}
	for i := range 1000 {
		g.add(int64(time.Duration(i+1) * time.Millisecond))
	}
	p50, p99 := g.quantiles()
	within := func(got, want time.Duration) bool { return got > want*85/100 && got < want*115/100 }
	if !within(p50, 500*time.Millisecond) || !within(p99, 990*time.Millisecond) {
		t.Errorf("p50 %v and p99 %v, want about 500ms and 990ms", p50, p99)
	}
	if p50, p99 := (&gaps{}).quantiles(); p50 != 0 || p99 != 0 {
		t.Errorf("the gaps of nothing are %v and %v", p50, p99)
	}
	g.add(1 << 62) // beyond the last bucket
	g.add(-1)
}

func TestLaneSaysWhenItsBodyEnded(t *testing.T) {
	r := watched(t)
	f := r.Begin(Head{})
	f.Blocked(Request, CalleeOut)
	f.Mark(Request, CalleeOut, 5)
	f.Mark(Request, CalleeOut, 5)
	f.Finish(Request, CalleeOut)
	f.Finish(Request, CalleeOut)
	l, _ := f.View().Lane(Request, CalleeOut)
	if l.Done < l.Last || l.Done == 0 || l.Waited <= 0 || l.Blocked != 0 || l.GapP50 == 0 {
		t.Errorf("lane %+v", l)
	}
}

func TestLastChunkEndsItsBody(t *testing.T) {
	r := watched(t)
	r.Capture(64)
	f := r.Begin(Head{})
	f.Blocked(Request, CalleeOut)
	f.MarkLast(Request, CalleeOut, 5)
	f.PassLast(Reply, CalleeIn, []byte("hello"))
	f.Blocked(Reply, CallerOut)
	f.MarkLast(Reply, CallerOut, 0) // there was no body
	v := f.View()
	for _, d := range []Dir{Request, Reply} {
		l, _ := v.Lane(d, map[Dir]Hop{Request: CalleeOut, Reply: CalleeIn}[d])
		if l.Chunks != 1 || l.Bytes != 5 || l.Done == 0 || l.Done != l.Last || l.Blocked != 0 {
			t.Errorf("lane %+v", l)
		}
	}
	if l, ok := v.Lane(Reply, CallerOut); ok {
		t.Errorf("a body without bytes shows in %+v", l)
	}
	if b, ok := r.Body(f.ID().String(), Reply, 0, 5); !ok || len(b.Parts) != 1 || string(b.Parts[0].Data) != "hello" {
		t.Errorf("captured %+v", b)
	}
}

func TestForgottenFlowsGiveTheirBytesBack(t *testing.T) {
	r := watched(t)
	r.Capture(1 << 10)
	f := r.Begin(Head{})
	f.Pass(Reply, CallerOut, []byte("hello"))
	f.End(nil)
	r.Capture(0)
	for range keepRecent {
		if r.Stats().Captured == 0 {
			t.Fatal("the bytes of a flow that is remembered were given up")
		}
		r.Begin(Head{}).End(nil)
	}
	if n := r.Stats().Captured; n != 0 {
		t.Errorf("%d bytes are held of a flow that is forgotten", n)
	}
}

func BenchmarkPassCaptured(b *testing.B) {
	r := watched(b)
	r.Capture(64 << 10)
	f := r.Begin(Head{})
	p := make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		f.Pass(Reply, CallerOut, p)
	}
}
