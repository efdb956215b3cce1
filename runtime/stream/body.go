package stream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"mesh/runtime/flow"
)

// bodyReader is a body that arrives in frames. Read receives the next frame
// when the last is used up: a reader that pauses makes the sender wait.
type bodyReader struct {
	from  frames
	pool  *bufferPool
	frame inFrame // the one that is being read
	seq   uint64  // of the next frame with a payload
	left  int64   // bytes still to come; -1: unknown
	flow  *flow.Flow
	dir   flow.Dir
	err   error       // sticky
	ended atomic.Bool // err was given to the reader: nobody waits for a frame

	// wanted is told that the peer is to send the body; nil: it does so anyway.
	wanted func()

	// extra takes a head that is not the first; it may carry trailers.
	extra   func(head []byte) (http.Header, error)
	trailer http.Header
}

// hop is where received frames are marked: a request is received by the
// callee's sidecar, a reply by the caller's.
func (b *bodyReader) hop() flow.Hop {
	if b.dir == flow.Request {
		return flow.CalleeIn
	}
	return flow.CallerIn
}

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if n := b.frame.read(p); n > 0 {
			return n, nil
		}
		if b.err != nil {
			b.ended.Store(true)
			return 0, b.err
		}
		b.receive()
	}
}

// Len says how much can be read without waiting.
func (b *bodyReader) Len() int { return b.frame.n }

// receive takes the next frame in, or sets err.
func (b *bodyReader) receive() {
	if b.wanted != nil {
		b.wanted()
		b.wanted = nil
	}
	if err := b.from.recv(&b.frame); err != nil {
		switch {
		case !errors.Is(err, io.EOF):
			b.err = fmt.Errorf("receiving a frame: %w", err)
		case b.left > 0:
			b.err = fmt.Errorf("the body ended %d bytes before its Content-Length: %w", b.left, io.ErrUnexpectedEOF)
		default:
			b.err = io.EOF
			b.flow.Finish(b.dir, b.hop())
		}
		return
	}
	if b.frame.hasHead && len(b.frame.head) > 0 {
		if b.trailer, b.err = b.extra(b.frame.head); b.err != nil {
			b.frame.release()
			return
		}
	}
	b.took()
}

// letGo lets go of what has been received and not been read, when the reply has been
// closed: nobody reads any more but a tunnel.
func (b *bodyReader) letGo(r *Reply) {
	if r.Tunnel == nil {
		b.frame.release()
	}
}

// took checks the frame that has just been received.
func (b *bodyReader) took() {
	if !b.frame.payload {
		return
	}
	n := b.frame.n
	if b.frame.seq != b.seq {
		b.err = &sequenceError{got: b.frame.seq, want: b.seq}
		b.frame.release()
		return
	}
	b.seq++
	if b.flow.Capturing() {
		b.flow.PassParts(b.dir, b.hop(), b.frame.pieces()...)
	} else {
		b.flow.Mark(b.dir, b.hop(), n)
	}
	if b.left >= 0 {
		b.left -= int64(n)
		switch {
		case b.left < 0:
			b.err = errors.New("the body is longer than its Content-Length")
			b.frame.release()
		case b.left == 0 && b.dir == flow.Request:
			// Whole: who sends it on need not wait for the caller to say so. A
			// reply is different, the far end has still to finish.
			b.err = io.EOF
			b.ended.Store(true)
			b.flow.Finish(b.dir, b.hop())
		}
	}
}
