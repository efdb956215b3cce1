package socket

import "syscall"

// vector is the state of a write of several pieces.
type vector struct {
	left  [][]byte
	n     int
	errno syscall.Errno
	wait  bool
	step  func(fd uintptr) (done bool)
}

func (v *vector) write(fd uintptr) (done bool) {
	for len(v.left) > 0 {
		n, errno := Writev(fd, v.left)
		if v.errno = errno; errno == syscall.EAGAIN {
			return !v.wait
		} else if errno != 0 {
			return true
		}
		v.n += n
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

// WritePieces writes several pieces as one. Unless wait is set it writes only what
// the socket takes at once. It gives what is left, in the memory of p.
func (c *Conn) WritePieces(p [][]byte, wait bool) (left [][]byte, err error) {
	v := &c.pieces
	v.left, v.n, v.errno, v.wait = p, 0, 0, wait
	err = c.Raw.Write(v.step)
	left, v.left = v.left, nil
	if err == nil && v.errno != 0 && v.errno != syscall.EAGAIN {
		err = c.failed("write", v.errno)
	}
	return left, err
}
