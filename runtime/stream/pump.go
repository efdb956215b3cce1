package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/h2"
	"mesh/runtime/socket"
)

// headDelay is how long a head waits for the first bytes of its body, so that a
// small call is one message each way. Long enough for bytes that are there
// already, too short to be noticed on a stream that begins silently.
const headDelay = 500 * time.Microsecond

// pump sends one direction of a call: the head, riding on the first bytes of
// the body when they are at hand, then each piece of the body as it can be read.
type pump struct {
	to   frames
	pool *bufferPool
	flow *flow.Flow
	dir  flow.Dir
	hop  flow.Hop

	// trailer gives what follows the body, nil: nothing; late makes a head of it.
	trailer func() http.Header
	late    func(http.Header) []byte

	pipe *socket.Pipe // to be filled next, while the kernel moves the body; nil: none

	mu   sync.Mutex // one message at a time: the head may be sent by its timer
	head []byte     // nil once it has been sent
	err  error      // of sending the head
	seq  uint64
}

// errSend marks an error of the far end, as opposed to one of the body.
var errSend = errors.New("sending a frame")

// run sends head and body and returns when the body has ended, or why it could
// not. length is that of the body, or -1.
func (p *pump) run(head []byte, body io.Reader, length int64) error {
	p.head = head
	defer p.drop()
	if Ready(body) == 0 {
		early := time.AfterFunc(headDelay, p.sendHead)
		defer early.Stop()
	}
	size := fitting(length + headroom)
	for total := int64(0); ; {
		if size == largeBuffer && length-total >= moveMin {
			n, err := p.move(body, length-total)
			if total += n; err != nil {
				return err
			}
		}
		buf := p.pool.Get(size)
		n, err := body.Read((*buf)[headroom:])
		if n > 0 {
			total += int64(n)
			size = sizeAfter(size, n)
			how := 0
			if errors.Is(err, io.EOF) {
				how = h2.Soon
			}
			if err := p.send(buf, n, how); err != nil {
				return fmt.Errorf("%w: %w", errSend, err)
			}
		} else {
			p.pool.Put(buf)
		}
		if errors.Is(err, io.EOF) {
			return p.finish()
		}
		if err != nil {
			return err
		}
	}
}

// runWithLeave is run for a body that may not be read before there is leave to.
func (p *pump) runWithLeave(ctx context.Context, l leave, head []byte, body io.Reader, length int64) error {
	if l != nil {
		p.head = head
		p.sendHead()
		if err := l.wait(ctx); err != nil {
			return err
		}
		head = nil
	}
	return p.run(head, body, length)
}

// once sends head and body, whose n bytes are there already, in one message that is
// the last.
func (p *pump) once(head []byte, body io.Reader, n int) error {
	p.head = head
	buf := p.pool.Get(n + headroom)
	if _, err := io.ReadFull(body, (*buf)[headroom:headroom+n]); err != nil {
		p.pool.Put(buf)
		return err
	}
	if err := p.send(buf, n, h2.Last); err != nil {
		return fmt.Errorf("%w: %w", errSend, err)
	}
	return nil
}

// send sends n bytes of buf, which it takes over, and the head if it is due.
func (p *pump) send(buf *[]byte, n, how int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		p.pool.Put(buf)
		return p.err
	}
	return p.sendFrame(&outFrame{buf: buf, n: n, pool: p.pool, how: how})
}

// sendPipe is send for what the kernel has.
func (p *pump) sendPipe(pipe *h2.Pipe) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		pipe.Free()
		return p.err
	}
	return p.sendFrame(&outFrame{pipe: pipe, n: pipe.Len()})
}

// sendFrame sends a frame with data, and the head if it is due. The lock is held.
func (p *pump) sendFrame(f *outFrame) error {
	f.head, f.seq = p.head, p.seq
	p.head = nil
	p.seq++
	p.flow.Blocked(p.dir, p.hop)
	n := f.n
	if err := p.to.send(f); err != nil {
		return err
	}
	p.flow.Mark(p.dir, p.hop, n)
	return nil
}

// finish sends what is still due when the body has ended.
func (p *pump) finish() error {
	p.sendHead()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.flow.Finish(p.dir, p.hop)
	}
	if p.err != nil || p.trailer == nil {
		return p.err
	}
	if h := p.trailer(); len(h) > 0 {
		if err := p.to.send(&outFrame{head: p.late(h)}); err != nil {
			return fmt.Errorf("%w: %w", errSend, err)
		}
	}
	return nil
}

// drop forgets a head that was not sent, lest its timer send it yet.
func (p *pump) drop() {
	p.mu.Lock()
	p.head = nil
	p.mu.Unlock()
}

// sendHead sends the head unless it has been sent.
func (p *pump) sendHead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.head == nil || p.err != nil {
		return
	}
	if err := p.to.send(&outFrame{head: p.head}); err != nil {
		p.err = fmt.Errorf("%w: %w", errSend, err)
	}
	p.head = nil
}
