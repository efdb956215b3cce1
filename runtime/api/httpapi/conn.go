package httpapi

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
	"time"
)

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
	last []byte      // what the last Read gave; used before the next
	over atomic.Bool // nothing more is read from the client
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if c.over.Load() {
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

// CloseWrite tells the client that no more comes.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// stopReading ends the reading side: a Read that waits returns, and from then
// on the client seems to have closed the connection.
func (c *conn) stopReading() {
	c.over.Store(true)
	_ = c.SetReadDeadline(time.Unix(1, 0)) // fails when closed, which will do
}
