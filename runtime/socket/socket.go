// Package socket reads and writes the sockets of small calls without telling
// Go's scheduler. They never block, so there is nothing to tell: an ordinary
// system call lets the monitor thread take the processor away from its thread
// when that was merely not scheduled by a busy kernel, and wakes the monitor
// after every rest. On two busy cores that was a fifth of what a call cost.
//
// What is waited for is waited for as everywhere, in Go's poller.
package socket

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// Conn is a connection with a file descriptor. One goroutine at a time reads and
// one writes. The other methods are those of the connection inside.
type Conn struct {
	net.Conn
	Raw syscall.RawConn // of Conn; for Read, Write and Pending

	in, out transfer
	pieces  vector
	ask     request
}

// transfer is the state of a Read or Write, with a function for Raw that is kept
// so that a call makes no closure.
type transfer struct {
	p     []byte
	n     int
	errno syscall.Errno
	step  func(fd uintptr) (done bool)

	lend func() []byte // for ReadLate
	back func()
	late func(fd uintptr) (done bool)
}

// New gives a Conn around a connection, which it takes over unless it fails.
func New(nc net.Conn) (*Conn, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("a connection of type %T has no file descriptor", nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("looking at the connection to %v: %w", nc.RemoteAddr(), err)
	}
	c := &Conn{Conn: nc, Raw: raw}
	c.pieces.step = c.pieces.write
	c.in.step = func(fd uintptr) bool {
		c.in.n, c.in.errno = Read(fd, c.in.p)
		return c.in.errno != syscall.EAGAIN
	}
	c.in.late = func(fd uintptr) bool {
		c.in.n, c.in.errno = Read(fd, c.in.lend())
		if c.in.n == 0 {
			c.in.back()
		}
		return c.in.errno != syscall.EAGAIN
	}
	c.out.step = c.out.write
	c.ask.step = c.askStep
	return c, nil
}

// Read implements io.Reader.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.in.p = p
	n, err := c.read(c.in.step)
	c.in.p = nil
	return n, err
}

// ReadLate reads once, as Read does, into memory that is lent only while there
// is something to read: what lend gave is given back while the connection waits,
// and when nothing was read.
func (c *Conn) ReadLate(lend func() []byte, back func()) (int, error) {
	c.in.lend, c.in.back = lend, back
	n, err := c.read(c.in.late)
	c.in.lend, c.in.back = nil, nil
	return n, err
}

func (c *Conn) read(step func(fd uintptr) bool) (int, error) {
	c.in.n, c.in.errno = 0, 0
	return c.hasRead(c.Raw.Read(step))
}

// hasRead gives what a read gives that has ended with err in the poller.
func (c *Conn) hasRead(err error) (int, error) {
	t := &c.in
	switch {
	case err != nil:
		return 0, err
	case t.errno != 0:
		return 0, c.failed("read", t.errno)
	case t.n == 0:
		return 0, io.EOF
	}
	return t.n, nil
}

// write writes what is left of p, until there is no room for more.
func (t *transfer) write(fd uintptr) (done bool) {
	for t.n < len(t.p) {
		var n int
		n, t.errno = Write(fd, t.p[t.n:])
		if t.errno != 0 {
			return t.errno != syscall.EAGAIN
		}
		t.n += n
	}
	return true
}

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (int, error) {
	t := &c.out
	t.p, t.n, t.errno = p, 0, 0
	return c.written(c.Raw.Write(t.step))
}

// written gives what a write gives that has ended with err in the poller.
func (c *Conn) written(err error) (int, error) {
	t := &c.out
	t.p = nil
	switch {
	case err != nil:
		return t.n, err
	case t.errno != 0:
		return t.n, c.failed("write", t.errno)
	}
	return t.n, nil
}

// failed gives the error that net gives.
func (c *Conn) failed(op string, errno syscall.Errno) error {
	return &net.OpError{
		Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(),
		Err: os.NewSyscallError(op, errno),
	}
}

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.Raw, nil }

// Gone is what Pending and Peek give when the other side has closed the
// connection and all of what it sent has been read, or when it is broken.
const Gone = -1

// Pending gives how many bytes there are to be read, as far as one look tells:
// 0 or 1, or Gone. Any goroutine may ask.
func (c *Conn) Pending() int {
	n := Gone
	if c.Raw.Control(func(fd uintptr) { n = Peek(fd) }) != nil {
		return Gone
	}
	return n
}
