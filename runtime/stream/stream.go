// Package stream is one invocation on its way: a request and a reply whose
// bodies are read as they arrive and never held whole.
//
// Handler is the one interface of the data path. The app's own server is a
// Handler (package appchan), a peer's sidecar over gRPC is a Handler
// (Outbound), a sidecar of the same process is a Handler, and a policy is a
// Handler around a Handler, so that the whole path is a composition. Inbound
// is the other side of the wire: it serves Dapr's internal gRPC service with a
// Handler.
package stream

import (
	"context"
	"io"
	"net/http"

	"google.golang.org/grpc/status"

	"mesh/runtime/flow"
)

// Call is one invocation on its way to an app. Whoever sends it on sends what
// Headers gives, which may be more than Header. The caller owns it, its headers
// and its body; a Handler changes none of them and keeps none after Handle has
// returned an error or its Reply has been closed.
//
// Whoever makes a Call with a Body whose Read can block must see to it that the
// Read returns once the call's context has ended, and before the Reply is
// closed: Close waits for whoever is reading.
type Call struct {
	AppID  string      // the app that is called
	Verb   string      // HTTP method, upper case
	Path   string      // the method: decoded, cleaned, without the leading slash
	Query  string      // raw query, byte for byte, without the question mark
	Header http.Header // canonical keys; Host and hop-by-hop headers are not in it
	Body   io.Reader   // nil: no body. Read it from one goroutine at a time
	Length int64       // of the body in bytes; -1: unknown. Meaningless when Body is nil
	Flow   *flow.Flow  // the record of this call; nil when nobody watches
	Type   string      // type URL of the protobuf message in Body; "": not known to be one
	Own    bool        // a question of the callee's sidecar itself, nobody's call

	// Trailer gives the request's trailers once Body has returned io.EOF; nil: none.
	Trailer func() http.Header

	// Announced names the trailers that are to come, as far as the caller has
	// said so; HTTP/2 servers take no others. Canonical keys.
	Announced []string

	// Upgrade names the protocol, such as websocket, that the caller would like
	// to speak from now on; "": none. The call has no body then.
	Upgrade string

	// Inform is told of informational replies, such as 103, before Handle
	// returns; nil: nobody wants to know. It does not keep the headers.
	Inform func(status int, h http.Header)

	stamp  *Stamp // what Headers adds to Header; nil: nothing
	callee [1]string
	parent [1]string // traceparent that Headers gives instead of what Header has; "": what it has
}

// Reply is the answer to a Call. Whoever receives it closes Body, which ends
// the call: whatever is still under way for it is stopped and waited for, and
// the headers serve another one.
type Reply struct {
	Status int           // HTTP status, 100 and above
	Header http.Header   // canonical keys, without hop-by-hop headers; not to be used once Body is closed
	Body   io.ReadCloser // never nil
	Length int64         // of the body in bytes; -1: unknown. What the app said, also where no body follows (HEAD, 304)

	Type string // type URL of the protobuf message in Body; "": not known to be one

	// Trailer gives the reply's trailers once Body has returned io.EOF; nil: none.
	Trailer func() http.Header

	// Tunnel takes what the caller sends after a reply with status 101, which
	// only a Call with Upgrade gets; Body gives what comes back. Closing Tunnel
	// tells the app that no more comes. nil: the protocol stays as it is.
	Tunnel io.WriteCloser

	// GRPC is what an app that speaks gRPC answered, nil when it speaks HTTP.
	// Status says the same as HTTP does, and so does Body when it is an error.
	GRPC *status.Status
}

// Handler takes a call and gives its reply as soon as the reply's head is
// known, often while the call's body is still being read. An error means that
// there is no reply; cancelling ctx ends the call at any time, also after
// Handle has returned.
//
// A body that ends with an error other than io.EOF is broken off: whoever
// passes it on must not make it look complete.
type Handler interface {
	Handle(ctx context.Context, c *Call) (*Reply, error)
}

// HandlerFunc makes a function a Handler.
type HandlerFunc func(ctx context.Context, c *Call) (*Reply, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, c *Call) (*Reply, error) { return f(ctx, c) }
