// Package console shares the terminal of one app instance among all who look at
// it and type into it.
//
// A Console outlives the processes of its instance. It remembers the latest of
// what they have shown, so that whoever comes sees where things stand, and gives
// the next process the size that the last one had. The process never waits for
// somebody who looks: it overwrites what he has not read yet, and he is told.
package console

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// keep is how much of what was shown is remembered, in bytes. It is a few full
// screens.
const keep = 64 << 10

// ErrNotRunning says that nobody is there to read what is typed.
var ErrNotRunning = errors.New("its process does not run")

// Terminal is that of a running process.
type Terminal interface {
	// Type writes as if it were typed. It may block until ctx ends.
	Type(ctx context.Context, p []byte) error
	// Resize tells the process the size, in characters.
	Resize(cols, rows uint16) error
}

// Console is what people have of the terminals of an instance, one after the
// other. Its methods may be called from any goroutine. The zero value is ready.
type Console struct {
	typing sync.Mutex // what one person types at once stays together

	mu         sync.Mutex
	shown      []byte        // the latest, at most twice keep
	end        uint64        // bytes shown so far
	began      uint64        // what had been shown when the present process began
	more       chan struct{} // closed when there is more, or nil
	terminal   Terminal      // nil: no process runs
	cols, rows uint16        // as people last had it; 0: nobody has said
}

// Begin says that a process is about to be started, and gives the size that its
// terminal is to have, 0 when nobody has said.
func (c *Console) Begin() (cols, rows uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began = c.end
	return c.cols, c.rows
}

// Connect makes t the terminal that is typed into; nil says that the process has
// ended.
func (c *Console) Connect(t Terminal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.terminal = t
}

// Show adds what a process has shown. It never blocks.
func (c *Console) Show(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end += uint64(len(p))
	if len(p) > keep {
		p = p[len(p)-keep:]
	}
	if len(c.shown)+len(p) > 2*keep { // rarely, so that most writes only append
		c.shown = append(c.shown[:0], c.shown[max(0, len(c.shown)+len(p)-keep):]...)
	}
	c.shown = append(c.shown, p...)
	if c.more != nil {
		close(c.more)
		c.more = nil
	}
}

// Recent gives the position from which on Read tells what the present process,
// or the last one, has shown.
func (c *Console) Recent() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.began, c.oldest())
}

func (c *Console) oldest() uint64 { return c.end - uint64(len(c.shown)) }

// Read gives what was shown after a position, and the next position. It blocks
// until there is something, or ctx ends, and then gives its cause. What was
// overwritten meanwhile is a line that says so.
func (c *Console) Read(ctx context.Context, after uint64) (p []byte, next uint64, err error) {
	for {
		c.mu.Lock()
		if after < c.end {
			break
		}
		if c.more == nil {
			c.more = make(chan struct{})
		}
		more := c.more
		c.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return nil, after, context.Cause(ctx)
		}
	}
	defer c.mu.Unlock()
	if oldest := c.oldest(); after < oldest {
		p = fmt.Appendf(nil, "\r\n[mesh: %d bytes were overwritten before they could be shown]\r\n", oldest-after)
		after = oldest
	}
	return append(p, c.shown[len(c.shown)-int(c.end-after):]...), c.end, nil //nolint:gosec // at most len(c.shown)
}

// Type writes as if it were typed, in one piece. It blocks while the process
// takes no more, at most until ctx ends. Without a process it gives
// ErrNotRunning.
func (c *Console) Type(ctx context.Context, p []byte) error {
	c.typing.Lock()
	defer c.typing.Unlock()
	c.mu.Lock()
	t := c.terminal
	c.mu.Unlock()
	if t == nil {
		return ErrNotRunning
	}
	return t.Type(ctx, p) //nolint:wrapcheck // it says what could not be done
}

// Resize gives the terminal another size, now and for processes to come. The
// last one who says so counts.
func (c *Console) Resize(cols, rows uint16) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cols, c.rows = cols, rows
	if c.terminal == nil {
		return nil
	}
	return c.terminal.Resize(cols, rows) //nolint:wrapcheck // it says what could not be done
}
