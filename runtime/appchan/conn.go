package appchan

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"mesh/runtime/socket"
	"mesh/runtime/stream"
)

const (
	maxHead = 1 << 20 // of a reply; the buffer grows as far as that
	maxIdle = 256     // connections kept for one app
)

// conn is one HTTP/1 connection to the app. One call at a time uses it.
type conn struct {
	net.Conn
	sock *socket.Conn // the same; nil: it is no socket
	raw  syscall.RawConn
	last time.Time // when it became idle

	bufs *buffers
	mem  *[]byte // what buf was, from bufs; nil: none is held
	buf  []byte  // buf[r:w] was read and not used yet
	r, w int
	head head // of the reply that is being read

	// For raw, kept so that a call makes no closure.
	readable func(fd uintptr) bool // says whether a Read would not wait
	look     func(fd uintptr)      // finds out what is pending
	pending  int

	asked *exchange // who is told by ask
}

func newConn(nc net.Conn, bufs *buffers) (*conn, error) {
	sock, err := socket.New(nc)
	if err != nil {
		return nil, err
	}
	readable := func(fd uintptr) bool { return socket.Peek(fd) != 0 }
	c := &conn{Conn: sock, sock: sock, raw: sock.Raw, bufs: bufs, readable: readable}
	c.look = func(fd uintptr) { c.pending = socket.Peek(fd) }
	return c, nil
}

// tcp gives the connection when the kernel may move bytes from and to it; nil:
// it may not.
func (c *conn) tcp() *net.TCPConn {
	if c.sock == nil {
		return nil
	}
	tcp, _ := c.sock.Conn.(*net.TCPConn)
	return tcp
}

// hold takes a buffer for reading.
func (c *conn) hold() {
	if c.mem == nil {
		c.mem = c.bufs.get()
		c.buf = *c.mem
	}
}

// release gives the buffer back, with whatever is in it.
func (c *conn) release() {
	if c.mem != nil {
		c.bufs.put(c.mem)
	}
	c.mem, c.buf, c.r, c.w = nil, nil, 0, 0
}

// await waits until there is something to read, or the end. Meanwhile an empty
// buffer serves others: of thousands of streams most wait most of the time.
func (c *conn) await() error {
	if c.r < c.w {
		return nil
	}
	c.release()
	return c.raw.Read(c.readable)
}

// alive says whether an idle connection is still good: the app has neither
// closed it nor sent anything.
func (c *conn) alive() bool {
	return c.raw.Control(c.look) == nil && c.pending == 0
}

// fill reads once from the app into the buffer, which must be used up or, for
// a head that does not end, may be grown.
func (c *conn) fill() error {
	c.hold()
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if c.w == len(c.buf) {
		if c.r > 0 {
			c.w = copy(c.buf, c.buf[c.r:c.w])
			c.r = 0
		} else {
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		}
	}
	return c.took(c.Read(c.buf[c.w:]))
}

// took takes n bytes in that were read behind what is in the buffer.
func (c *conn) took(n int, err error) error {
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// ask sends a whole request and waits for the first of its reply; an error that
// is a socket.ErrPending means that the connection is no longer good and nothing
// was sent. It tells how much it has sent, which may be less than all for want of
// room.
func (c *conn) ask(x *exchange, b []byte) (wrote int, err error) {
	c.asked = x
	wrote, n, err := c.sock.Ask(b, c)
	c.asked = nil
	if wrote < len(b) {
		return wrote, err
	}
	return wrote, c.took(n, err)
}

// Lend implements socket.Asker.
func (c *conn) Lend() []byte {
	c.hold()
	return c.buf
}

// Sent implements socket.Asker.
func (c *conn) Sent() { c.asked.wroteAll() }

// pool keeps idle connections to one address, the latest used on top.
type pool struct {
	addr  string
	bufs  *buffers   // to read into
	mu    sync.Mutex // held for a few instructions
	idle  []*conn
	timer *time.Timer // runs while idle is not empty
}

func newPool(addr string, bufs *buffers) *pool { return &pool{addr: addr, bufs: bufs} }

// take gives an idle connection, which is alive unless nobody looks, or nil.
func (p *pool) take(look bool) *conn {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if !look || c.alive() {
			return c
		}
		c.Close()
	}
}

func (p *pool) dial(ctx context.Context) (*conn, error) {
	nc, err := dial(ctx, "tcp", p.addr)
	if err != nil {
		return nil, err
	}
	c, err := newConn(nc, p.bufs)
	if err != nil {
		nc.Close()
		return nil, &stream.UnreachableError{Addr: p.addr, Err: err}
	}
	return c, nil
}

// put keeps a connection for later.
func (p *pool) put(c *conn) {
	c.release()
	c.head.clear()
	c.last = time.Now()
	p.mu.Lock()
	full := len(p.idle) >= maxIdle
	if !full {
		p.idle = append(p.idle, c)
		if p.timer == nil {
			p.timer = time.AfterFunc(idleTimeout, p.prune)
		}
	}
	p.mu.Unlock()
	if full {
		c.Close()
	}
}

// prune closes what has been idle for too long.
func (p *pool) prune() {
	p.mu.Lock()
	// The oldest are at the bottom, because the top is taken first.
	n, _ := slices.BinarySearchFunc(p.idle, time.Now().Add(-idleTimeout), func(c *conn, t time.Time) int {
		return c.last.Compare(t)
	})
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	if len(p.idle) > 0 {
		p.timer.Reset(max(time.Millisecond, idleTimeout-time.Since(p.idle[0].last)))
	} else {
		p.timer = nil
	}
	p.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
}

func (p *pool) closeIdle() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}
