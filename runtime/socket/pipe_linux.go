package socket

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// pipeRoom is how much a pipe holds, where the kernel lets it.
const pipeRoom = 1 << 20

const spliceFlags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK

// Pipe is memory of the kernel: what a socket has received waits there for
// another, and no copy of it is made. One goroutine at a time uses it.
type Pipe struct {
	r, w int
	n    int // bytes in it

	forgotten runtime.Cleanup // closes what nobody has
}

// NewPipe gives an empty pipe. Close it, once.
func NewPipe() (*Pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeRoom) // it may stay as small as it is
	p := &Pipe{r: fds[0], w: fds[1]}
	p.forgotten = runtime.AddCleanup(p, closeBoth, fds)
	return p, nil
}

func closeBoth(fds [2]int) {
	_ = unix.Close(fds[0])
	_ = unix.Close(fds[1])
}

// Close lets go of the pipe and what is in it.
func (p *Pipe) Close() {
	p.forgotten.Stop()
	closeBoth([2]int{p.r, p.w})
}

// Len gives how many bytes are in the pipe.
func (p *Pipe) Len() int { return p.n }

// Fill waits until a socket has received something, and moves up to limit bytes
// of it into the pipe. At the end of the stream it gives 0 and no error.
func (p *Pipe) Fill(from syscall.RawConn, limit int) (n int, err error) {
	var failed error
	err = from.Read(func(fd uintptr) bool {
		n, failed = splice(int(fd), p.w, limit)
		return failed != unix.EAGAIN //nolint:errorlint // an errno as it is
	})
	if err == nil && failed != nil {
		err = os.NewSyscallError("splice", failed)
	}
	p.n += n
	return n, err
}

// Drain moves n bytes to a socket: unless wait is set only what it takes at once.
// It gives how many it took.
func (p *Pipe) Drain(to syscall.RawConn, n int, wait bool) (moved int, err error) {
	var failed error
	err = to.Write(func(fd uintptr) bool {
		for moved < n {
			var k int
			if k, failed = splice(p.r, int(fd), n-moved); failed == unix.EAGAIN { //nolint:errorlint // an errno as it is
				failed = nil
				return !wait
			} else if failed != nil || k == 0 {
				return true
			}
			moved += k
			p.n -= k
		}
		return true
	})
	if err == nil && failed != nil {
		err = os.NewSyscallError("splice", failed)
	}
	if err == nil && wait && moved < n {
		err = fmt.Errorf("moving %d of %d bytes: %w", moved, n, io.ErrShortWrite)
	}
	return moved, err
}

// Read reads from the pipe; there must be something in it.
func (p *Pipe) Read(b []byte) (int, error) {
	n, err := unix.Read(p.r, b)
	if err != nil {
		return 0, os.NewSyscallError("read", err)
	}
	p.n -= n
	return n, nil
}

func splice(from, to, n int) (int, error) {
	for {
		moved, err := unix.Splice(from, nil, to, nil, n, spliceFlags)
		if err != unix.EINTR {
			return max(0, int(moved)), err
		}
	}
}
