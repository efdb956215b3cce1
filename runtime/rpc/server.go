package rpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // callers may compress what they send
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// Options are what a Server needs. To and AppID are needed.
type Options struct {
	To    Handler        // where calls go
	AppID string         // the app of this sidecar
	Flows *flow.Recorder // nil: nothing is recorded

	Sampler *stream.Sampler // of traces that begin here; nil: all are recorded

	Limits *stream.Limits // of messages; nil: there are none

	// Callee is for the port on which other sidecars call: their calls must be
	// for AppID. Otherwise the callers are clients, and may call any app.
	Callee bool

	// Panicked is told of a panic in a call, which ends that call only; may be nil.
	Panicked func(v any, stack []byte)
}

// Server takes calls off a grpc.Server that speaks stream.Codec.
type Server struct {
	o       Options
	sending sync.WaitGroup
}

// NewServer gives a Server; see Serve.
func NewServer(o Options) *Server { return &Server{o: o} }

// Wait returns when nobody reads from a client any more. Stop the grpc.Server first.
func (s *Server) Wait() { s.sending.Wait() }

// Serve is the grpc.StreamHandler for grpc.UnknownServiceHandler.
func (s *Server) Serve(_ any, from grpc.ServerStream) (err error) {
	defer s.contain(&err)
	ctx := from.Context()
	method, ok := grpc.MethodFromServerStream(from)
	if !ok {
		return status.Error(codes.Internal, "the call has no method")
	}
	id := Target(ctx)
	switch {
	case id == "":
		return status.Errorf(codes.Unimplemented,
			"the sidecar has no %s: to call an app, send its id as the metadata %s", method, KeyAppID)
	case s.o.Callee && id != s.o.AppID:
		return status.Errorf(codes.Unavailable, "app %s does not live here: this is the sidecar of %s", id, s.o.AppID)
	}
	md, _ := metadata.FromIncomingContext(ctx)
	in := &struct { // in one piece of memory
		call     Call
		requests requests
	}{requests: requests{from: from}}
	in.call = Call{AppID: id, Method: method, from: from, requests: &in.requests, subtype: subtype(md), sending: &s.sending}
	c := &in.call
	defer c.requests.close()
	s.open(c, md)
	c.Flow.Headers(flow.Request, http.Header(c.Header), "")
	if c.began {
		defer func() { end(c.Flow, err) }()
	}
	return s.status(ctx, s.o.To.Pass(ctx, c.Bound(s.o.Limits.Body(), s.o.AppID)))
}

// contain turns a panic into the error of its call.
func (s *Server) contain(err *error) {
	v := recover()
	if v == nil {
		return
	}
	if s.o.Panicked != nil {
		s.o.Panicked(v, debug.Stack())
	}
	*err = status.Errorf(codes.Internal, "panic while passing the call on: %v", v)
}

// open gives the call its metadata and its flow. Who began it ends it.
func (s *Server) open(c *Call, md metadata.MD) {
	head := flow.Head{Caller: s.o.AppID, Callee: c.AppID, Verb: "POST", Path: c.Method, Kind: "grpc"}
	if !s.o.Callee {
		c.Flow, c.began = s.o.Flows.Begin(head), true
		c.Header = forward(md, KeyCaller, KeyCallee, "dapr-caller-namespace")
		s.trace(c.Header)
		return
	}
	c.callee, c.Header = true, forward(md)
	head.Caller = ""
	if v := md[KeyCaller]; len(v) > 0 {
		head.Caller = v[0]
	}
	var id flow.ID
	if v := md[keyFlow]; len(v) > 0 {
		id, _ = flow.ParseID(v[0]) // what is no id gets a new one
	}
	c.Flow, c.began = s.o.Flows.Join(id, head)
}

// trace gives a call the trace context in both of its forms, and begins one when
// neither is valid.
func (s *Server) trace(md metadata.MD) {
	var parent, binary string
	if v := md[KeyParent]; len(v) == 1 && stream.ValidTraceParent(v[0]) {
		parent = v[0]
	}
	if v := md[KeyTrace]; len(v) == 1 {
		binary = stream.TraceFromBinary(v[0])
	}
	switch {
	case parent != "" && binary != "":
		return
	case parent == "" && binary == "":
		parent = s.o.Sampler.NewTraceParent()
		delete(md, "tracestate") // of a trace that nobody knows
	case parent == "":
		parent = binary
	}
	md[KeyParent], md[KeyTrace] = []string{parent}, []string{stream.TraceBinary(parent)}
}

// status gives the error that a client is told.
func (s *Server) status(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		if _, ok := status.FromError(err); !ok {
			return status.FromContextError(ctx.Err()).Err()
		}
		return err
	}
	if _, ok := errors.AsType[*stream.UnreachableError](err); !ok {
		if _, ok := status.FromError(err); ok {
			return err
		}
	}
	st := status.New(codes.Unavailable, err.Error())
	if s.o.Callee { // who calls may know somebody else
		st = stream.WithReason(st, err)
	}
	return st.Err()
}

// end ends the record of a call.
func end(f *flow.Flow, err error) {
	if err == nil {
		f.End(nil)
		return
	}
	st := status.Convert(err)
	f.Replied(stream.HTTPStatus(st.Code()))
	words := fmt.Errorf("%v: %s", st.Code(), st.Message())
	if stream.BrokenOff(st.Code()) {
		f.End(words)
		return
	}
	f.Answered(words)
}
