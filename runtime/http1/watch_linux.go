package http1

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// watcher tells connections that their client has closed its side. The kernel
// is asked once for each connection, so that requests cost nothing. The zero
// value is ready to use; one goroutine runs from the first connection to close.
type watcher struct {
	mu    sync.Mutex
	poll  *os.File // the epoll descriptor, itself polled by the runtime
	epfd  int
	last  uint64
	conns map[uint64]*conn
	ended chan struct{}
}

const (
	epollRDHUP   = 0x2000     // the other side has closed its half
	epollET      = 0x80000000 // told once
	watchedAtAll = 128        // events taken at a time
)

func (w *watcher) add(c *conn) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.poll == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	w.last++
	id := w.last
	var failed error
	err := c.nc.Raw.Control(func(fd uintptr) {
		// A number, not the descriptor, tells who is meant: descriptors come again.
		ev := syscall.EpollEvent{Events: epollRDHUP | epollET, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}
		failed = syscall.EpollCtl(w.epfd, syscall.EPOLL_CTL_ADD, int(fd), &ev)
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("watching a connection: %w", err)
	}
	c.id = id
	w.conns[id] = c
	return nil
}

// open starts the goroutine; mu is held.
func (w *watcher) open() error {
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err == nil {
		err = syscall.SetNonblock(epfd, true) // so that the runtime polls it
	}
	if err != nil {
		return fmt.Errorf("watching connections: %w", err)
	}
	w.poll, w.epfd = os.NewFile(uintptr(epfd), "epoll"), epfd
	raw, err := w.poll.SyscallConn()
	if err != nil {
		return fmt.Errorf("watching connections: %w", err)
	}
	w.conns, w.ended = map[uint64]*conn{}, make(chan struct{})
	go w.run(raw)
	return nil
}

// run tells what happens until the descriptor is closed.
func (w *watcher) run(raw syscall.RawConn) {
	defer close(w.ended)
	events := make([]syscall.EpollEvent, watchedAtAll)
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = syscall.EpollWait(int(fd), events, 0)
			return n > 0
		})
		if err != nil {
			return
		}
		for _, ev := range events[:n] {
			id := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
			w.mu.Lock()
			c := w.conns[id]
			w.mu.Unlock()
			if c != nil {
				c.hangUp(ev.Events&(syscall.EPOLLERR|syscall.EPOLLHUP) != 0)
			}
		}
	}
}

// remove is called before the connection is closed.
func (w *watcher) remove(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c.id) // closing takes it from the kernel's list
}

func (w *watcher) close() {
	w.mu.Lock()
	poll := w.poll
	w.mu.Unlock()
	if poll != nil {
		poll.Close()
		<-w.ended
	}
}
