// Package flow records what invocations do while they do it.
//
// A Flow is the record of one invocation. It has eight lanes: the two
// directions (request, reply) at each of the four places where the mesh holds
// the bytes for a moment (read by the caller's sidecar, sent to the peer,
// received by the callee's sidecar, written to the app; and back). The data
// path marks a lane once for each chunk. Marking never blocks, never logs and
// allocates only when a lane's ring of marks grows; a nil *Flow or *Lane
// accepts every call and does nothing, so that an unwatched call costs one
// load. Counters are exact; marks live in bounded rings that overwrite their
// oldest entry and say how many were lost.
//
// Readers (the screen, tap, tests, the control socket) take snapshots whenever
// they like and never hold up a writer.
package flow

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// ID names a flow. It is unique among the processes of one host with very high
// probability and travels to the peer's sidecar, so that both ends of a call
// that crosses the wire record into one flow when they share a process.
type ID uint64

// String gives 16 hexadecimal digits.
func (id ID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("parsing flow id %q: %w", s, err)
	}
	return ID(n), nil
}

// Dir is the direction in which bytes travel.
type Dir uint8

// The two directions of an invocation.
const (
	Request Dir = iota // from the caller to the app
	Reply              // from the app back to the caller
)

// Hop is a place where a chunk is seen.
type Hop uint8

// The four hops, in the order in which a request meets them. A reply meets
// them backwards. A call between two sidecars of one process has no wire and
// so uses only CallerIn and CalleeOut (request), CalleeIn and CallerOut (reply).
const (
	CallerIn  Hop = iota // the caller's sidecar reads: from its app (request) or from the peer (reply)
	CallerOut            // the caller's sidecar writes: to the peer (request) or to its app (reply)
	CalleeIn             // the callee's sidecar reads: from the peer (request) or from its app (reply)
	CalleeOut            // the callee's sidecar writes: to its app (request) or to the peer (reply)
)

const lanes = 8

// String gives the name used in JSON: "request" or "reply".
func (d Dir) String() string { return [...]string{"request", "reply"}[d&1] }

// String gives the name used in JSON, such as "caller.in".
func (h Hop) String() string {
	return [...]string{"caller.in", "caller.out", "callee.in", "callee.out"}[h&3]
}

// MarshalText writes the name that String gives.
func (d Dir) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// MarshalText writes the name that String gives.
func (h Hop) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the name that MarshalText wrote.
func (d *Dir) UnmarshalText(b []byte) error {
	for c := Request; c <= Reply; c++ {
		if c.String() == string(b) {
			*d = c
			return nil
		}
	}
	return fmt.Errorf("%q is not a direction", b)
}

// UnmarshalText reads the name that MarshalText wrote.
func (h *Hop) UnmarshalText(b []byte) error {
	for c := CallerIn; c <= CalleeOut; c++ {
		if c.String() == string(b) {
			*h = c
			return nil
		}
	}
	return fmt.Errorf("%q is not a hop", b)
}

// Head is what is known of an invocation when it begins. It does not change.
type Head struct {
	Caller string    `json:"caller"`         // app id of the sidecar that took the call; "" for a client outside the mesh
	Callee string    `json:"callee"`         // app id that is called, or the component for a building block
	Verb   string    `json:"verb"`           // HTTP method, or the operation of a building block
	Path   string    `json:"path"`           // with the leading slash, without the query
	Kind   string    `json:"kind,omitempty"` // "http", "grpc", "state", "publish", …
	Begun  time.Time `json:"begun"`          // set by Begin when zero
}

// Peer is the far end that a flow was routed to. Peers are shared by the flows
// that use them: build one per upstream, not one per call.
type Peer struct {
	Instance  string `json:"instance,omitempty"` // "orders-1" when the peer is an instance of this mesh
	Transport string `json:"transport"`          // "local", "grpc", "unary", "http"
	Addr      string `json:"addr,omitempty"`     // host:port when a wire was crossed
}

// Flow is the record of one invocation. Its methods may be called from several
// goroutines; each lane has one writer at a time.
type Flow struct {
	id   ID
	head Head
	rec  *Recorder

	peer    atomic.Pointer[Peer]
	held    atomic.Int64 // when the call began to wait for its app; 0: not waiting
	holdSum atomic.Int64 // how long it has waited in all
	status  atomic.Int32 // HTTP status, or 0
	marks   atomic.Int32 // that its lanes have room for
	replied atomic.Int64 // when the reply's head arrived; 0: not yet
	ended   atomic.Int64 // when it ended; 0: live
	err     atomic.Pointer[failure]
	capture atomic.Pointer[capture] // nil: its bytes are not wanted

	near [lanes / 2]Lane                 // of the hops where the mesh meets the apps
	wire atomic.Pointer[[lanes / 2]Lane] // of those where sidecars meet; nil: no byte has crossed a wire
}

// ID gives the flow's name.
func (f *Flow) ID() ID {
	if f == nil {
		return 0
	}
	return f.id
}

// Head gives what was known when the flow began.
func (f *Flow) Head() Head {
	if f == nil {
		return Head{}
	}
	return f.head
}

// now is the time since the flow began, in nanoseconds, never 0.
func (f *Flow) now() int64 { return max(1, int64(time.Since(f.head.Begun))) }

// Lane gives the lane of one hop in one direction, nil for a nil flow and for a
// lane that no byte has met yet.
func (f *Flow) Lane(d Dir, h Hop) *Lane {
	if f == nil {
		return nil
	}
	i, near := place(d, h)
	if near {
		return &f.near[i]
	}
	if w := f.wire.Load(); w != nil {
		return &w[i]
	}
	return nil
}

// place says where a lane lies. A call between sidecars of one process has no use
// for the lanes of the wire, which are a third of the record of a call.
func place(d Dir, h Hop) (i int, near bool) {
	i = int(d&1)*2 + int(h&3)>>1
	if d&1 == Request {
		return i, h&3 == CallerIn || h&3 == CalleeOut
	}
	return i, h&3 == CalleeIn || h&3 == CallerOut
}

// lane is Lane for who writes it.
func (f *Flow) lane(d Dir, h Hop) *Lane {
	if l := f.Lane(d, h); l != nil {
		return l
	}
	f.wire.CompareAndSwap(nil, new([lanes / 2]Lane)) // lanes have writers of their own: another may be first
	return f.Lane(d, h)
}

// Route records the peer that the call was sent to. A retry may call it again.
func (f *Flow) Route(p *Peer) {
	if f != nil {
		f.peer.Store(p)
	}
}

// Hold records that the call begins to wait for its app.
func (f *Flow) Hold() {
	if f != nil {
		f.held.Store(f.now())
	}
}

// Release records that the wait is over.
func (f *Flow) Release() {
	if f == nil {
		return
	}
	if t := f.held.Swap(0); t != 0 {
		f.holdSum.Add(f.now() - t)
	}
}

// Replied records the status of the reply's head; status is an HTTP status.
func (f *Flow) Replied(status int) {
	if f == nil {
		return
	}
	f.status.Store(int32(status))
	f.replied.CompareAndSwap(0, f.now())
}

// failure is why an invocation was in vain.
type failure struct {
	text     string
	answered bool // the caller has a whole answer that says so
}

// End records that the invocation is over, err being why it broke off or nil.
// The first call of End and Answered wins.
func (f *Flow) End(err error) { f.end(err, false) }

// Answered records that the invocation is over and did not break off: its caller
// has the whole answer, and err is what that says is wrong, or nil.
func (f *Flow) Answered(err error) { f.end(err, true) }

func (f *Flow) end(err error, answered bool) {
	if f == nil {
		return
	}
	if err != nil && f.ended.Load() == 0 {
		f.err.CompareAndSwap(nil, &failure{err.Error(), answered})
	}
	if f.ended.CompareAndSwap(0, f.now()) {
		f.rec.end(f)
	}
}

// Live says whether the flow has not ended yet.
func (f *Flow) Live() bool { return f != nil && f.ended.Load() == 0 }
