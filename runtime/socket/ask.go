package socket

import (
	"errors"
	"syscall"
)

// ErrPending says that something has come, or the end, before anything was asked.
var ErrPending = errors.New("the connection holds something that nobody has asked for")

// Asker is who asks with Ask.
type Asker interface {
	Lend() []byte // memory for the reply, when there is something to read
	Sent()        // all of the request has been written
}

// request is the state of Ask.
type request struct {
	by    Asker
	sent  bool
	stale bool
	step  func(fd uintptr) (done bool)
}

// Ask writes p to a connection on which nothing is pending, and reads once when
// the reply comes. wrote tells how much of p was written. Without an error n is
// 0 when that was less than all: the rest is for Write. An error that is an
// ErrPending means that nothing was written.
//
// It saves the read that Write and Read have to try before they may wait. Go's
// poller forgets what has come when a read begins and wakes it for what comes
// after, so between the two one has to look. Here it is the look that tells
// whether the other side still keeps the connection, which is wanted anyway.
func (c *Conn) Ask(p []byte, by Asker) (wrote, n int, err error) {
	q := &c.ask
	q.by, q.sent, q.stale = by, false, false
	c.in.n, c.in.errno = 0, 0
	c.out.p, c.out.n, c.out.errno = p, 0, 0
	err = c.Raw.Read(q.step)
	q.by = nil
	if q.sent {
		c.out.p = nil
		n, err = c.hasRead(err)
		return len(p), n, err
	}
	if q.stale {
		err = ErrPending
	}
	wrote, err = c.written(err)
	return wrote, 0, err
}

func (c *Conn) askStep(fd uintptr) (done bool) {
	q := &c.ask
	if q.sent {
		c.in.n, c.in.errno = Read(fd, q.by.Lend())
		return c.in.errno != syscall.EAGAIN
	}
	if q.stale = Peek(fd) != 0; q.stale {
		return true
	}
	if !c.out.write(fd) {
		c.out.errno = 0 // there is no room for the rest yet
		return true
	}
	if c.out.errno != 0 {
		return true
	}
	q.sent = true
	q.by.Sent()
	return false
}
