// Package http1 is an HTTP/1.1 server for a proxy's path. One goroutine serves
// one connection, and nothing else runs for a request: whether the client is
// still there is watched for all connections together. A connection that waits
// holds no buffer. Both directions of a request flow at once, every flush is
// one write, and bodies of known length can move inside the kernel.
//
// It calls an http.Handler with an http.ResponseWriter that is a *Response and
// a body that is a *Body; both know more than net/http's. A head that could be
// understood in two ways is refused. HTTP/2 with prior knowledge is recognized
// and handed to net/http.
package http1

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	headTimeout = 10 * time.Second       // from the first byte of a head to its last
	idleTimeout = 5 * time.Minute        // of a connection between two requests
	lingerTime  = 500 * time.Millisecond // for the client to read the last reply
	stopTime    = 5 * time.Second        // for calls to end that were told to
	acceptPause = 50 * time.Millisecond  // when no connection can be accepted
)

// Options are what a Server needs.
type Options struct {
	Handler   http.Handler  // serves the requests
	MaxHeader func() int    // bytes of a request's head, asked for each; more is answered with 431
	Advice    string        // what that answer says can be done about it; may be ""
	Grace     time.Duration // how long calls may go on when the server stops
	Log       *slog.Logger  // for what goes wrong on the wire
}

// tooLarge says why a head is not taken.
func (o *Options) tooLarge(limit int) string {
	text := fmt.Sprintf("the headers are larger than %d bytes (the limit)", limit)
	if o.Advice != "" {
		text += ": " + o.Advice
	}
	return text
}

// Server serves one listener. Make it with New.
type Server struct {
	o       Options
	buffers sync.Pool // of *[]byte, bufferSize long
	watch   watcher
	http2   *handover
	period  atomic.Uint32 // counts sweeps; tells how long a connection has been idle

	mu       sync.Mutex
	conns    map[*conn]struct{}
	stopping atomic.Bool
	empty    chan struct{} // closed when the last connection ends after stopping
	closed   bool          // empty is closed
}

// New gives a Server.
func New(o Options) *Server {
	return &Server{o: o, conns: map[*conn]struct{}{}, empty: make(chan struct{})}
}

// Serve serves the listener, which it closes, until ctx ends. Then requests in
// flight have Options.Grace to end before their context does; Serve returns
// when the last one has ended. It is called once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	// Calls outlive ctx by the grace, so they have a context of their own.
	calls, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	s.http2 = newHandover(calls, s.o, ln.Addr())
	defer s.watch.close()
	accepted := make(chan error, 1)
	go func() { accepted <- s.accept(calls, ln) }()
	sweep := time.NewTicker(idleTimeout)
	defer sweep.Stop()
	var failed error
	for over := false; !over; {
		select {
		case failed = <-accepted:
			over = true
		case <-ctx.Done():
			over = true
		case <-sweep.C:
			s.sweep()
		}
	}
	ln.Close()
	if failed == nil {
		failed = <-accepted
	}
	err := s.stop(ctx, calls, cancel)
	if failed != nil {
		return fmt.Errorf("accepting connections on %v: %w", ln.Addr(), failed)
	}
	return err
}

// stop ends all connections, the idle ones at once.
func (s *Server) stop(ctx, calls context.Context, cancel context.CancelCauseFunc) error {
	s.stopping.Store(true)
	s.interrupt()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.http2.shutdown(calls)
		<-s.empty
	}()
	if within(ended, s.o.Grace) {
		return nil
	}
	cancel(context.Cause(ctx))
	if within(ended, stopTime) {
		return nil
	}
	s.mu.Lock()
	n := len(s.conns)
	for c := range s.conns {
		c.nc.Close()
	}
	s.mu.Unlock()
	s.http2.close()
	<-ended
	return fmt.Errorf("%d connections were closed in the middle of a call: %w", n, context.DeadlineExceeded)
}

func within(ended <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ended:
		return true
	case <-t.C:
		return false
	}
}

// accept takes connections until the listener is closed.
func (s *Server) accept(calls context.Context, ln net.Listener) error {
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return nil
		case outOfFiles(err):
			// Connections that end make room.
			s.o.Log.WarnContext(calls, "a connection cannot be accepted", slog.Any("error", err))
			if within(calls.Done(), acceptPause) {
				return nil
			}
			continue
		default:
			return err
		}
		c, err := newConn(s, nc)
		if err != nil {
			s.o.Log.DebugContext(calls, "a connection is not served", slog.Any("error", err))
			nc.Close()
			continue
		}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		go c.serve(calls)
	}
}

// forget takes a connection out that has ended.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.checkEmpty()
}

// checkEmpty tells stop of the end; mu is held.
func (s *Server) checkEmpty() {
	if s.stopping.Load() && len(s.conns) == 0 && !s.closed {
		s.closed = true
		close(s.empty)
	}
}

// interrupt closes the connections that wait for a request.
func (s *Server) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.closeIdle()
	}
	s.checkEmpty()
}

// sweep closes connections that have been idle since the sweep before.
func (s *Server) sweep() {
	now := s.period.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if now-c.idleSince.Load() > 1 {
			c.closeIdle()
		}
	}
}
