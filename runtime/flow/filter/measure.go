package filter

import (
	"time"

	"mesh/runtime/flow"
)

// caller gives the name of whoever called.
func caller(v *flow.View) string {
	if v.Caller == "" {
		return "client"
	}
	return v.Caller
}

// Caller gives the name of whoever called: an app id, or "client" for a caller
// outside the mesh.
func Caller(v *flow.View) string { return caller(v) }

// Callee gives the instance that was called, or the app as long as no
// instance was chosen.
func Callee(v *flow.View) string {
	if v.Instance != "" {
		return v.Instance
	}
	return v.Callee
}

// TTFB gives the time until the caller had the first byte of the reply: the
// first chunk that its sidecar wrote to it, which other hops may have seen much
// earlier. Until there is one, or when the reply has no body, it is the head's
// time; ok is false and d the time so far when nothing came.
func TTFB(v *flow.View) (d time.Duration, ok bool) {
	if l, seen := v.Lane(flow.Reply, flow.CallerOut); seen && l.Chunks > 0 {
		return l.First, true
	}
	if v.Replied > 0 {
		return v.Replied, true
	}
	for i := range v.Lanes { // no head: a far side that saw only bytes
		if l := &v.Lanes[i]; l.Dir == flow.Reply && l.Chunks > 0 && (!ok || l.First < d) {
			d, ok = l.First, true
		}
	}
	if ok {
		return d, true
	}
	return v.Age, false
}

// Chunks gives the number of chunks that entered the mesh in one direction.
func Chunks(v *flow.View, d flow.Dir) (n uint64) {
	for i := range v.Lanes {
		if v.Lanes[i].Dir == d {
			n = max(n, v.Lanes[i].Chunks)
		}
	}
	return n
}

// Bytes gives the bytes that entered the mesh in one direction.
func Bytes(v *flow.View, d flow.Dir) (n uint64) {
	for i := range v.Lanes {
		if v.Lanes[i].Dir == d {
			n = max(n, v.Lanes[i].Bytes)
		}
	}
	return n
}

// Gap gives the longest time between two chunks of one lane, the present
// silence of a live flow included.
func Gap(v *flow.View) (gap time.Duration) {
	for i := range v.Lanes {
		gap = max(gap, v.Lanes[i].Gap)
	}
	if last := last(v); v.Live && last > 0 {
		gap = max(gap, v.Age-last)
	}
	return gap
}

// GapQuantiles gives the times between two chunks below which half of them and
// 99 in a hundred lie, at the hop that saw the most chunks; 0 without any.
func GapQuantiles(v *flow.View) (p50, p99 time.Duration) {
	most := uint64(0)
	for i := range v.Lanes {
		if l := &v.Lanes[i]; l.Chunks > most && l.GapP50 > 0 {
			most, p50, p99 = l.Chunks, l.GapP50, l.GapP99
		}
	}
	return p50, p99
}

// ended says whether a body has passed its first hop to the end.
func ended(v *flow.View, d flow.Dir) bool {
	l, _ := v.Lane(d, Route(d)[0])
	return l.Done > 0
}

// last gives the time of the last chunk anywhere, 0 when there was none.
func last(v *flow.View) (at time.Duration) {
	for i := range v.Lanes {
		at = max(at, v.Lanes[i].Last)
	}
	return at
}
