package h2

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// Stream is one call. One goroutine at a time sends and one receives; Abort may
// be called by any.
type Stream struct {
	c  *conn
	id uint32

	// Of a served call.
	ctx     context.Context //nolint:containedctx // it is its own
	end     context.CancelCauseFunc
	expire  context.CancelFunc // nil: it has no deadline
	refused error              // why it is not served

	unwatch func() bool // ends the watch of the caller's context; nil: none
	began   bool        // the headers of the reply have come, or been sent
	moves   atomic.Bool // whoever receives can do with pipes

	// What is sent. Of c.mu.
	window int64
	sent   bool          // no more is to be sent
	over   bool          // it is no longer one of c.streams
	short  bool          // it is one of c.short
	room   chan struct{} // holds one when the window may have grown; nil: nobody has waited yet

	came chan struct{} // holds one when something may have come

	mu     sync.Mutex // of what follows
	in     mem.BufferSlice
	size   int   // of in
	why    error // no more comes; io.EOF: the peer has sent all. nil: more comes
	gone   bool  // what has come is not wanted any more
	left   int   // what the peer may still send
	early  int   // bytes of in that count as read already
	unsaid int   // bytes that were read and that the peer has not been told of
	wide   bool  // it has been given wideWindow
}

// NotProcessedError says that the peer's app has got nothing of a call.
type NotProcessedError struct{ Why string }

func (e *NotProcessedError) Error() string { return "the call was not taken: " + e.Why }

// GRPCStatus gives what gRPC says of that.
func (e *NotProcessedError) GRPCStatus() *status.Status {
	return status.New(codes.Unavailable, e.Error())
}

var (
	errTooMuch = status.Error(codes.Internal, "the peer sent more than the window lets through")

	// errSent is what sending gives when the peer wants no more: why, receiving says.
	errSent = fmt.Errorf("the peer takes no more: %w", io.EOF)
)

func newStream(c *conn) *Stream {
	return &Stream{c: c, came: make(chan struct{}, 1), left: streamWindow, window: c.settings.window}
}

// Context is that of a served call: it ends with it.
func (s *Stream) Context() context.Context { return s.ctx }

func (s *Stream) tellCame() {
	select {
	case s.came <- struct{}{}:
	default:
	}
}

// tellRoom wakes who waits to send. c.mu is held.
func (s *Stream) tellRoom() {
	if s.room != nil {
		select {
		case s.room <- struct{}{}:
		default:
		}
	}
}

// How a message is sent.
const (
	Last = 1 << iota // nothing follows it
	Soon             // the next, or the end, follows at once: it may wait for that
)

// Send sends a message, which it takes over. It waits for the window of the
// peer. An error says only that the peer takes no more; why, Recv says.
func (s *Stream) Send(bufs mem.BufferSlice, how int) error {
	defer bufs.Free()
	m := message{bufs: bufs}
	n := bufs.Len()
	if n > maxMessage {
		return status.Errorf(codes.ResourceExhausted, "a message of %d bytes", n)
	}
	binary.BigEndian.PutUint32(m.prefix[1:], uint32(n)) //nolint:gosec // see above
	for left := prefixLen + n; left > 0; {
		k, err := s.reserve(left, how&Last != 0)
		if err != nil {
			return err
		}
		left -= k
		var flags http2.Flags
		if left == 0 && how&Last != 0 {
			flags = http2.FlagDataEndStream
		}
		o := s.c.out
		o.mu.Lock()
		s.begin(o.fill)
		o.fill.arena = appendHead(o.fill.arena, k, http2.FrameData, flags, s.id)
		o.message(&m, k)
		if left == 0 && how&Soon != 0 {
			o.mu.Unlock()
		} else {
			o.flush()
		}
	}
	return nil
}

// begin adds the headers of a reply, unless they have been. out.mu is held.
func (s *Stream) begin(b *batch) {
	if s.c.serve == nil || s.began {
		return
	}
	s.began = true
	b.arena = appendHeaders(b.arena, s.id, s.c.greeting.next(blockHead), false)
}

// reserve gives how many of n bytes may be sent now, at least one. The last of
// them are the last of the stream if that is said.
func (s *Stream) reserve(n int, last bool) (int, error) {
	c := s.c
	for {
		c.mu.Lock()
		if s.over || s.sent {
			c.mu.Unlock()
			return 0, errSent
		}
		full := c.out.full.Load()
		if k := int(min(int64(n), s.window, c.window, int64(c.settings.frame))); k > 0 && !full {
			s.window -= int64(k)
			c.window -= int64(k)
			s.sent = last && k == n
			c.mu.Unlock()
			return k, nil
		}
		if s.room == nil {
			s.room = make(chan struct{}, 1)
		}
		if (full || c.window <= 0) && !s.short {
			s.short = true
			c.short = append(c.short, s)
		}
		room := s.room
		c.mu.Unlock()
		c.out.mu.Lock()
		c.out.flush()
		<-room
	}
}

// CloseSend says that no more messages come.
func (s *Stream) CloseSend() error {
	c := s.c
	c.mu.Lock()
	if s.over || s.sent {
		c.mu.Unlock()
		return nil
	}
	s.sent = true
	c.mu.Unlock()
	c.send(func(b []byte) []byte { return appendHead(b, 0, http2.FrameData, http2.FlagDataEndStream, s.id) })
	return nil
}

// ended hears that the peer has sent all; a reply ended with a status, nil: OK.
func (s *Stream) ended(err error) {
	if err == nil {
		err = io.EOF
	}
	s.stop(err)
	if s.c.serve != nil || !s.c.forget(s) || s.sent {
		return
	}
	s.c.send(func(b []byte) []byte { return appendReset(b, s.id, http2.ErrCodeNo) })
}

// broken ends the stream without a word to the peer.
func (s *Stream) broken(why error) {
	s.c.forget(s)
	s.stop(why)
	if s.end != nil {
		s.end(why)
	}
}

// wasReset hears that the peer has ended the stream.
func (s *Stream) wasReset(code http2.ErrCode) {
	if s.c.serve != nil {
		s.broken(status.Error(codes.Canceled, "the caller has given the call up"))
		return
	}
	if code == http2.ErrCodeRefusedStream {
		s.broken(&NotProcessedError{"the peer refused the stream"})
		return
	}
	to := codes.Internal // gRPC's mapping of HTTP/2 codes
	switch code {        //nolint:exhaustive // the others are all the same
	case http2.ErrCodeCancel:
		to = codes.Canceled
	case http2.ErrCodeEnhanceYourCalm:
		to = codes.ResourceExhausted
	case http2.ErrCodeInadequateSecurity:
		to = codes.PermissionDenied
	}
	s.broken(status.Errorf(to, "the peer ended the stream with %v", code))
}

// expired ends sending and receiving of a served call, so that its handler can
// answer that its time is over.
func (s *Stream) expired() {
	if !errors.Is(s.ctx.Err(), context.DeadlineExceeded) {
		return
	}
	s.c.mu.Lock()
	s.sent = true
	s.tellRoom()
	s.c.mu.Unlock()
	s.stop(status.FromContextError(context.DeadlineExceeded).Err())
}

// reset ends the stream and tells the peer.
func (s *Stream) reset(code http2.ErrCode, why error) {
	if s.c.forget(s) {
		s.c.send(func(b []byte) []byte { return appendReset(b, s.id, code) })
	}
	s.broken(why)
}

// Abort ends a call at the client's end: what has not been received is dropped,
// and later receiving fails with why.
func (s *Stream) Abort(why error) {
	s.drop(why)
	if s.c.forget(s) {
		s.c.send(func(b []byte) []byte { return appendReset(b, s.id, http2.ErrCodeCancel) })
	}
}

// Close is Abort by whoever has opened the stream, who must call it in the end:
// then the end of the context has no effect any more.
func (s *Stream) Close(why error) {
	s.mu.Lock()
	unwatch := s.unwatch
	s.unwatch = nil // once: later somebody else may be watching
	s.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
	s.Abort(why)
}

// finish ends a served call with the error of its handler.
func (s *Stream) finish(err error) {
	s.mu.Lock()
	all := s.why != nil // the caller has sent all
	s.mu.Unlock()
	o := s.c.out
	o.mu.Lock()
	if s.c.forget(s) {
		b := o.fill
		if err == nil {
			s.begin(b)
			b.arena = appendHeaders(b.arena, s.id, s.c.greeting.next(blockOK), true)
		} else {
			var block []byte
			if !s.began {
				block = append(block, s.c.greeting.next(blockHead)...)
			}
			b.arena = appendHeaders(b.arena, s.id, appendStatus(block, convert(err)), true)
		}
		if !all {
			b.arena = appendReset(b.arena, s.id, http2.ErrCodeNo)
		}
	}
	o.flush()
	s.drop(errFinished)
	s.end(errFinished)
}

// convert gives the status of a handler's error, as gRPC does.
func convert(err error) *status.Status {
	if st, ok := status.FromError(err); ok {
		return st
	}
	return status.FromContextError(err)
}

var errFinished = errors.New("the call is over")
