package appchan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"mesh/runtime/flow"
	"mesh/runtime/rpc"
	"mesh/runtime/stream"
)

// maxInvoke is the largest body of a call to an app that speaks gRPC: it is one
// message, which the app and we hold whole.
const maxInvoke = 64 << 20

var errInvokeTooLarge = fmt.Errorf(
	"the body is larger than %d bytes (the limit of a call to an app that speaks gRPC, which gets it as one message): call a gRPC service of the app instead", maxInvoke)

// invoke sends the call to the app as AppCallback.OnInvoke. Whatever status the
// app ends it with is its reply.
func (a *App) invoke(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	r, err := a.onInvoke(ctx, c)
	if err != nil {
		if _, ok := errors.AsType[*stream.UnreachableError](err); ok {
			return nil, err
		}
		return nil, fmt.Errorf("calling %s: %w", a.o.Addr, err)
	}
	a.leave() // the app is done with it
	return r, nil
}

func (a *App) onInvoke(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	ctx, stop := context.WithCancel(a.outgoing(ctx, c))
	defer stop()
	conn, release, err := a.rpc.use()
	if err != nil {
		return nil, err
	}
	defer release()
	// Opened before the body is read, so that another instance can be tried.
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{}, runtimev1.AppCallback_OnInvoke_FullMethodName)
	if err != nil {
		return nil, err
	}
	data, err := wholeBody(c)
	if err != nil {
		return nil, err
	}
	c.Flow.Blocked(flow.Request, flow.CalleeOut)
	var res commonv1.InvokeResponse
	if err = s.SendMsg(invokeRequest(c, data)); err == nil || errors.Is(err, io.EOF) { // the reply says why
		c.Flow.Mark(flow.Request, flow.CalleeOut, len(data))
		c.Flow.Finish(flow.Request, flow.CalleeOut)
		err = s.RecvMsg(&res)
	}
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return invokeReply(c, s, &res, err)
}

// wholeBody reads the body of a call to its end.
func wholeBody(c *stream.Call) ([]byte, error) {
	if c.Body == nil {
		return nil, nil
	}
	if c.Length > maxInvoke {
		return nil, errInvokeTooLarge
	}
	var buf bytes.Buffer
	if c.Length > 0 {
		buf.Grow(int(min(c.Length, stream.MaxGrow)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(c.Body, maxInvoke+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the request's body: %w", err)
	case n > maxInvoke:
		return nil, errInvokeTooLarge
	case c.Length >= 0 && n < c.Length:
		return nil, fmt.Errorf("reading the request's body: it ended %d bytes early: %w", c.Length-n, io.ErrUnexpectedEOF)
	}
	return buf.Bytes(), nil
}

// invokeRequest gives the message that stands for a call.
func invokeRequest(c *stream.Call, data []byte) *commonv1.InvokeRequest {
	verb, ok := commonv1.HTTPExtension_Verb_value[c.Verb]
	if !ok {
		verb = int32(commonv1.HTTPExtension_POST)
	}
	return &commonv1.InvokeRequest{
		Method:        c.Path,
		Data:          &anypb.Any{Value: data, TypeUrl: c.Type},
		ContentType:   c.Header.Get("Content-Type"),
		HttpExtension: &commonv1.HTTPExtension{Verb: commonv1.HTTPExtension_Verb(verb), Querystring: c.Query},
	}
}

// invokeReply gives the reply that stands for what the app answered.
func invokeReply(c *stream.Call, s grpc.ClientStream, res *commonv1.InvokeResponse, err error) (*stream.Reply, error) {
	st := status.Convert(err)
	md, _ := s.Header() // its error is err
	r := &stream.Reply{GRPC: st, Status: stream.HTTPStatus(st.Code()), Header: rpc.ToHTTP(md), Type: res.GetData().GetTypeUrl()}
	data, contentType := res.GetData().GetValue(), res.GetContentType()
	if r.Type != "" {
		contentType = "application/x-protobuf"
	}
	c.Flow.Pass(flow.Reply, flow.CalleeIn, data)
	c.Flow.Finish(flow.Reply, flow.CalleeIn)
	if err != nil {
		if data, err = stream.Failure(st); err != nil {
			return nil, err
		}
		contentType = "application/json"
	}
	if contentType != "" {
		r.Header["Content-Type"] = []string{contentType}
	}
	r.Body, r.Length = &whole{*bytes.NewReader(data)}, int64(len(data))
	if t := rpc.ToHTTP(s.Trailer()); len(t) > 0 {
		r.Trailer, r.Length = func() http.Header { return t }, -1 // HTTP/1 has trailers only where no length is announced
	}
	c.Flow.Replied(r.Status)
	return r, nil
}

// whole is a body that is there.
type whole struct{ bytes.Reader }

func (*whole) Close() error { return nil }
