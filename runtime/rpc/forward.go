package rpc

import (
	"context"
	"errors"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// Far says what a connection leads to.
type Far uint8

// What a connection leads to.
const (
	ToApp  Far = iota // the app's own server
	ToPeer            // the sidecar of the app
)

// Conn opens calls. Its messages are encoded by stream.Codec.
type Conn interface {
	NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error)
	Addr() string // host:port of the other side
}

// Forward passes a call on over a connection and returns when it is over. As
// long as NewStream fails, nothing is taken of the call, and its error is given
// as it is. When the connection breaks before anything has passed, in either
// direction, that is a *stream.UnreachableError, too; when a peer says that its
// app could not be reached, it is a *stream.NotDeliveredError.
func Forward(ctx context.Context, c *Call, conn Conn, far Far) error {
	md := c.Header
	if far == ToPeer && c.Flow != nil {
		md = md.Copy()
		md.Set(keyFlow, c.Flow.ID().String())
	}
	out, stop := context.WithCancelCause(metadata.NewOutgoingContext(ctx, md))
	defer stop(context.Canceled)
	var opts []grpc.CallOption
	if c.subtype != "" {
		opts = append(opts, grpc.CallContentSubtype(c.subtype))
	}
	to, err := conn.NewStream(out, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, c.Method, opts...)
	if err != nil {
		return err
	}
	p := &passage{call: c, to: to, stop: stop, nearIn: flow.CallerIn, nearOut: flow.CallerOut, farIn: flow.CalleeIn, farOut: flow.CalleeOut}
	if c.callee {
		p.nearIn, p.nearOut = flow.CalleeIn, flow.CalleeOut
	}
	if far == ToPeer {
		p.farIn, p.farOut = flow.CallerIn, flow.CallerOut
	}
	c.requests.begin(p)
	began, err := p.reply()
	cause := context.Cause(out)
	explained := err != nil && cause != nil && ctx.Err() == nil
	if err != nil && !began && !explained {
		if missed := p.missed(conn.Addr(), far, err); missed != nil {
			return missed
		}
	}
	if p.over {
		c.from.SetTrailer(forward(to.Trailer()))
	}
	if explained {
		return cause // what ended the request explains more than how the reply ended
	}
	return err
}

// passage is one call on its way over a connection.
type passage struct {
	call *Call
	to   grpc.ClientStream
	stop context.CancelCauseFunc // ends it
	over bool                    // the other side has ended it: there may be trailers

	nearIn, nearOut flow.Hop // where requests come from and replies go to
	farIn, farOut   flow.Hop // where replies come from and requests go to
}

// missed gives the error that says that the app got nothing of a call which
// ended with err before anything came back; nil when it may have.
func (p *passage) missed(addr string, far Far, err error) error {
	if far == ToPeer {
		if not, ok := errors.AsType[*stream.NotDeliveredError](stream.Reasoned(addr, err)); ok {
			return not
		}
	}
	// A server that ends a call says so with trailers, a connection that breaks does not.
	if status.Code(err) != codes.Unavailable || len(p.to.Trailer()) > 0 || p.call.requests.given() {
		return nil
	}
	return &stream.UnreachableError{Addr: addr, Err: errors.New(status.Convert(err).Message())}
}

// prefix is what gRPC puts in front of every message. The record of a call
// counts it, so that empty messages show.
const prefix = 5

// received marks a message that has come, and shows its bytes to whoever wants
// them, with the prefix that it had on the wire. Whether it was compressed
// there is not known any more; it no longer is.
func received(f *flow.Flow, d flow.Dir, h flow.Hop, m *stream.Message) {
	if !f.Capturing() {
		f.Mark(d, h, m.Len()+prefix)
		return
	}
	n := m.Len()
	head := []byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	f.PassParts(d, h, append([][]byte{head}, m.Parts()...)...)
}

// reply passes headers and messages back, and gives the status with which the
// call ended; began says whether anything was passed.
func (p *passage) reply() (began bool, _ error) {
	f, from := p.call.Flow, p.call.from
	// Without headers the end follows, which RecvMsg gives.
	if md, err := p.to.Header(); err == nil && md != nil {
		began = true
		p.call.requests.settled.Store(true)
		if p.call.began {
			f.Replied(http.StatusOK)
		}
		f.Headers(flow.Reply, http.Header(md), "")
		if err := from.SendHeader(forward(md)); err != nil {
			return began, err
		}
	}
	for {
		var m stream.Message
		if err := p.to.RecvMsg(&m); err != nil {
			p.over = true
			if errors.Is(err, io.EOF) {
				f.Finish(flow.Reply, p.farIn)
				f.Finish(flow.Reply, p.nearOut)
				err = nil
			}
			return began, err
		}
		n := m.Len() + prefix
		received(f, flow.Reply, p.farIn, &m)
		f.Blocked(flow.Reply, p.nearOut)
		if err := from.SendMsg(&m); err != nil {
			m.Release()
			return began, err
		}
		f.Mark(flow.Reply, p.nearOut, n)
	}
}
