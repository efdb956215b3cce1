package socket

import (
	"io"
	"syscall"
)

// vector is the state of a write of several pieces.
type vector struct {
	left  [][]byte
	errno syscall.Errno
	wait  bool
	more  bool
	step  func(fd uintptr) (done bool)
}

func (v *vector) write(fd uintptr) (done bool) {
	for len(v.left) > 0 {
		n, errno := writePieces(fd, v.left, v.more)
		if v.errno = errno; errno == syscall.EAGAIN {
			return !v.wait
		} else if errno != 0 {
			return true
		}
		v.left = rest(v.left, n)
	}
	return true
}

// rest gives what is left of several pieces when n bytes are gone. It changes p.
func rest(p [][]byte, n int) [][]byte {
	for len(p) > 0 && n >= len(p[0]) {
		n, p = n-len(p[0]), p[1:]
	}
	if n > 0 {
		p[0] = p[0][n:]
	}
	return p
}

// Movable are bytes that the kernel has and can move to a socket: unless wait is
// set only what that takes at once. ReadOnlyData copies them instead.
type Movable interface {
	Len() int
	MoveTo(to syscall.RawConn, n int, wait bool) (int, error)
	ReadOnlyData() []byte
}

// Copy is Conn.Move for a writer that nothing can be moved to.
func Copy(w io.Writer, front []byte, m Movable) (int, error) {
	n, err := w.Write(front)
	if err != nil {
		return n, err //nolint:wrapcheck // the writer's own
	}
	more, err := w.Write(m.ReadOnlyData())
	return n + more, err //nolint:wrapcheck // the writer's own
}

// Move writes front and then what the kernel has, and says how much of both.
func (c *Conn) Move(front []byte, m Movable) (int, error) {
	if len(front) > 0 {
		if _, err := c.WritePieces([][]byte{front}, true, true); err != nil {
			return 0, err
		}
	}
	n, err := m.MoveTo(c.Raw, m.Len(), true)
	return len(front) + n, err
}

// WritePieces writes several pieces as one. Unless wait is set it writes only what
// the socket takes at once. More tells the kernel that more follows right away. It
// gives what is left, in the memory of p.
func (c *Conn) WritePieces(p [][]byte, wait, more bool) (left [][]byte, err error) {
	v := &c.pieces
	v.left, v.errno, v.wait, v.more = p, 0, wait, more
	err = c.Raw.Write(v.step)
	left, v.left = v.left, nil
	if err == nil && v.errno != 0 && v.errno != syscall.EAGAIN {
		err = c.failed("write", v.errno)
	}
	return left, err
}
