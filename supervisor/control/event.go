package control

import (
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
)

// EventKind says what an Event tells.
type EventKind string

// The kinds of events. Of each flow there is one begin, which comes first, at
// most one head, and one end, which comes last.
const (
	Begin EventKind = "begin" // an invocation has begun, or was under way when the tap was opened
	Head  EventKind = "head"  // the head of the reply has arrived
	Chunk EventKind = "chunk" // a hop has seen a chunk
	End   EventKind = "end"   // the invocation is over
	Lost  EventKind = "lost"  // N chunks of a lane, or N whole invocations, passed too fast to be told
)

// Event is one line of a tap. Which fields are set depends on the kind; the
// comments name the kinds.
type Event struct {
	Event EventKind `json:"event"`
	At    time.Time `json:"at"`
	Flow  string    `json:"flow,omitempty"` // all; a lost event without one tells of whole invocations

	// begin, head and end
	Caller    string `json:"caller,omitempty"` // not set: a client outside the mesh
	Callee    string `json:"callee,omitempty"`
	Kind      string `json:"kind,omitempty"` // http, grpc, state …
	Verb      string `json:"verb,omitempty"`
	Path      string `json:"path,omitempty"`
	Instance  string `json:"instance,omitempty"`  // of the callee, once it is known
	Transport string `json:"transport,omitempty"` // once it is known

	// head and end
	Status int `json:"status,omitempty"`

	// chunk and lost
	Dir  *flow.Dir `json:"dir,omitempty"`
	Hop  *flow.Hop `json:"hop,omitempty"`
	N    *uint64   `json:"n,omitempty"`    // chunk: its number in its lane, from 0; lost: how many
	Size int       `json:"size,omitempty"` // chunk: bytes

	// end
	Age   time.Duration `json:"age,omitempty"`   // nanoseconds it took
	Held  time.Duration `json:"held,omitempty"`  // nanoseconds of them that it waited for the app
	Bytes *Bytes        `json:"bytes,omitempty"` // what entered the mesh
	Error string        `json:"error,omitempty"` // why it broke off, or what was wrong
	// Answered says that it did not break off: Error is what the answer says.
	Answered bool `json:"answered,omitempty"`
}

// Bytes counts the bodies of one invocation.
type Bytes struct {
	Request uint64 `json:"request"`
	Reply   uint64 `json:"reply"`
}

// about gives an event with what its flow is.
func about(kind EventKind, at time.Time, v *flow.View) Event {
	return Event{
		Event: kind, At: at, Flow: v.ID, Caller: v.Caller, Callee: v.Callee, Kind: v.Kind,
		Verb: v.Verb, Path: v.Path, Instance: v.Instance, Transport: v.Transport,
	}
}

// ended gives a flow's end event.
func ended(v *flow.View) Event {
	e := about(End, v.Begun.Add(v.Age), v)
	e.Status, e.Age, e.Held, e.Error, e.Answered = v.Status, v.Age, v.Held, v.Err, v.Answered
	e.Bytes = &Bytes{Request: filter.Bytes(v, flow.Request), Reply: filter.Bytes(v, flow.Reply)}
	return e
}
