package httpapi

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// lingerTime is how long a client that is still sending may take to notice that
// it was answered. Closing at once could destroy the answer on its way.
const lingerTime = 500 * time.Millisecond

// listener makes a conn of every connection.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

// conn is a client's connection under net/http's server. It knows what net/http
// does not tell: how much of a body came together with its head. And it can end
// the reading side when a reply is complete and its request is not.
type conn struct {
	net.Conn
	last   []byte      // what the last Read gave; used before the next
	over   atomic.Bool // nothing more is read from the client
	behind atomic.Bool // and the next who tries comes when the reply is written
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if c.over.Load() {
		if c.behind.Load() {
			c.linger()
		}
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	c.last = p[:n]
	if err != nil && c.over.Load() {
		err = io.EOF
	}
	return n, err
}

// ReadFrom lets the kernel move a reply when it comes from another connection.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	if to, ok := c.Conn.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

// buffered gives how many bytes followed the head of the request that is being
// served, in the same packet. It is right or too small, and to be called before
// the body is read.
func (c *conn) buffered() int {
	b := c.last
	c.last = nil // a second request in the same packet is not looked for
	i := bytes.Index(b, []byte("\r\n\r\n"))
	if i < 0 {
		return 0
	}
	return len(b) - i - 4
}

// unblock makes a Read that waits return, and ends the reading side.
func (c *conn) unblock() {
	c.over.Store(true)
	_ = c.SetReadDeadline(time.Unix(1, 0)) // fails when closed, which will do
}

// cut ends the reading side in the middle of a body that nobody reads any more:
// net/http finds the end of the connection where the rest of the body, or
// another request, would be. It looks when it has written the reply.
func (c *conn) cut() {
	c.behind.Store(true)
	c.over.Store(true)
}

// linger tells the client that no more comes and reads what it still sends, for
// a while.
func (c *conn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, c.Conn) // ends with the deadline at the latest
}
