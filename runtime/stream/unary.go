package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"mesh/runtime/flow"
)

// maxUnary is the longest body of a unary call: what is left of a message when
// its head is taken off.
const maxUnary = maxMessage - 4<<20

// MaxGrow is the most memory, in bytes, that is set aside for a body because of
// what it says of its length: the rest is, when it comes.
const MaxGrow = 1 << 20

// TooLargeError says that a body does not fit into one message.
type TooLargeError struct {
	What string // "request" or "reply"
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the %s body is larger than the %d bytes that a unary call can carry in one message: use a transport that streams", e.What, maxUnary)
}

// unaryOut is a message with a whole body; it ends with data.
type unaryOut struct{ front, data []byte }

// unaryMessage puts a body behind a head. The message in which it lies occurs
// twice then, and protobuf merges the two.
func unaryMessage(head []byte, message, data protowire.Number, body []byte) *unaryOut {
	n := len(body)
	b := appendLen(head[headRoom:], message, sizeOf(sizeOf(n)))
	b = appendLen(b, data, sizeOf(n))
	return &unaryOut{front: appendLen(b, anyValue, n), data: body}
}

// unaryIn is the encoding of a message with a whole body.
type unaryIn []byte

// whole reads a body to its end; length is what it said of itself, -1: nothing.
func whole(what string, body io.Reader, length int64) ([]byte, error) {
	if length > maxUnary {
		return nil, &TooLargeError{What: what}
	}
	var buf bytes.Buffer
	if length > 0 {
		buf.Grow(int(min(length, MaxGrow)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(body, maxUnary+1))
	if err != nil {
		return nil, fmt.Errorf("reading the %s body: %w", what, err)
	}
	if n > maxUnary {
		return nil, &TooLargeError{What: what}
	}
	return buf.Bytes(), nil
}

// callUnary calls the peer with the whole body, which may be nil.
func (o *Outbound) callUnary(ctx context.Context, c *Call, body io.Reader) (*Reply, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// The call is opened before its body is read, so that a peer that cannot be
	// reached costs nothing and another can be tried.
	s, err := o.conn.NewStream(ctx, &grpc.StreamDesc{}, methodUnary)
	if err != nil {
		return nil, o.notConnected(ctx, err)
	}
	head, message := requestHead(c), []byte(nil)
	if body != nil {
		data, err := whole("request", body, c.Length)
		if err != nil {
			return nil, err
		}
		if c.Trailer != nil {
			if h := c.Trailer(); len(h) > 0 {
				head = append(head, requestTrailer(h)[headRoom:]...)
			}
		}
		message = data
		c.Flow.Mark(flow.Request, flow.CallerOut, len(data))
		c.Flow.Finish(flow.Request, flow.CallerOut)
	}
	var in unaryIn
	err = s.SendMsg(unaryMessage(head, reqMessage, msgData, message))
	if err == nil || errors.Is(err, io.EOF) { // the reply says why
		err = s.RecvMsg(&in)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, o.reasoned(err)
	}
	var res response
	if err := res.decode(in, ""); err != nil {
		return nil, fmt.Errorf("decoding a reply: %w", err)
	}
	res.tell(c)
	r, data, err := res.reply()
	if err != nil {
		return nil, err
	}
	if data == nil {
		data = res.data
	}
	if hasBody(c.Verb, r.Status) {
		r.Length = int64(len(data))
	}
	c.Flow.Pass(flow.Reply, flow.CallerIn, data)
	c.Flow.Finish(flow.Reply, flow.CallerIn)
	if trailer := res.trailer(); len(trailer) > 0 { // which HTTP/1 has only where no length is announced
		r.Trailer, r.Length = func() http.Header { return trailer }, -1
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	return r, nil
}

// unary serves CallLocal.
func (in *Inbound) unary(ctx context.Context, m unaryIn) (res *unaryOut, err error) {
	var req request
	if err := req.decode(m, ""); err != nil {
		return nil, badHead(err)
	}
	c, err := req.call()
	if err != nil {
		return nil, badHead(err)
	}
	data := req.data
	c.AppID, c.Length = in.appID, int64(len(data))
	if len(data) > 0 {
		c.Body = bytes.NewReader(data)
	}
	if trailer, err := req.trailers(); err != nil {
		return nil, badHead(err)
	} else if len(trailer) > 0 {
		c.Trailer, c.Length = func() http.Header { return trailer }, -1
	}
	var hints []byte // the caller gets them with the reply, as there is nothing before
	if req.informs {
		c.Inform = func(status int, h http.Header) { hints = appendInform(hints, status, h) }
	}
	c.Upgrade = ""
	began := in.join(c, req.flow)
	if began {
		defer func() { c.Flow.End(err) }()
	}
	defer in.contain(&err)
	c.Flow.Pass(flow.Request, flow.CalleeIn, data)
	c.Flow.Finish(flow.Request, flow.CalleeIn)
	r, err := in.handler.Handle(ctx, c)
	if err != nil {
		return nil, rejected(err)
	}
	if began {
		c.Flow.Replied(r.Status)
	}
	c.Flow.Headers(flow.Reply, r.Header, "")
	defer func() { err = errors.Join(err, r.Body.Close()) }()
	from, length := wireBody(r)
	body, err := whole("reply", from, length)
	if err != nil {
		return nil, rejected(err)
	}
	if hasBody(c.Verb, r.Status) {
		r.Length = int64(len(body))
	}
	head := replyHead(r)
	if r.Trailer != nil {
		head = appendHeaders(head, resTrailers, r.Trailer())
	}
	head = append(head, hints...)
	c.Flow.Mark(flow.Reply, flow.CalleeOut, len(body))
	c.Flow.Finish(flow.Reply, flow.CalleeOut)
	return unaryMessage(head, resMessage, resData, body), nil
}
