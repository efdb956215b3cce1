package stream

import (
	"io"
	"sync"
	"testing"
	"time"
)

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// waitReader has no bytes and ends when the channel is closed.
type waitReader struct{ c <-chan struct{} }

func (w waitReader) Read([]byte) (int, error) {
	<-w.c
	return 0, io.EOF
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("reading panics") }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// counted counts what is read.
type counted struct {
	r  io.Reader
	mu sync.Mutex
	n  int64
	at time.Time
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.mu.Lock()
	c.n += int64(n)
	c.at = time.Now()
	c.mu.Unlock()
	return n, err
}

func (c *counted) count() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// settle waits until nothing has been read for a while, though something was.
func (c *counted) settle(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		c.mu.Lock()
		quiet := c.n > 0 && time.Since(c.at) > 100*time.Millisecond
		c.mu.Unlock()
		if quiet {
			return
		}
	}
	t.Fatal("the reader never stops")
}
