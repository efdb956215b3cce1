package grpcapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"mesh/runtime/flow"
	"mesh/runtime/rpc"
	"mesh/runtime/stream"
)

// InvokeService calls an app with a whole body and gives the whole reply. What
// the app answers with an HTTP status outside 2xx becomes a gRPC error; the
// status itself is in the header dapr-http-status.
func (s *Server) InvokeService(ctx context.Context, req *runtimev1.InvokeServiceRequest) (_ *commonv1.InvokeResponse, err error) {
	c, err := invokeCall(ctx, req)
	if err != nil {
		return nil, err
	}
	if v := metadata.ValueFromIncomingContext(ctx, rpc.KeyTrace); len(v) > 0 {
		if parent := stream.TraceFromBinary(v[0]); parent != "" { // it counts more than traceparent
			c.Header["Traceparent"] = []string{parent}
		}
	}
	c.BeginTrace(s.o.Sampler)
	f := s.o.Recorder.Begin(flow.Head{
		Caller: s.o.API.AppID(), Callee: c.AppID, Verb: c.Verb, Path: "/" + c.Path, Kind: "grpc",
	})
	c.Flow = f
	defer func() { f.End(err) }()
	f.Headers(flow.Request, c.Header, c.Query)
	f.Pass(flow.Request, flow.CallerIn, req.GetMessage().GetData().GetValue())
	f.Finish(flow.Request, flow.CallerIn)

	reply, err := s.o.API.Invoke(ctx, c)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	data, err := s.readReply(reply, c.Verb)
	if err != nil {
		return nil, err
	}
	if err := grpc.SetHeader(ctx, replyMetadata(reply)); err != nil {
		return nil, fmt.Errorf("setting the headers of the reply: %w", err)
	}
	f.Headers(flow.Reply, reply.Header, "")
	f.Mark(flow.Reply, flow.CallerOut, len(data))
	f.Finish(flow.Reply, flow.CallerOut)
	if reply.GRPC != nil && reply.Trailer != nil {
		if err := grpc.SetTrailer(ctx, rpc.FromHTTP(reply.Trailer())); err != nil {
			return nil, fmt.Errorf("setting the trailers of the reply: %w", err)
		}
	}
	switch {
	case reply.GRPC.Code() != codes.OK:
		err = reply.GRPC.Err()
	case reply.Status < 200 || reply.Status > 299:
		err = replyError(reply.Status, data)
	}
	if err != nil {
		f.Answered(err)
		return nil, err
	}
	return &commonv1.InvokeResponse{
		Data:        &anypb.Any{Value: data, TypeUrl: reply.Type},
		ContentType: reply.Header.Get("Content-Type"),
	}, nil
}

// invokeCall makes the call that the request asks for.
func invokeCall(ctx context.Context, req *runtimev1.InvokeServiceRequest) (*stream.Call, error) {
	msg := req.GetMessage()
	ext := msg.GetHttpExtension()
	switch {
	case req.GetId() == "":
		return nil, status.Error(codes.InvalidArgument, "the request names no app: set id")
	case msg == nil:
		return nil, status.Error(codes.InvalidArgument, "the request has no message")
	case ext == nil:
		return nil, status.Error(codes.InvalidArgument, "missing HTTP extension field")
	}
	switch ext.GetVerb() {
	case commonv1.HTTPExtension_NONE, commonv1.HTTPExtension_CONNECT:
		return nil, status.Errorf(codes.InvalidArgument, "invalid HTTP verb %v", ext.GetVerb())
	case commonv1.HTTPExtension_GET, commonv1.HTTPExtension_HEAD, commonv1.HTTPExtension_POST, commonv1.HTTPExtension_PUT,
		commonv1.HTTPExtension_DELETE, commonv1.HTTPExtension_OPTIONS, commonv1.HTTPExtension_TRACE, commonv1.HTTPExtension_PATCH:
	default:
		return nil, status.Errorf(codes.InvalidArgument, "invalid HTTP verb %d", ext.GetVerb())
	}
	path, err := stream.CleanPath(msg.GetMethod())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	md, _ := metadata.FromIncomingContext(ctx)
	c := &stream.Call{
		AppID: req.GetId(), Verb: ext.GetVerb().String(), Path: path, Query: ext.GetQuerystring(), Header: rpc.ToHTTP(md),
		Type: msg.GetData().GetTypeUrl(),
	}
	if c.Type != "" {
		c.Header["Content-Type"] = []string{"application/x-protobuf"}
	} else if ct := msg.GetContentType(); ct != "" {
		c.Header["Content-Type"] = []string{ct}
	}
	if data := msg.GetData().GetValue(); len(data) > 0 {
		c.Body, c.Length = bytes.NewReader(data), int64(len(data))
	}
	return c, nil
}

// readReply reads the whole body, which has to fit into one message.
func (s *Server) readReply(r *stream.Reply, verb string) ([]byte, error) {
	// The message has a few bytes besides the body.
	limit := int64(s.o.MaxMessage - 1<<10)
	tooLarge := func() error {
		return status.Errorf(codes.ResourceExhausted,
			"the reply is larger than %d bytes (the limit of a gRPC message): call the app over HTTP, which streams", limit)
	}
	if verb == http.MethodHead || r.Status == http.StatusNotModified {
		return nil, nil
	}
	if r.Length > limit {
		return nil, tooLarge()
	}
	var b bytes.Buffer
	if r.Length > 0 {
		b.Grow(int(min(r.Length, stream.MaxGrow)) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(r.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the reply: %w", err)
	case n > limit:
		return nil, tooLarge()
	}
	return b.Bytes(), nil
}

// replyMetadata gives the headers of a reply as metadata.
func replyMetadata(r *stream.Reply) metadata.MD {
	md := rpc.FromHTTP(r.Header)
	delete(md, "dapr-content-type") // the message says it
	if r.GRPC == nil {
		md["dapr-http-status"] = []string{strconv.Itoa(r.Status)}
	}
	return md
}
