package rpc

import (
	"context"
	"errors"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

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
}

// Forward passes a call on over a connection and returns when it is over. As
// long as NewStream fails, nothing is taken of the call, and its error is given
// as it is.
func Forward(ctx context.Context, c *Call, conn Conn, far Far) error {
	md := c.Header
	if far == ToPeer && c.Flow != nil {
		md = md.Copy()
		md.Set(stream.FlowKey, c.Flow.ID().String())
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
	p := &passage{call: c, to: to, nearIn: flow.CallerIn, nearOut: flow.CallerOut, farIn: flow.CalleeIn, farOut: flow.CalleeOut}
	if c.callee {
		p.nearIn, p.nearOut = flow.CalleeIn, flow.CalleeOut
	}
	if far == ToPeer {
		p.farIn, p.farOut = flow.CallerIn, flow.CallerOut
	}
	// It waits for the client until the client's stream ends, which is when the
	// server's handler has returned: too late for us to wait for it.
	c.sending.Go(func() {
		if err := p.request(); err != nil {
			stop(err)
		}
	})
	err = p.reply()
	if cause := context.Cause(out); err != nil && cause != nil && ctx.Err() == nil {
		return cause // what ended the request explains more than how the reply ended
	}
	return err
}

// passage is one call on its way over a connection.
type passage struct {
	call *Call
	to   grpc.ClientStream

	nearIn, nearOut flow.Hop // where requests come from and replies go to
	farIn, farOut   flow.Hop // where replies come from and requests go to
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

// request passes the client's messages on. An error is one that ends the call.
func (p *passage) request() error {
	f := p.call.Flow
	for {
		var m stream.Message
		if err := p.call.from.RecvMsg(&m); err != nil {
			if errors.Is(err, io.EOF) {
				f.Finish(flow.Request, p.nearIn)
				err = p.to.CloseSend()
				f.Finish(flow.Request, p.farOut)
			}
			return err
		}
		n := m.Len() + prefix
		received(f, flow.Request, p.nearIn, &m)
		f.Blocked(flow.Request, p.farOut)
		if err := p.to.SendMsg(&m); err != nil {
			m.Release()
			if errors.Is(err, io.EOF) {
				err = nil // the call is over, and the reply says how
			}
			return err
		}
		f.Mark(flow.Request, p.farOut, n)
	}
}

// reply passes headers, messages and trailers back and gives the status.
func (p *passage) reply() error {
	f, from := p.call.Flow, p.call.from
	// Without headers the end follows, which RecvMsg gives.
	if md, err := p.to.Header(); err == nil && md != nil {
		if p.call.began {
			f.Replied(http.StatusOK)
		}
		f.Headers(flow.Reply, http.Header(md), "")
		if err := from.SendHeader(forward(md)); err != nil {
			return err
		}
	}
	for {
		var m stream.Message
		if err := p.to.RecvMsg(&m); err != nil {
			from.SetTrailer(forward(p.to.Trailer()))
			if errors.Is(err, io.EOF) {
				f.Finish(flow.Reply, p.farIn)
				f.Finish(flow.Reply, p.nearOut)
				return nil
			}
			return err
		}
		n := m.Len() + prefix
		received(f, flow.Reply, p.farIn, &m)
		f.Blocked(flow.Reply, p.nearOut)
		if err := from.SendMsg(&m); err != nil {
			m.Release()
			return err
		}
		f.Mark(flow.Reply, p.nearOut, n)
	}
}
