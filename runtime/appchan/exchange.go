package appchan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"mesh/runtime/field"
	"mesh/runtime/flow"
	"mesh/runtime/socket"
	"mesh/runtime/stream"
)

const (
	// inlineMax is the largest request body that is written together with the
	// head, when all of it is there: small enough for any socket buffer.
	inlineMax = 32 << 10
	// lingerWait is how long the end of a reply waits for the last bytes of
	// its request before the connection is given up.
	lingerWait = 50 * time.Millisecond
)

// exchange is one call on one connection. It is the body of its reply, too.
// Apart from the sender and the watch on the context, one goroutine uses it.
type exchange struct {
	app       *App
	conn      *conn
	call      *stream.Call
	watched   watched // the context that tells of its end; nil: unwatched does, or nobody
	unwatched func() bool
	broken    atomic.Pointer[error] // why we closed the connection

	// The request, when a sender streams it.
	sent      chan struct{} // closed when the sender has ended; nil: there is none
	sendErr   error         // why it did not send all; read after sent
	finishing atomic.Bool   // the last bytes are being written
	proceed   chan bool     // whether to send the body, when the app is asked first

	// The reply.
	head     *head
	reply    stream.Reply
	wrote    bool  // something was sent
	answered bool  // something came back
	remain   int64 // bytes left of the body or of the current chunk
	chunk    chunkState
	trailer  http.Header
	done     bool  // the body's end was seen
	err      error // what broke it
	closed   bool
}

// exchange sends the call over an HTTP/1 connection.
func (a *App) exchange(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	buf := a.small.get()
	defer a.small.put(buf)
	b, err := a.appendHead((*buf)[:0], c)
	*buf = b
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", a.o.Addr, err)
	}
	attached, whole := atHand(c)
	for first, fresh := true, false; ; first = false {
		var cn *conn
		if !fresh {
			// What is whole is sent with a look at the connection, which is too late
			// for a body: it must not have been read when there is no other to be had.
			cn = a.pool.take(!whole || attached > 0)
		}
		if fresh = cn == nil; fresh {
			if cn, err = a.pool.dial(ctx); err != nil {
				return nil, err
			}
		}
		x := &exchange{app: a, conn: cn, call: c}
		x.watch(ctx)
		if first {
			b, err = attach(b, c, attached)
			if *buf = b; err != nil {
				return nil, fmt.Errorf("calling %s: %w", a.o.Addr, x.fail(err))
			}
		}
		if err = x.write(b, attached, whole && !fresh); err == nil {
			err = x.readHead()
		}
		if err == nil {
			return &x.reply, nil
		}
		gone := errors.Is(err, socket.ErrPending)
		err = x.fail(err)
		if gone {
			continue
		}
		if fresh || !x.again(err) {
			return nil, fmt.Errorf("calling %s: %w", a.o.Addr, err)
		}
		fresh = true
	}
}

// Abort closes the connection so that the app notices; the first reason stays.
func (x *exchange) Abort(why error) {
	x.broken.CompareAndSwap(nil, &why)
	x.conn.Close()
}

// fail ends an exchange that has no reply and gives the reason.
func (x *exchange) fail(err error) error {
	x.unwatch()
	x.Abort(err)
	x.conn.release()
	if x.proceed != nil {
		x.decide(false)
	}
	return *x.broken.Load()
}

// again says whether a call that failed on a connection that had been idle may
// be sent on a new one: the app must not have answered, all of the request must
// be at hand, and the app must not have worked on it, or not mind.
func (x *exchange) again(err error) bool {
	if x.answered || x.sent != nil {
		return false
	}
	switch x.call.Verb {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return errors.Is(err, errNoReply) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	}
	return !x.wrote // what was sent may have been worked on
}

// atHand gives how many bytes of a call's body can be sent together with the
// head, because they are there already and the length is known, and whether that
// is the whole request.
func atHand(c *stream.Call) (n int, whole bool) {
	if c.Body == nil {
		return 0, true
	}
	if c.Length > 0 && !stream.Expects(c) {
		n = int(min(int64(stream.Ready(c.Body)), c.Length, inlineMax))
	}
	return n, int64(n) == c.Length
}

// attach appends those n bytes of the body to the head.
func attach(b []byte, c *stream.Call, n int) ([]byte, error) {
	if n <= 0 {
		return b, nil
	}
	head := len(b)
	b = slices.Grow(b, n)[:head+n]
	if _, err := io.ReadFull(c.Body, b[head:]); err != nil {
		return b[:head], fmt.Errorf("reading the request's body: %w", unexpected(err))
	}
	return b, nil
}

// write sends the head with the first bytes of the body that are attached to it
// and leaves the rest of the body to a sender. With ask it may also have read the
// first of the reply when it returns.
func (x *exchange) write(b []byte, attached int, ask bool) (err error) {
	c := x.call
	if attached > 0 {
		c.Flow.Blocked(flow.Request, flow.CalleeOut)
	}
	n := 0
	if ask {
		if n, err = x.conn.ask(x, b); n == len(b) {
			return x.heard(err, 0)
		}
	}
	if err == nil {
		var rest int
		rest, err = x.conn.Write(b[n:])
		n += rest
	}
	x.wrote = n > 0
	switch {
	case err != nil:
		return fmt.Errorf("sending the request: %w", err)
	case c.Body == nil || int64(attached) == c.Length:
		x.wroteAll()
		return nil
	}
	c.Flow.Mark(flow.Request, flow.CalleeOut, attached)
	x.sent = make(chan struct{})
	if stream.Expects(c) {
		x.proceed = make(chan bool, 1)
	}
	go x.send(c.Length - int64(attached)) // Close waits for it
	return nil
}

// wroteAll records that the request was sent as a whole, without a sender.
func (x *exchange) wroteAll() {
	x.wrote = true
	n := 0
	if x.call.Body != nil {
		n = int(x.call.Length)
	}
	x.call.Flow.MarkLast(flow.Request, flow.CalleeOut, n)
}

// decide tells a sender that waits whether the app wants the body.
func (x *exchange) decide(wanted bool) {
	select {
	case x.proceed <- wanted:
	default:
	}
}

// errNoReply says that the app closed the connection instead of answering.
var errNoReply = errors.New("the app closed the connection without a reply")

// readHead waits for the head of the reply.
func (x *exchange) readHead() error {
	for {
		b, err := x.nextHead()
		if err != nil {
			return err
		}
		h := &x.conn.head
		if err := h.parse(b, x.call.Verb); err != nil {
			return fmt.Errorf("reading the head of the reply: %w", err)
		}
		x.conn.r += len(b)
		switch {
		case h.status == http.StatusContinue && x.proceed != nil:
			x.decide(true)
		case h.status == http.StatusSwitchingProtocols && x.call.Upgrade != "":
			x.beginTunnel(h)
			return nil
		case h.status == http.StatusSwitchingProtocols:
			return errors.New("the app switched protocols, which nobody asked for")
		case h.status >= 200:
			x.begin(h)
			if x.proceed != nil { // who begins to answer may read meanwhile
				x.decide(h.status < http.StatusMultipleChoices && !x.done)
			}
			return nil
		case h.status != http.StatusContinue && x.call.Inform != nil:
			x.call.Inform(h.status, h.header)
		}
	}
}

// nextHead gives the bytes of a head; they are left in the buffer.
func (x *exchange) nextHead() ([]byte, error) {
	c := x.conn
	for seen := 0; ; {
		b := c.buf[c.r:c.w]
		if n := field.HeadEnd(b, seen); n > 0 {
			return b[:n], nil
		}
		if len(b) > maxHead {
			return nil, fmt.Errorf("the head of the reply is larger than %d bytes (the limit)", maxHead)
		}
		seen = max(0, len(b)-2)
		if err := x.heard(c.fill(), len(b)); err != nil {
			return nil, err
		}
	}
}

// heard takes the error of a read of the reply's head, of which there were some
// bytes before.
func (x *exchange) heard(err error, before int) error {
	switch {
	case err == nil:
		x.answered = true
		return nil
	case errors.Is(err, io.EOF) && before == 0:
		return errNoReply
	}
	return fmt.Errorf("reading the head of the reply: %w", unexpected(err))
}

// begin makes the reply from its head.
func (x *exchange) begin(h *head) {
	x.head = h
	x.done = h.framing == noBody || h.framing == fixed && h.length == 0
	if h.framing == fixed {
		x.remain = h.length
	}
	x.reply = stream.Reply{Status: h.status, Header: h.header, Body: x, Length: h.length}
	if h.framing == chunked {
		x.reply.Trailer = x.trailers
	}
	x.call.Flow.Replied(h.status)
}

func (x *exchange) trailers() http.Header { return x.trailer }

// Close ends the call. The connection is kept when both bodies are through,
// otherwise closed, which is how the app learns of it. It waits for the sender.
func (x *exchange) Close() error {
	if x.closed {
		return nil
	}
	x.closed = true
	keep := x.unwatch() && x.done && x.err == nil && x.head.reuse && x.conn.r == x.conn.w
	if x.sent != nil {
		keep = x.join(keep) && x.sendErr == nil
	}
	if keep && x.broken.Load() == nil && x.app.gate.Load().mode == open {
		x.app.keep(x.conn)
	} else {
		x.conn.Close()
		x.conn.release()
	}
	x.app.leave()
	return nil
}

// join waits for the sender, which has had its time unless it is at its last
// bytes, and says whether it came to its end by itself.
func (x *exchange) join(keep bool) bool {
	if keep && x.finishing.Load() {
		t := time.NewTimer(lingerWait)
		defer t.Stop()
		select {
		case <-x.sent:
			return true
		case <-t.C:
		}
	}
	select {
	case <-x.sent:
		return keep
	default:
	}
	x.conn.Close()
	<-x.sent
	return false
}

// keep puts a connection back. Whoever closed the gate meanwhile wants no idle
// connections.
func (a *App) keep(c *conn) {
	a.pool.put(c)
	if a.gate.Load().mode != open {
		a.pool.closeIdle()
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
