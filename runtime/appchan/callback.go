package appchan

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// Callback calls one of the methods that an app which speaks gRPC has for its
// sidecar: c.Path is the full name of the method, c.Header becomes metadata,
// and c.Body is not used. An error that the app gives is a gRPC status. A
// *stream.UnreachableError means that nothing was sent.
func (a *App) Callback(ctx context.Context, c *stream.Call, req, answer proto.Message) error {
	if a.o.Addr == "" {
		return a.unreachable(errNoPort)
	}
	if a.rpc == nil {
		return fmt.Errorf(`app %s does not speak gRPC: set protocol = "grpc" for it in mesh.toml`, c.AppID)
	}
	if err := a.enter(ctx, c.Flow); err != nil {
		return err
	}
	defer a.leave()
	if c.Own {
		a.own.Add(1)
		defer a.own.Add(-1)
	}
	ctx, stop := context.WithCancel(a.outgoing(ctx, c))
	defer stop()
	conn, release, err := a.rpc.use()
	if err != nil {
		return err
	}
	defer release()
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{}, c.Path)
	if err != nil {
		return err
	}
	c.Flow.Blocked(flow.Request, flow.CalleeOut)
	if err = s.SendMsg(req); err == nil || errors.Is(err, io.EOF) { // the answer says why
		c.Flow.Mark(flow.Request, flow.CalleeOut, proto.Size(req))
		err = s.RecvMsg(answer)
	}
	c.Flow.Replied(stream.HTTPStatus(status.Code(err)))
	if err != nil {
		return err
	}
	c.Flow.Mark(flow.Reply, flow.CalleeIn, proto.Size(answer))
	return nil
}
