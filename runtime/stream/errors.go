package stream

import (
	"errors"
	"fmt"
)

// UnreachableError says that no connection to a peer could be made: nothing of
// the call was sent and its body was not read, so that another peer may be
// tried.
type UnreachableError struct {
	Addr string // host:port of the peer
	Err  error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("connecting to %s: %v", e.Addr, e.Err) }

// Unwrap gives why.
func (e *UnreachableError) Unwrap() error { return e.Err }

// NotDeliveredError says that a peer was reached and its app was not: the app
// got nothing of the call, so that another peer may be tried, but the call's
// body may have been read.
type NotDeliveredError struct {
	Addr string // host:port of the peer
	Err  error  // in the peer's words
}

func (e *NotDeliveredError) Error() string { return e.Err.Error() }

// Unwrap gives why.
func (e *NotDeliveredError) Unwrap() error { return e.Err }

// What breaks a body that comes over the wire.
var (
	errLateRequest = errors.New("request metadata found in non-leading chunk")
	errLateReply   = errors.New("response metadata found in non-leading chunk")
	errNoReplyHead = errors.New("response does not contain the required fields in the leading chunk")
	errClosed      = errors.New("reading the body of a reply that was closed")
)

// sequenceError says that a frame was lost, repeated or sent out of order.
type sequenceError struct{ got, want uint64 }

func (e *sequenceError) Error() string {
	return fmt.Sprintf("invalid sequence number received: %d (expected: %d)", e.got, e.want)
}

// ErrNoUpgrade says that a call asks for another protocol where it cannot be
// passed on: the peer's sidecar does not know streams.
var ErrNoUpgrade = errors.New("another protocol (Upgrade) cannot be spoken with this app: its sidecar cannot pass it on")
