package policy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"mesh/runtime/stream"
)

// Timeout limits how long a call may take. Zero durations do not limit.
type Timeout struct {
	FirstByte time.Duration // until the head of the reply, for each try
	Idle      time.Duration // without a byte in either direction, for each try
	Try       time.Duration // of each try, to the last byte: what a Resiliency of Dapr limits
	Total     time.Duration // of the whole call with all its tries, to the last byte
}

func (t Timeout) perTry() Timeout { return Timeout{FirstByte: t.FirstByte, Idle: t.Idle, Try: t.Try} }

// TimeoutError says which limit a call has exceeded.
type TimeoutError struct {
	Limit string // "first byte", "idle", "try" or "total"
	After time.Duration
}

func (e *TimeoutError) Error() string {
	switch e.Limit {
	case "first byte":
		return fmt.Sprintf("no reply within %v (timeout.first_byte)", e.After)
	case "idle":
		return fmt.Sprintf("nothing was sent in either direction for %v (timeout.idle)", e.After)
	case "try":
		return fmt.Sprintf("it took longer than %v (the timeout of a Resiliency)", e.After)
	}
	return fmt.Sprintf("the call took longer than %v (timeout.total)", e.After)
}

// Timeout says that this is a timeout, as net.Error does.
func (e *TimeoutError) Timeout() bool { return true }

func (t Timeout) wrap(next stream.Handler) stream.Handler {
	return stream.HandlerFunc(func(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
		return t.handle(ctx, c, next)
	})
}

func (t Timeout) handle(ctx context.Context, c *stream.Call, next stream.Handler) (*stream.Reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var clocks []*time.Timer
	stop := func() {
		for _, k := range clocks {
			k.Stop()
		}
		cancel(nil)
	}
	expire := func(limit string, after time.Duration) func() {
		return func() { cancel(&TimeoutError{Limit: limit, After: after}) }
	}
	var first *time.Timer
	if t.FirstByte > 0 {
		first = time.AfterFunc(t.FirstByte, expire("first byte", t.FirstByte))
		clocks = append(clocks, first)
	}
	if t.Try > 0 {
		clocks = append(clocks, time.AfterFunc(t.Try, expire("try", t.Try)))
	}
	if t.Total > 0 {
		clocks = append(clocks, time.AfterFunc(t.Total, expire("total", t.Total)))
	}
	var idle *silence
	if t.Idle > 0 {
		idle = newSilence(t.Idle, expire("idle", t.Idle))
		clocks = append(clocks, idle.timer)
		if c.Body != nil {
			call := *c
			call.Body = &heardReader{Reader: c.Body, heard: idle}
			c = &call
		}
	}
	r, err := next.Handle(ctx, c)
	if err != nil {
		err = because(ctx, err)
		stop()
		return nil, err
	}
	if first != nil {
		first.Stop()
	}
	reply := *r
	reply.Body = &limitedBody{cause: func() error { return context.Cause(ctx) }, ReadCloser: r.Body, heard: idle, stop: stop}
	return &reply, nil
}

// because gives the limit that was exceeded in place of the cancellation that
// it caused further down.
func because(ctx context.Context, err error) error {
	if over, ok := errors.AsType[*TimeoutError](context.Cause(ctx)); ok {
		return over
	}
	return err
}

// silence fires when nothing has been heard for a while. Hearing costs one
// store; the timer looks at what was heard and sleeps again.
type silence struct {
	limit time.Duration
	last  atomic.Int64 // since begun
	begun time.Time
	timer *time.Timer
}

func newSilence(limit time.Duration, fire func()) *silence {
	s := &silence{limit: limit, begun: time.Now()}
	armed := make(chan struct{})
	s.timer = time.AfterFunc(limit, func() {
		<-armed
		if quiet := time.Since(s.begun) - time.Duration(s.last.Load()); quiet < limit {
			s.timer.Reset(limit - quiet)
			return
		}
		fire()
	})
	close(armed)
	return s
}

func (s *silence) hear() {
	if s != nil {
		s.last.Store(int64(time.Since(s.begun)))
	}
}

type heardReader struct {
	io.Reader
	heard *silence
}

func (r *heardReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.heard.hear()
	return n, err
}

// Len passes on how much can be read without waiting.
func (r *heardReader) Len() int { return stream.Ready(r.Reader) }

type limitedBody struct {
	io.ReadCloser
	cause func() error
	heard *silence
	stop  func()
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.heard.hear()
	if err != nil && !errors.Is(err, io.EOF) {
		if over, ok := errors.AsType[*TimeoutError](b.cause()); ok {
			err = over
		}
	}
	return n, err
}

func (b *limitedBody) Close() error {
	err := b.ReadCloser.Close()
	b.stop()
	return err
}
