package rpc

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/stream"
)

// Wrapper puts something around the path of a call that works on streams of
// bytes, such as policies and faults.
type Wrapper interface {
	// Concerns says whether calls of an app need it at all.
	Concerns(appID string) bool
	Wrap(next stream.Handler) stream.Handler
}

// Around puts a Wrapper before next. For the calls that it concerns, messages
// become what they are in HTTP/2, frames with a length in front, so that one
// implementation of a policy serves both kinds of calls. Other calls pass by.
func Around(w Wrapper, next Handler) Handler { return &around{w: w, next: next} }

type around struct {
	w    Wrapper
	next Handler
}

// Pass implements Handler.
func (a *around) Pass(ctx context.Context, c *Call) error {
	if !a.w.Concerns(c.AppID) {
		return a.next.Pass(ctx, c)
	}
	requests := receive(ctx, c)
	var last *exchange // what the last reply came from
	h := a.w.Wrap(stream.HandlerFunc(func(ctx context.Context, sc *stream.Call) (*stream.Reply, error) {
		last = begin(ctx, c, sc.Body, a.next)
		return last.reply(requests)
	}))
	reply, err := h.Handle(ctx, &stream.Call{
		AppID: c.AppID, Verb: "POST", Path: strings.TrimPrefix(c.Method, "/"),
		Header: ToHTTP(c.Header), Body: requests, Length: -1, Flow: c.Flow,
	})
	if err != nil {
		return failure(err)
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.GRPC == nil { // a fault has answered in place of the app
		text, _ := io.ReadAll(io.LimitReader(reply.Body, maxRefusal))
		return status.Error(stream.GRPCCode(reply.Status), string(text))
	}
	return last.answer(c.from, reply)
}

// maxRefusal is how much of a reply that is none of gRPC a client is told.
const maxRefusal = 1 << 10

// failure gives the error of a call that a policy has ended.
func failure(err error) error {
	var over interface{ Timeout() bool }
	if errors.As(err, &over) && over.Timeout() {
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return err
}
