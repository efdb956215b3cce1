package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/flow"
	"mesh/runtime/h2"
)

// OutboundOptions say how to reach a peer.
type OutboundOptions struct {
	Addr  string // host:port of the peer's internal gRPC server
	Unary bool   // call with whole bodies, the way that is older than streams
	Ours  bool   // the peer is known to be one of ours, not a daprd

	// Dial makes connections; nil: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// Outbound is a Handler that calls one peer sidecar. It connects when it is
// first needed, again after a failure, and lets go of a connection that is idle.
type Outbound struct {
	addr    string
	unary   bool
	wire    *h2.Client       // for streams
	conn    *grpc.ClientConn // for all other calls; connects when there is one
	pool    bufferPool
	senders sync.WaitGroup

	calls      atomic.Int64 // under way; far below 0: retired
	closed     atomic.Bool
	gives      atomic.Bool  // the peer says when it wants a body
	streams    atomic.Bool  // the peer has answered to a stream
	unaryUntil atomic.Int64 // until when, in Unix nanoseconds, it is known not to
}

var _ Handler = (*Outbound)(nil)

// unaryFor is how long a peer that does not know streams is called without
// trying again whether it has learned them.
const unaryFor = time.Minute

// NewOutbound gives a Handler for a peer; nothing is dialled yet.
func NewOutbound(o OutboundOptions) (*Outbound, error) {
	if o.Dial == nil {
		o.Dial = dial
	}
	opts := append(dialOptions(), grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		nc, err := o.Dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		return Wire(nc, nil), nil
	}))
	conn, err := grpc.NewClient("passthrough:///"+o.Addr, opts...)
	if err != nil {
		return nil, fmt.Errorf("preparing calls to %s: %w", o.Addr, err)
	}
	out := &Outbound{addr: o.Addr, unary: o.Unary, conn: conn}
	out.wire = h2.NewClient(h2.ClientOptions{Addr: o.Addr, Method: methodStream, Dial: o.Dial, Pool: &out.pool, MaxHeader: maxHeader})
	out.gives.Store(o.Ours)
	return out, nil
}

// Close breaks off the calls under way and waits until no request body is
// being read any more.
func (o *Outbound) Close() error {
	o.closed.Store(true)
	o.wire.Close()
	err := o.conn.Close()
	o.senders.Wait()
	return err
}

// Retire closes the Outbound unless calls are under way, and says whether it
// did. Later calls fail with an *UnreachableError that is ErrRetired.
func (o *Outbound) Retire() (bool, error) {
	if !o.calls.CompareAndSwap(0, retired) {
		return false, nil
	}
	return true, o.Close()
}

// ErrRetired is why a call was not made by an Outbound that is closed.
var ErrRetired = errors.New("the connection has been given up")

const retired = -1 << 62

// InFlight gives how many calls are under way.
func (o *Outbound) InFlight() int64 { return max(0, o.calls.Load()) }

// Handle calls the peer. Only an *UnreachableError promises that the body has
// not been read.
func (o *Outbound) Handle(ctx context.Context, c *Call) (*Reply, error) {
	if o.calls.Add(1) < 0 {
		o.calls.Add(-1)
		return nil, &UnreachableError{Addr: o.addr, Err: ErrRetired}
	}
	r, err := o.handle(ctx, c)
	if err == nil {
		if x, ok := r.Body.(*exchange); ok { // its end is that of the call
			x.over.Store(false)
			return r, nil
		}
	}
	o.calls.Add(-1)
	return r, err
}

// NewStream opens a call of any service at the peer, to pass it on with
// messages of type *Message. Its context must end, because that is what ends
// the call. It fails as Handle does.
func (o *Outbound) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if o.calls.Add(1) < 0 {
		o.calls.Add(-1)
		return nil, &UnreachableError{Addr: o.addr, Err: ErrRetired}
	}
	s, err := o.conn.NewStream(ctx, desc, method, opts...)
	if err != nil {
		o.calls.Add(-1)
		return nil, o.notConnected(ctx, err)
	}
	context.AfterFunc(ctx, func() { o.calls.Add(-1) })
	return s, nil
}

func (o *Outbound) handle(ctx context.Context, c *Call) (*Reply, error) {
	if c.Upgrade != "" {
		return o.upgrade(ctx, c)
	}
	if o.unary {
		return o.callUnary(ctx, c, c.Body)
	}
	if time.Now().UnixNano() < o.unaryUntil.Load() {
		if c.Body != nil && c.Length < 0 {
			return nil, errNoStreams(c)
		}
		return o.callUnary(ctx, c, c.Body)
	}
	body, kept := c.Body, (*replay)(nil)
	if body != nil && c.Length >= 0 && !o.streams.Load() {
		kept = &replay{body: body}
		body = kept
	}
	x, err := o.open(ctx, c, body)
	if err != nil {
		return nil, err
	}
	r, err := x.head(c)
	if err == nil {
		o.streams.Store(true)
		return r, nil
	}
	if status.Code(err) != codes.Unimplemented {
		return nil, err
	}
	o.streams.Store(false)
	o.unaryUntil.Store(time.Now().Add(unaryFor).UnixNano())
	if c.Body == nil {
		return o.callUnary(ctx, c, nil)
	}
	if kept == nil {
		return nil, errNoStreams(c)
	}
	<-x.sent // the rest of the body is needed anyway
	if body, err = kept.again(); err != nil {
		return nil, errNoStreams(c)
	}
	return o.callUnary(ctx, c, body)
}

// upgrade makes a call that may become a tunnel. That is a stream, whatever else
// the peer is called with.
func (o *Outbound) upgrade(ctx context.Context, c *Call) (*Reply, error) {
	x, err := o.open(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	r, err := x.head(c)
	switch {
	case status.Code(err) == codes.Unimplemented:
		return nil, ErrNoUpgrade
	case err != nil:
		return nil, err
	case r.Status == http.StatusSwitchingProtocols:
		r.Tunnel = &tunnel{to: x.ourFrames, pool: &o.pool, flow: c.Flow}
	default:
		_ = x.CloseSend() // an error shows in the reply
	}
	return r, nil
}

func errNoStreams(c *Call) error {
	return fmt.Errorf("target app '%s' is running a version of Dapr that does not support streaming-based service invocation", c.AppID)
}

// exchange is one call under way, and the body of its reply.
type exchange struct {
	bodyReader
	ourFrames
	out     *Outbound
	over    atomic.Bool   // not counted as under way by itself: not yet, or no longer
	sent    chan struct{} // closed when the request body is no longer read
	leave   leave         // to send it; nil: it is not waited for
	failure *bytes.Reader // stands in for the body; nil: no failure
}

// open begins a call and its sending.
func (o *Outbound) open(ctx context.Context, c *Call, body io.Reader) (*exchange, error) {
	// A request that is all there, and none that may become a tunnel, is one message, which
	// ends the stream.
	n := Ready(body)
	whole := body == nil && c.Upgrade == "" || n > 0 && n <= maxPayload && int64(n) == c.Length && c.Trailer == nil
	s, err := o.wire.Open(ctx)
	if err != nil {
		return nil, o.notOpened(ctx, err)
	}
	x := &exchange{out: o, ourFrames: ourFrames{s}, sent: make(chan struct{})}
	x.over.Store(true) // Handle counts it
	x.bodyReader = bodyReader{from: x.ourFrames, pool: &o.pool, flow: c.Flow, dir: flow.Reply, extra: lateReply, left: -1}
	head := requestHead(c)
	if body == nil {
		defer close(x.sent)
		f := outFrame{head: head}
		if whole {
			f.how = h2.Last
		}
		_ = x.send(&f) // an error shows in the reply
		return x, nil
	}
	p := &pump{to: x.ourFrames, pool: &o.pool, flow: c.Flow, dir: flow.Request, hop: flow.CallerOut, trailer: c.Trailer, late: requestTrailer}
	if !whole && o.gives.Load() && Expects(c) {
		x.leave = make(leave, 1)
	}
	send := func() {
		defer close(x.sent)
		defer func() { // a body is foreign code, and this goroutine is ours alone
			if v := recover(); v != nil {
				s.Abort(fmt.Errorf("reading the request body: panic: %v\n%s", v, debug.Stack()))
			}
		}()
		var err error
		if whole {
			err = p.once(head, body, n)
		} else if err = p.runWithLeave(ctx, x.leave, head, body, c.Length); err == nil {
			_ = s.CloseSend()
		}
		if err != nil && !errors.Is(err, errSend) && !errors.Is(err, errUnwanted) { // what could not be sent, the reply says why
			s.Abort(fmt.Errorf("reading the request body: %w", err))
		}
	}
	if whole {
		send()
	} else {
		o.senders.Go(send)
	}
	return x, nil
}

// notOpened gives the error of a call that could not even begin.
func (o *Outbound) notOpened(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if o.closed.Load() {
		err = ErrRetired
	}
	return &UnreachableError{Addr: o.addr, Err: err}
}

// notConnected is notOpened for calls that gRPC makes.
func (o *Outbound) notConnected(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if o.closed.Load() {
		err = ErrRetired
	} else if status.Code(err) != codes.Unavailable {
		return err
	}
	// Whoever is not there may be back at any moment: the next call tries again
	// and does not wait for a time that grows with each failure.
	o.conn.ResetConnectBackoff()
	return &UnreachableError{Addr: o.addr, Err: err}
}

// head waits for the first frame of the reply.
func (x *exchange) head(c *Call) (*Reply, error) {
	var res response
	for {
		if err := x.recv(&x.frame); err != nil {
			return nil, x.broken(err)
		}
		if !x.frame.hasHead {
			return nil, x.broken(errNoReplyHead)
		}
		res = response{}
		if err := res.decode(x.frame.head, string(x.frame.head)); err != nil {
			return nil, x.broken(fmt.Errorf("decoding the head of a reply: %w", err))
		}
		if len(res.informs) == 0 {
			break
		}
		if res.tell(c) {
			x.out.gives.Store(true)
			x.leave.give(true)
		}
	}
	r, failure, err := res.reply()
	if err != nil {
		return nil, x.broken(err)
	}
	// Who begins to answer may read meanwhile.
	x.leave.give(failure == nil && r.Status < http.StatusMultipleChoices && r.Length != 0 && hasBody(c.Verb, r.Status))
	if hasBody(c.Verb, r.Status) {
		x.left = r.Length
	}
	if failure != nil {
		x.failure = bytes.NewReader(failure)
	} else {
		x.took()
	}
	r.Body = x
	r.Trailer = func() http.Header { return x.trailer }
	return r, nil
}

// hasBody says whether a reply's Content-Length counts bytes that follow.
func hasBody(verb string, code int) bool {
	return verb != http.MethodHead && code != http.StatusNoContent && code != http.StatusNotModified && code >= 200
}

// broken ends the exchange without a reply.
func (x *exchange) broken(err error) error {
	err = x.out.reasoned(err)
	x.end(err)
	return err
}

func (x *exchange) end(why error) {
	x.ourFrames.Close(why)
	x.leave.give(false)
	if !x.over.Swap(true) {
		x.out.calls.Add(-1)
	}
}

// Read implements io.Reader.
func (x *exchange) Read(p []byte) (int, error) {
	if x.failure != nil {
		return x.failure.Read(p)
	}
	return x.bodyReader.Read(p)
}

// WriteTo implements io.WriterTo.
func (x *exchange) WriteTo(w io.Writer) (int64, error) {
	if x.failure != nil {
		return x.failure.WriteTo(w)
	}
	return x.bodyReader.WriteTo(w)
}

// Close ends the call and waits until its request body is no longer read.
func (x *exchange) Close() error {
	x.end(errClosed)
	x.frame.release()
	<-x.sent
	return nil
}
