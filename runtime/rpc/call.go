// Package rpc is gRPC in the data path: calls of any service, passed on message
// by message without being looked at, in both directions at once.
//
// Server takes calls off a grpc.Server, a Handler finds where each goes, and
// Forward passes it on over a connection until one side ends it. Metadata,
// headers, trailers, deadlines, cancellation, half-close and status details
// pass as they are; whoever stops reading stops the sender at the other end.
package rpc

import (
	"context"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// The metadata with which a call names the apps at its two ends, in lower case.
const (
	KeyAppID  = "dapr-app-id"        // the app to call, as a client says it
	KeyCallee = "dapr-callee-app-id" // the same, as sidecars say it; it counts more
	KeyCaller = "dapr-caller-app-id"
	KeyToken  = "dapr-api-token"
	KeyTrace  = "grpc-trace-bin" // the trace context as gRPC has it
	KeyParent = "traceparent"    // and as W3C does

	keyFlow = "mesh-flow" // the id of the call's flow, between our sidecars
)

// Call is one gRPC call on its way to an app. A Handler does not change it.
type Call struct {
	AppID  string      // the app that is called
	Method string      // "/package.Service/Method"
	Header metadata.MD // what travels with the call, without what is meant for the sidecar
	Flow   *flow.Flow  // the record of this call; nil when nobody watches

	from     grpc.ServerStream
	requests *requests       // what comes from it; one for all tries to pass the call on
	callee   bool            // from is another sidecar, not a client of ours
	began    bool            // the flow is ours: we say how the call ends
	subtype  string          // of the content type, such as "proto"; "": none
	limit    *limitError     // what a message that is larger ends the call with; nil: there is none
	sending  *sync.WaitGroup // counts who reads from
}

// With gives the call with other metadata, for the app of that id.
func (c *Call) With(appID string, md metadata.MD) *Call {
	to := *c
	to.AppID, to.Header = appID, md
	return &to
}

// Bound gives the call with a limit for the bytes of each of its messages, that of an
// app's sidecar; 0: none. The smallest limit holds.
func (c *Call) Bound(bytes int64, appID string) *Call {
	if bytes <= 0 || c.limit != nil && c.limit.Limit <= bytes {
		return c
	}
	to := *c
	to.limit = &limitError{&stream.BodyLimitError{AppID: appID, Limit: bytes}}
	return &to
}

// limitError is a stream.BodyLimitError as gRPC says it.
type limitError struct{ *stream.BodyLimitError }

// GRPCStatus gives the status with which a call ends.
func (e *limitError) GRPCStatus() *status.Status {
	return status.New(codes.ResourceExhausted, e.Error())
}

// Unwrap gives what it is outside of gRPC.
func (e *limitError) Unwrap() error { return e.BodyLimitError }

// Handler passes a call on and returns when it is over: nil when it ended well,
// otherwise an error that says how it ended. Call.Again says whether the call may
// go elsewhere then.
type Handler interface {
	Pass(ctx context.Context, c *Call) error
}

// Target gives the app that the metadata of a call names, "" when none.
func Target(ctx context.Context) string {
	for _, key := range [...]string{KeyCallee, KeyAppID} {
		if v := metadata.ValueFromIncomingContext(ctx, key); len(v) > 0 && v[0] != "" {
			return v[0]
		}
	}
	return ""
}

// subtype gives what follows "application/grpc+" in a content type.
func subtype(md metadata.MD) string {
	v := md["content-type"]
	if len(v) == 0 {
		return ""
	}
	sub, ok := strings.CutPrefix(v[0], "application/grpc")
	if !ok || sub == "" || (sub[0] != '+' && sub[0] != ';') {
		return ""
	}
	return sub[1:]
}
