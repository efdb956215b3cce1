package stream

import (
	"net/http"
	"testing"
)

const aParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestTraceParents(t *testing.T) {
	for s, want := range map[string]bool{
		aParent: true,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00":      true,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more": true,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more": false,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more":  false,
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":      false,
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01":      false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":      false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01":      false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7":         false,
		"": false, "-": false,
	} {
		if got := ValidTraceParent(s); got != want {
			t.Errorf("%q: valid %v", s, got)
		}
		if !want && TraceBinary(s) != "" {
			t.Errorf("%q has a binary form", s)
		}
	}
	if got := TraceFromBinary(TraceBinary(aParent)); got != aParent {
		t.Errorf("there and back: %q", got)
	}
	if b := TraceBinary(aParent); len(b) != 29 || b[18] != 1 || b[27] != 2 || b[28] != 1 {
		t.Errorf("the binary form is %x", b)
	}
	for _, bad := range []string{"", "x", string(make([]byte, 29))} {
		if got := TraceFromBinary(bad); got != "" {
			t.Errorf("%x gives %q", bad, got)
		}
	}
}

func TestSampling(t *testing.T) {
	const n = 20_000
	for rate, want := range map[float64]int{1: n, 0: 0, 0.5: n / 2, 0.1: n / 10} {
		var s Sampler
		s.SetRate(rate)
		seen, recorded := map[string]bool{}, 0
		for range n {
			p := s.NewTraceParent()
			if !ValidTraceParent(p) || seen[p] {
				t.Fatalf("%q is not valid, or not new", p)
			}
			if seen[p] = true; p[53:] == "01" {
				recorded++
			}
		}
		if recorded < want-n/50 || recorded > want+n/50 {
			t.Errorf("rate %v: %d of %d are recorded", rate, recorded, n)
		}
	}
}

func TestTraceCostsOneAllocation(t *testing.T) {
	c := &Call{Header: http.Header{}}
	if n := testing.AllocsPerRun(100, func() { c.BeginTrace(nil) }); n > 1 {
		t.Errorf("a trace that begins costs %v allocations", n)
	}
	c.Header["Traceparent"] = []string{aParent}
	if n := testing.AllocsPerRun(100, func() { c.BeginTrace(nil) }); n > 0 {
		t.Errorf("one that goes on costs %v allocations", n)
	}
}
