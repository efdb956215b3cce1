package http1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"mesh/runtime/field"
	"mesh/runtime/socket"
)

// bufferSize is that of the buffers with which heads and small bodies are read
// and written. A connection holds one only while something is in it.
const bufferSize = 4 << 10

// What a connection does, as far as whoever wants to close it has to know.
const (
	idle   int32 = iota // waits for a request
	busy                // serves one
	closed              // has been closed, or is about to be
)

// conn is a client's connection.
type conn struct {
	s  *Server
	nc *socket.Conn

	mem  *[]byte // what buf was, from the pool; nil: none is held
	buf  []byte  // buf[r:w] was read and not used yet
	r, w int

	// For ReadLate, kept so that a read makes no closure.
	lend func() []byte
	back func()

	state     atomic.Int32
	idleSince atomic.Uint32 // the server's period when it became idle
	over      atomic.Bool   // nothing more is read from the client
	last      *Response     // to the request before
	id        uint64        // in the watcher; 0: it is not watched

	// Whether a client that has closed its side is gone, see lookGone.
	drained atomic.Bool // the request has been read, and nothing follows it yet
	hungUp  atomic.Bool // the client's side is closed
	tunnel  atomic.Bool // the client's end is one of two, and is passed on
	looking atomic.Bool // it will be looked at again
	cancel  context.CancelCauseFunc
}

func newConn(s *Server, nc net.Conn) (*conn, error) {
	sock, err := socket.New(nc)
	if err != nil {
		return nil, err
	}
	c := &conn{s: s, nc: sock}
	c.lend = func() []byte {
		c.hold()
		return c.buf[c.w:]
	}
	c.back = func() {
		if c.r == c.w {
			c.release() // it serves others while this one waits
		}
	}
	return c, nil
}

func (c *conn) hold() {
	if c.mem == nil {
		c.mem = c.s.buffer()
		c.buf = *c.mem
	}
}

// release gives the buffer back, with whatever is in it.
func (c *conn) release() {
	if c.mem != nil {
		c.s.buffers.Put(c.mem)
	}
	c.mem, c.buf, c.r, c.w = nil, nil, 0, 0
}

func (s *Server) buffer() *[]byte {
	if b, ok := s.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, bufferSize)
	return &b
}

// fill reads once into the buffer, which must be used up or, for a head that
// does not end, is grown.
func (c *conn) fill() error {
	if c.over.Load() {
		return io.EOF
	}
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w < len(c.buf):
	case c.r > 0:
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	default:
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.nc.ReadLate(c.lend, c.back)
	if err != nil && c.over.Load() {
		return io.EOF
	}
	c.w += n
	return err
}

// stopReading ends the reading side: a read that waits returns, and from then
// on the client seems to have closed the connection.
func (c *conn) stopReading() {
	c.over.Store(true)
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // fails when closed, which will do
}

// closeIdle closes the connection unless it serves a request.
func (c *conn) closeIdle() {
	if c.state.CompareAndSwap(idle, closed) {
		c.nc.Close()
	}
}

// serve serves the connection until it ends.
func (c *conn) serve(calls context.Context) {
	ctx, cancel := context.WithCancelCause(calls)
	c.cancel = cancel
	defer func() {
		c.s.watch.remove(c)
		c.state.Store(closed)
		c.nc.Close()
		c.release()
		cancel(context.Canceled)
		c.s.forget(c)
	}()
	if c.s.stopping.Load() {
		return
	}
	if err := c.s.watch.add(c); err != nil {
		c.s.o.Log.DebugContext(ctx, "a connection is not watched", slog.Any("error", err))
		return
	}
	var base http.Request
	base.RemoteAddr = c.nc.RemoteAddr().String()
	with := base.WithContext(newConnContext(ctx))
	_ = c.nc.SetReadDeadline(time.Now().Add(headTimeout)) // a failure shows in the next read
	for timed := true; ; timed = false {
		b, err := c.head(timed)
		if err != nil {
			c.refuse(err)
			return
		}
		if isPreface(b) {
			_ = c.nc.SetReadDeadline(time.Time{})
			c.s.http2.take(c)
			return
		}
		if !c.request(b, with) || !c.becomeIdle() {
			return
		}
	}
}

// becomeIdle says whether the connection may wait for another request.
func (c *conn) becomeIdle() bool {
	c.drained.Store(false)
	c.idleSince.Store(c.s.period.Load())
	c.state.Store(idle)
	return !c.s.stopping.Load()
}

// head waits for a request and gives its head, which stays in the buffer. timed
// says that a deadline for it has been set already.
func (c *conn) head(timed bool) ([]byte, error) {
	for c.r == c.w {
		if err := c.fill(); err != nil {
			return nil, errSilent
		}
	}
	if !c.state.CompareAndSwap(idle, busy) {
		return nil, errSilent
	}
	limit := c.s.o.MaxHeader()
	for seen := 0; ; {
		b := c.buf[c.r:c.w]
		n := field.HeadEnd(b, seen)
		if n > limit || n == 0 && len(b) > limit {
			return nil, refused(http.StatusRequestHeaderFieldsTooLarge, "%s", c.s.o.tooLarge(limit))
		}
		if n > 0 {
			if timed {
				_ = c.nc.SetReadDeadline(time.Time{}) // a failure shows in the next read
			}
			return b[:n], nil
		}
		seen = max(0, len(b)-2)
		if !timed {
			timed = true
			_ = c.nc.SetReadDeadline(time.Now().Add(headTimeout))
		}
		if err := c.fill(); err != nil {
			return nil, errSilent
		}
	}
}

// errSilent ends a connection without a word: nobody waits for one.
var errSilent = errors.New("no request came")

// request serves one request whose head is b, and says whether another may follow.
func (c *conn) request(b []byte, with *http.Request) (goOn bool) {
	r := c.response()
	if err := r.parse(b, with); err != nil {
		c.refuse(err)
		return false
	}
	if c.r += len(b); r.body.done() {
		c.settle()
	} else if c.hungUp.Load() {
		c.lookGone()
	}
	defer func() {
		why := recover()
		if why == nil {
			return
		}
		goOn = false
		r.release()
		if err, ok := why.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			c.s.o.Log.ErrorContext(with.Context(), "serving a request panicked",
				slog.String("request", r.req.Method+" "+r.req.RequestURI), slog.Any("panic", why), slog.String("stack", string(debug.Stack())))
		}
	}()
	c.s.o.Handler.ServeHTTP(r, &r.req)
	if goOn = r.finish(); len(b) > bufferSize {
		c.last = nil // an idle connection does not hold a long head
	}
	return goOn
}

// response gives the Response for the next request. It is one for all of them,
// and so are the map and the slice of the headers: a third of what a small call
// allocated.
func (c *conn) response() *Response {
	r := c.last
	if r == nil {
		r = new(Response)
		r.inform = r.Inform
		c.last = r
	}
	header, values := r.req.Header, r.vals[:0]
	if len(header) > keptFields || cap(values) > keptFields {
		header, values = nil, nil
	}
	clear(header)
	*r = Response{c: c, vals: values, inform: r.inform}
	r.req.Header, r.body.c = header, c
	return r
}

// keptFields is the most headers for which there is room from request to request.
const keptFields = 32

// settle is called when a request has been read to its end: from now on the
// client is gone as soon as it has closed its side.
func (c *conn) settle() {
	if c.r == c.w {
		c.release()
		c.drained.Store(true)
		if c.hungUp.Load() {
			c.lookGone()
		}
	}
}

// hangUp is told by the watcher that the client has closed its side, or, when
// broken, the connection as a whole.
func (c *conn) hangUp(broken bool) {
	c.hungUp.Store(true)
	switch {
	case broken:
		c.cancel(errGone)
	case c.state.Load() == busy:
		c.lookGone()
	}
}

// errGone ends the calls of a client that is gone.
var errGone = fmt.Errorf("the client closed the connection: %w", context.Canceled)

// lookAgain is how long a client that has closed its sending half only is let
// alone before it is looked at again: it says nothing when it closes the other.
const lookAgain = 20 * time.Millisecond

// lookGone ends the call of a client that has closed its side, unless it still
// waits for the reply. Where that cannot be found out, the client is taken to be
// gone when nothing of what it sent is left to read.
func (c *conn) lookGone() {
	if c.tunnel.Load() {
		return
	}
	switch c.nc.FarEnd() {
	case socket.FarClosed:
		c.cancel(errGone)
	case socket.FarOpen:
		if c.looking.CompareAndSwap(false, true) {
			time.AfterFunc(lookAgain, func() {
				c.looking.Store(false)
				if c.state.Load() == busy {
					c.lookGone()
				}
			})
		}
	case socket.FarUnknown:
		if c.drained.Load() && c.nc.Pending() == socket.Gone {
			c.cancel(errGone)
		}
	}
}

// refuse answers what was no request.
func (c *conn) refuse(err error) {
	bad, ok := errors.AsType[*refusal](err)
	if !ok {
		return
	}
	text := fmt.Sprintf("%d %s: %s", bad.status, http.StatusText(bad.status), bad.why)
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		bad.status, http.StatusText(bad.status), len(text), text)
	if _, err := c.nc.Write(b.Bytes()); err == nil {
		c.linger()
	}
}

// linger lets the client read the last reply: closing while something of it is
// unread here would take the reply away.
func (c *conn) linger() {
	half, ok := c.nc.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.nc.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	buf := c.s.buffer()
	defer c.s.buffers.Put(buf)
	for {
		if _, err := c.nc.Read(*buf); err != nil {
			return
		}
	}
}
