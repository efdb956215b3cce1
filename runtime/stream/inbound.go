package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/flow"
	"mesh/runtime/h2"
)

// InboundOptions say whom an Inbound serves.
type InboundOptions struct {
	AppID    string         // the app behind the handler
	Instance string         // the instance of it, for the records
	Flows    *flow.Recorder // nil: nothing is recorded

	// Panicked is told of a panic in a call, which ends that call only; may be nil.
	Panicked func(v any, stack []byte)
}

// Inbound serves Dapr's internal gRPC service, ServiceInvocation, with a
// Handler. Register it with a server made with ServerOptions.
type Inbound struct {
	handler  Handler
	appID    string
	flows    *flow.Recorder
	panicked func(v any, stack []byte)
	here     *flow.Peer // this end, for calls from elsewhere
	pool     bufferPool
	closers  sync.WaitGroup
}

// NewInbound gives the far end of the wire in front of h.
func NewInbound(h Handler, o InboundOptions) *Inbound {
	here := &flow.Peer{Instance: o.Instance, Transport: string(GRPC)}
	return &Inbound{handler: h, appID: o.AppID, flows: o.Flows, panicked: o.Panicked, here: here}
}

// Register adds the service to a server made with ServerOptions.
func (in *Inbound) Register(s grpc.ServiceRegistrar) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "CallLocal",
			Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var req unaryIn
				if err := decode(&req); err != nil {
					return nil, err
				}
				return in.unary(ctx, req)
			},
		}},
		Streams: []grpc.StreamDesc{{
			StreamName:    "CallLocalStream",
			Handler:       func(_ any, s grpc.ServerStream) error { return in.stream(s.Context(), grpcFrames{s}) },
			ServerStreams: true,
			ClientStreams: true,
		}},
		Metadata: "dapr/proto/internals/v1/service_invocation.proto",
	}, in)
}

// Server gives the server of streams from our own sidecars.
func (in *Inbound) Server() *h2.Server {
	return h2.NewServer(h2.ServerOptions{
		Method: methodStream, Pool: &in.pool, MaxHeader: maxHeader,
		Serve: func(s *h2.Stream) error { return in.stream(s.Context(), ourFrames{s}) },
	})
}

// Wait returns when every call has let go of its app. Stop the server first.
func (in *Inbound) Wait() { in.closers.Wait() }

// stream serves CallLocalStream.
func (in *Inbound) stream(ctx context.Context, wire frames) (err error) {
	b := &bodyReader{from: wire, pool: &in.pool, dir: flow.Request, extra: lateRequest}
	c, id, err := in.head(b)
	if err != nil {
		return err
	}
	began := in.join(c, id)
	if began {
		defer func() { c.Flow.End(err) }()
	}
	defer in.contain(&err)
	b.flow = c.Flow
	if err := in.body(c, b); err != nil {
		return badHead(err)
	}
	var informs *informer
	if b.wanted != nil || c.Inform != nil {
		informs = &informer{to: wire}
	}
	if c.Inform != nil {
		c.Inform = informs.say
	}
	if b.wanted != nil {
		b.wanted = func() { informs.say(http.StatusContinue, nil) }
	}
	r, err := in.handler.Handle(ctx, c) // the context ends when this returns
	informs.end()
	if err != nil {
		return rejected(err)
	}
	if began {
		c.Flow.Replied(r.Status)
	}
	c.Flow.Headers(flow.Reply, r.Header, "")
	defer func() {
		if c.Body == nil || b.ended.Load() {
			_ = r.Body.Close()
			b.letGo(r)
			return
		}
		// Closing waits for whoever reads the request, and the peer may be
		// silent for long: the read ends when this handler has returned.
		in.closers.Go(func() {
			var late error // nobody is left to be told
			defer in.contain(&late)
			_ = r.Body.Close()
			b.letGo(r)
		})
	}()
	if r.Tunnel != nil {
		in.closers.Go(func() {
			var late error // nobody is left to be told
			defer in.contain(&late)
			passTunnel(r.Tunnel, b)
		})
	}
	p := &pump{to: wire, pool: &in.pool, flow: c.Flow, dir: flow.Reply, hop: flow.CalleeOut, trailer: r.Trailer, late: replyTrailer}
	body, length := wireBody(r)
	err = p.run(replyHead(r), body, length)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case errors.Is(err, errSend):
		return status.Error(codes.Unavailable, err.Error())
	}
	return rejected(fmt.Errorf("reading the reply: %w", err))
}

// head receives the first frame. The id is that of the flow that the call says
// it belongs to.
func (in *Inbound) head(b *bodyReader) (*Call, flow.ID, error) {
	if err := b.from.recv(&b.frame); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, 0, badHead(errHead)
		}
		return nil, 0, err
	}
	var req request
	if err := req.decode(b.frame.head, string(b.frame.head)); err != nil {
		return nil, 0, badHead(err)
	}
	c, err := req.call()
	if err != nil {
		return nil, 0, badHead(err)
	}
	c.AppID = in.appID
	if req.informs {
		c.Inform = func(int, http.Header) {} // how, is for whoever answers
	}
	if req.expects {
		b.wanted = func() {} // likewise
	}
	return c, req.flow, nil
}

// body gives c the body that b reads, or none.
func (in *Inbound) body(c *Call, b *bodyReader) error {
	if c.Upgrade != "" {
		b.left, c.Length = -1, 0 // what comes is for a tunnel, if there will be one
		b.took()
		return b.err
	}
	b.left = c.Length
	b.took()
	if b.left < 0 && !b.frame.payload && b.err == nil {
		switch c.Verb {
		case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, http.MethodTrace:
			// These have no body as a rule, and a Dapr peer does not say so in
			// the head but by ending the stream with it.
			b.receive()
		}
	}
	ended := errors.Is(b.err, io.EOF)
	switch {
	case b.err != nil && !ended:
		return b.err
	case c.Length == 0 || (c.Length < 0 && ended):
		c.Length = 0
		return nil
	}
	c.Body = b
	c.Trailer = func() http.Header { return b.trailer }
	return nil
}

// join gives the call the flow with that id, or a new one. Who began it ends it.
func (in *Inbound) join(c *Call, id flow.ID) (began bool) {
	c.Flow, began = in.flows.Join(id, flow.Head{Caller: c.Header.Get(HeaderCaller), Callee: in.appID, Verb: c.Verb, Path: "/" + c.Path, Kind: "http"})
	if began { // the caller's sidecar lives elsewhere, or is not watched
		c.Flow.Route(in.here)
	}
	c.Flow.Headers(flow.Request, c.Header, c.Query)
	return began
}

// contain turns a panic into the error of its call.
func (in *Inbound) contain(err *error) {
	v := recover()
	if v == nil {
		return
	}
	if in.panicked != nil {
		in.panicked(v, debug.Stack())
	}
	*err = status.Errorf(codes.Internal, "panic while serving the call: %v", v)
}

// badHead is the answer to a call that cannot be understood.
func badHead(err error) error {
	if errors.Is(err, errHead) {
		return status.Errorf(codes.InvalidArgument, "parsing InternalInvokeRequest error: %v", err)
	}
	return status.Errorf(codes.Internal, "error invoking app channel: %v", err)
}

// rejected is the answer when the app gave none, or broke its reply off.
func rejected(err error) error {
	code := codes.Internal
	_, tooLarge := errors.AsType[*BodyLimitError](err)
	switch c := status.Code(err); {
	case tooLarge:
		code = codes.ResourceExhausted
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case c == codes.PermissionDenied, c == codes.ResourceExhausted:
		code = c
	}
	return WithReason(status.Newf(code, "error invoking app channel: %v", err), err).Err()
}
