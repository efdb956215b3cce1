package rpc

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// requests are the messages of a client on their way to whoever takes its call,
// and to the next one when that one is not there after all. One goroutine reads
// them, until the call or the client's stream ends.
type requests struct {
	from    grpc.ServerStream
	settled atomic.Bool // somebody has answered: the call stays there

	mu      sync.Mutex // held while a message is sent
	to      *passage   // where they go now; nil: nowhere yet
	flowed  bool       // it was given one
	reading bool       // the goroutine runs
	ended   bool       // the client has sent all
	closed  bool       // that was said
	err     error      // why the client sends no more; nil: it does, or has ended

	keep bool              // what was sent may have to be sent again
	kept []*stream.Message // all that came, in order, while keep is true
	size int               // bytes in kept
	next int               // how many of them were sent
}

// begin sends what has come, and what will, on a way. What is still sent on the
// last one fails, because that has ended.
func (q *requests) begin(p *passage) {
	q.mu.Lock()
	q.to, q.next, q.flowed, q.closed = p, 0, false, false
	read := !q.reading && !q.ended && q.err == nil
	behind := len(q.kept) > 0 || q.ended
	if q.err != nil {
		p.stop(q.err)
	}
	q.reading = q.reading || read
	q.mu.Unlock()
	if !read && !behind {
		return
	}
	// It waits for the client until the client's stream ends, which is when the
	// server's handler has returned: too late for us to wait for it.
	p.call.sending.Go(func() {
		if behind {
			q.mu.Lock()
			q.flush()
			q.mu.Unlock()
		}
		if read {
			q.read(p.call.Flow, p.nearIn)
		}
	})
}

// read takes the client's messages.
func (q *requests) read(f *flow.Flow, in flow.Hop) {
	for more := true; more; {
		m := new(stream.Message)
		err := q.from.RecvMsg(m)
		if err == nil {
			received(f, flow.Request, in, m)
		} else if errors.Is(err, io.EOF) {
			f.Finish(flow.Request, in)
		}
		q.mu.Lock()
		switch {
		case err == nil:
			more = q.pass(m)
		case errors.Is(err, io.EOF):
			q.ended, more = true, false
			q.flush()
		default:
			q.err, more = err, false
			q.to.stop(err)
		}
		q.reading = more
		q.mu.Unlock()
	}
}

// pass sends a message on, and gives false when nobody takes it. mu is held.
func (q *requests) pass(m *stream.Message) bool {
	if !q.keep {
		return q.send(m)
	}
	q.kept = append(q.kept, m)
	q.size += m.Len()
	if !q.flush() {
		return false
	}
	if q.size > stream.ReplayLimit || q.settled.Load() {
		q.forget()
	}
	return true
}

// flush sends what is kept and was not sent yet. mu is held.
func (q *requests) flush() bool {
	for q.next < len(q.kept) {
		if !q.send(q.kept[q.next].Again()) {
			return false
		}
		q.next++
	}
	if q.ended && !q.closed {
		q.closed = true
		_ = q.to.to.CloseSend() // an error shows in the reply
		q.to.call.Flow.Finish(flow.Request, q.to.farOut)
	}
	return true
}

// send sends one message. mu is held.
func (q *requests) send(m *stream.Message) bool {
	p, n := q.to, m.Len()+prefix
	if l := p.call.limit; l != nil && int64(m.Len()) > l.Limit {
		m.Release()
		p.stop(l)
		return false
	}
	p.call.Flow.Blocked(flow.Request, p.farOut)
	if err := p.to.SendMsg(m); err != nil {
		m.Release()
		if !errors.Is(err, io.EOF) { // else the call is over, and the reply says how
			p.stop(err)
		}
		return false
	}
	q.flowed = true
	p.call.Flow.Mark(flow.Request, p.farOut, n)
	return true
}

// forget lets go of what is kept. mu is held.
func (q *requests) forget() {
	for _, m := range q.kept {
		m.Release()
	}
	q.keep, q.kept, q.next = false, nil, 0
}

// given says whether something was sent on the present way.
func (q *requests) given() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.flowed
}

// repeatable says whether all that was sent can be sent again.
func (q *requests) repeatable() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.keep || !q.flowed
}

// close is called when the call is over.
func (q *requests) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.keep {
		q.forget()
	}
}

// Keep has the call remember what its client sends, up to stream.ReplayLimit and
// until somebody answers: there are several who may take it.
func (c *Call) Keep() {
	c.requests.mu.Lock()
	defer c.requests.mu.Unlock()
	c.requests.keep = true
}

// Again says whether a call that ended with err may be made to somebody else:
// an app must not get it twice, and nothing of it may be lost.
func (c *Call) Again(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if _, ok := errors.AsType[*stream.UnreachableError](err); ok {
		return true
	}
	_, ok := errors.AsType[*stream.NotDeliveredError](err)
	return ok && c.requests.repeatable()
}
