package stream

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
)

// W3C's trace context passes through sidecars as it is: they are no spans of
// their own, because nobody could look at those. A call that has none gets one,
// so that the apps that it reaches record one trace.

const (
	headerParent = "Traceparent"
	headerState  = "Tracestate"

	parentLen = 55 // of "00-<32 digits>-<16 digits>-<2 digits>"
	binaryLen = 29 // of the same in gRPC's form
)

// Sampler decides whether a trace that begins here is to be recorded. The zero
// value says so of each.
type Sampler struct{ skip atomic.Uint64 }

// SetRate changes which part of the traces are, from 0 to 1.
func (s *Sampler) SetRate(rate float64) {
	skip := min(max(0, 1-rate), 1)
	if skip == 1 {
		s.skip.Store(math.MaxUint64)
		return
	}
	s.skip.Store(uint64(skip*(1<<63)) << 1)
}

// NewTraceParent gives the value of traceparent with which a trace begins. It
// may be asked of nil.
func (s *Sampler) NewTraceParent() string {
	var raw [24]byte
	var text [parentLen]byte
	low := rand.Uint64() //nolint:gosec // an id, not a secret
	binary.BigEndian.PutUint64(raw[:], rand.Uint64()|1)
	binary.BigEndian.PutUint64(raw[8:], low)
	binary.BigEndian.PutUint64(raw[16:], rand.Uint64()|1) // none may be zero
	copy(text[:], "00-")
	hex.Encode(text[3:], raw[:16])
	text[35] = '-'
	hex.Encode(text[36:], raw[16:])
	copy(text[52:], "-01")
	if s != nil {
		if skip := s.skip.Load(); skip > 0 && low <= skip {
			text[54] = '0'
		}
	}
	return string(text[:])
}

// Continue gives a value of traceparent that has come, or one with which a trace
// begins when that is not valid. It may be asked of nil.
func (s *Sampler) Continue(parent string) string {
	if ValidTraceParent(parent) {
		return parent
	}
	return s.NewTraceParent()
}

// BeginTrace gives a call a trace context when it comes without a valid one.
// Whoever makes the call calls it, once.
func (c *Call) BeginTrace(s *Sampler) {
	if v := c.Header[headerParent]; len(v) != 1 || !ValidTraceParent(v[0]) {
		c.parent[0] = s.NewTraceParent()
	}
}

// TraceParent gives the value of traceparent with which the call is sent on, ""
// when there is none.
func (c *Call) TraceParent() string {
	if c.parent[0] != "" {
		return c.parent[0]
	}
	return first(c.Header, headerParent)
}

func first(h http.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// ValidTraceParent says whether a value of traceparent is one: two ids that are
// not zero, and a version that is known to look so.
func ValidTraceParent(s string) bool {
	if len(s) < parentLen || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" || (s[:2] == "00" && len(s) != parentLen) || (len(s) > parentLen && s[parentLen] != '-') {
		return false
	}
	for i := range parentLen {
		if c := s[i]; i != 2 && i != 35 && i != 52 && ('0' > c || c > '9') && ('a' > c || c > 'f') {
			return false
		}
	}
	return strings.Trim(s[3:35], "0") != "" && strings.Trim(s[36:52], "0") != ""
}

// TraceBinary gives a traceparent in the form of gRPC's metadata grpc-trace-bin,
// "" when it is not valid.
func TraceBinary(parent string) string {
	if !ValidTraceParent(parent) {
		return ""
	}
	b := make([]byte, binaryLen)
	_, _ = hex.Decode(b[2:], []byte(parent[3:35])) // they are digits
	b[18] = 1
	_, _ = hex.Decode(b[19:], []byte(parent[36:52]))
	b[27] = 2
	_, _ = hex.Decode(b[28:], []byte(parent[53:55]))
	return string(b)
}

// TraceFromBinary is the way back, "" when that is not valid.
func TraceFromBinary(b string) string {
	if len(b) != binaryLen || b[0] != 0 || b[1] != 0 || b[18] != 1 || b[27] != 2 {
		return ""
	}
	digits := func(s string) string { return hex.EncodeToString([]byte(s)) }
	parent := "00-" + digits(b[2:18]) + "-" + digits(b[19:27]) + "-" + digits(b[28:29])
	if !ValidTraceParent(parent) {
		return ""
	}
	return parent
}
