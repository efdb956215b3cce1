package h2

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// ServerOptions say what is served.
type ServerOptions struct {
	Method    string              // "/service/method"
	Serve     func(*Stream) error // called in a goroutine for each call; a nil error is the status OK
	Pool      mem.BufferPool      // for what is received
	MaxHeader int                 // bytes of headers that are taken
}

// Server serves one method on the connections of Clients.
type Server struct {
	o ServerOptions

	mu      sync.Mutex
	conns   map[*conn]struct{}
	strange map[net.Conn]struct{} // that have not said yet who they are
	leaving bool
	all     sync.WaitGroup
}

// NewServer gives a Server; end it with Shutdown.
func NewServer(o ServerOptions) *Server {
	return &Server{o: o, conns: map[*conn]struct{}{}, strange: map[net.Conn]struct{}{}}
}

// What a server's streams begin and end with.
const (
	blockHead = iota
	blockOK
)

// sniffTimeout is how long a connection may take to say who it is.
const sniffTimeout = 10 * time.Second

// Take looks at how a connection begins. One of a Client it serves until it ends.
// Any other is left to the caller, with what has been read of it already. On error
// nobody is there.
func (s *Server) Take(nc net.Conn) (first []byte, ours bool, err error) {
	s.mu.Lock()
	if s.leaving {
		s.mu.Unlock()
		_ = nc.Close()
		return nil, false, errLeft
	}
	s.all.Add(1)
	s.strange[nc] = struct{}{}
	s.mu.Unlock()
	defer s.all.Done()
	_ = nc.SetReadDeadline(time.Now().Add(sniffTimeout))
	first, ours, err = sniff(nc)
	s.mu.Lock()
	delete(s.strange, nc)
	s.mu.Unlock()
	if err = errors.Join(err, nc.SetReadDeadline(time.Time{})); err != nil {
		_ = nc.Close()
		return nil, false, err
	}
	if ours {
		s.serve(nc, first[len(http2.ClientPreface):])
	}
	return first, ours, nil
}

// serve serves a connection until it ends, of which its first frame has been read.
func (s *Server) serve(nc net.Conn, first []byte) {
	c := newConn(nc, s.o.Pool, s.o.MaxHeader)
	c.serve, c.path = s.o.Serve, s.o.Method
	c.blocks = func(table uint32) *blocks {
		return newBlocks(table,
			[]hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "content-type", Value: contentType}},
			[]hpack.HeaderField{{Name: "grpc-status", Value: "0"}})
	}
	c.greeting = c.blocks(defaultTable)
	s.mu.Lock()
	if s.leaving {
		s.mu.Unlock()
		c.end(errLeft)
		return
	}
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	c.send(func(b []byte) []byte { return c.greet(b) })
	c.in.early = first
	c.run()
	c.handlers.Wait()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// sniff reads as much as it takes to tell whether a connection is a Client's. Then
// first ends with its first frame.
func sniff(nc net.Conn) (first []byte, ours bool, err error) {
	begin := len(http2.ClientPreface) + headLen
	read := func(to int) (bool, error) {
		for len(first) < to {
			b := make([]byte, to-len(first))
			n, err := nc.Read(b)
			if first = append(first, b[:n]...); n == 0 && err != nil {
				if len(first) > 0 && errors.Is(err, io.EOF) {
					return false, nil
				}
				return false, err
			}
			if n := min(len(first), len(http2.ClientPreface)); string(first[:n]) != http2.ClientPreface[:n] {
				return false, nil
			}
		}
		return true, nil
	}
	if more, err := read(begin); !more {
		return first, false, err
	}
	h := parseHead(first[len(http2.ClientPreface):])
	if h.typ != http2.FrameSettings || h.n > defaultFrame {
		return first, false, nil
	}
	if more, err := read(begin + h.n); !more {
		return first, false, err
	}
	err = eachSetting(first[begin:], func(s http2.Setting) error {
		ours = ours || s.ID == settingOurs
		return nil
	})
	return first, ours && err == nil, nil
}

// accept begins a call.
func (c *conn) accept(id uint32, f *fields, last bool) error {
	c.mu.Lock()
	if id%2 == 0 || id <= c.last {
		c.mu.Unlock()
		if id%2 == 0 {
			return &connError{http2.ErrCodeProtocol, "a stream with an even number"}
		}
		return nil // trailers of a stream that is over
	}
	if c.leaving {
		c.mu.Unlock()
		c.send(func(b []byte) []byte { return appendReset(b, id, http2.ErrCodeRefusedStream) })
		return nil
	}
	c.last = id
	s := newStream(c)
	s.id = id
	s.ctx, s.end = context.WithCancelCause(c.ctx) // before anybody can find and end it
	c.streams[id] = s
	c.mu.Unlock()
	switch {
	case f.size > c.maxHead:
		s.refused = status.Errorf(codes.ResourceExhausted, "headers of more than %d bytes", c.maxHead)
	case f.path != c.path:
		s.refused = status.Errorf(codes.Unimplemented, "unknown method %s", f.path)
	case f.timeout != "":
		if limit, err := parseTimeout(f.timeout); err != nil {
			s.refused = status.Error(codes.Internal, err.Error())
		} else {
			ctx, cancel := context.WithTimeout(s.ctx, limit)
			s.ctx = ctx
			unwatch := context.AfterFunc(ctx, s.expired)
			s.expire = func() {
				unwatch() // else the end of the call would wake a goroutine
				cancel()
			}
		}
	}
	c.in.begun = append(c.in.begun, s)
	if last {
		s.stop(io.EOF)
	}
	return nil
}

// call serves a call.
func (s *Stream) call() {
	err := s.refused
	if err == nil {
		err = s.c.serve(s)
	}
	if s.expire != nil {
		s.expire()
	}
	s.finish(err)
}

// drainPing is a ping that tells its answer from others.
const drainPing = "leaving!"

// Shutdown lets the calls under way end, takes no others, and closes all
// connections: after grace at the latest.
func (s *Server) Shutdown(grace time.Duration) {
	s.mu.Lock()
	s.leaving = true
	for c := range s.conns {
		s.all.Go(func() { c.drain(grace) })
	}
	for nc := range s.strange {
		_ = nc.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}

// drain asks the client to open no more streams, learns which it has opened
// meanwhile, and waits until it has received all of them and closes the connection.
func (c *conn) drain(grace time.Duration) {
	late := time.AfterFunc(grace, func() { c.end(errLeft) })
	defer late.Stop()
	c.send(func(b []byte) []byte {
		return appendPing(appendGoAway(b, maxStreamID, http2.ErrCodeNo, ""), 0, [8]byte([]byte(drainPing)))
	})
	<-c.done
}

// answered hears the answer to a ping.
func (c *conn) answered(data [8]byte) {
	if c.serve == nil || string(data[:]) != drainPing {
		return
	}
	c.mu.Lock()
	c.leaving = true
	last := c.last
	c.mu.Unlock()
	c.send(func(b []byte) []byte { return appendGoAway(b, last, http2.ErrCodeNo, "") })
}
