//go:build !linux

package http1

import (
	"sync"
	"time"

	"mesh/runtime/socket"
)

// lookEvery is how often connections are looked at.
const lookEvery = 50 * time.Millisecond

// watcher tells connections that their client has closed its side. The zero
// value is ready to use; one goroutine runs from the first connection to close.
type watcher struct {
	mu    sync.Mutex
	conns map[*conn]struct{}
	stop  chan struct{}
	ended chan struct{}
}

func (w *watcher) add(c *conn) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == nil {
		w.conns, w.stop, w.ended = map[*conn]struct{}{}, make(chan struct{}), make(chan struct{})
		go w.run()
	}
	w.conns[c] = struct{}{}
	return nil
}

func (w *watcher) run() {
	defer close(w.ended)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		w.mu.Lock()
		for c := range w.conns {
			if c.drained.Load() && c.nc.Pending() == socket.Gone {
				c.hangUp(true)
			}
		}
		w.mu.Unlock()
	}
}

// remove is called before the connection is closed.
func (w *watcher) remove(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
}

func (w *watcher) close() {
	w.mu.Lock()
	stop := w.stop
	w.mu.Unlock()
	if stop != nil {
		close(stop)
		<-w.ended
	}
}
