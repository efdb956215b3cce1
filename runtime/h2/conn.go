package h2

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"mesh/runtime/socket"
)

// conn is one end of a connection. One goroutine reads it.
type conn struct {
	nc       net.Conn
	pool     mem.BufferPool
	maxHead  int                 // bytes of a header list
	serve    func(*Stream) error // nil: this is the client's end
	path     string              // of the one method
	greeting *blocks             // of out.mu: what streams begin and end with
	blocks   func(table uint32) *blocks
	out      *out
	handlers sync.WaitGroup
	ctx      context.Context //nolint:containedctx // of a server's calls
	cancel   context.CancelFunc

	mu       sync.Mutex // not held while out.mu is taken
	streams  map[uint32]*Stream
	window   int64     // what may be sent
	short    []*Stream // that wait for window, or for what is queued to be written
	next     uint32    // id of the next stream, at the client's end
	last     uint32    // id of the last one that came, at the server's end
	leaving  bool      // no new stream begins
	err      error     // why it is over; nil: it is not
	settings settings  // the peer's
	quiet    time.Time // since when there is no stream

	in     reader
	pipes  pipes
	ready  chan struct{} // closed when the peer's settings have come
	done   chan struct{} // closed when it is over
	theirs atomic.Bool   // the peer is ours, too
	reads  atomic.Uint32 // counts them, so that silence is noticed
}

// settings are those of a peer that matter here.
type settings struct {
	window  int64
	frame   int
	streams uint32
}

// over ends the connection. It is no error if the peer was asked to leave.
func (c *conn) end(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err, c.leaving = err, true
	left, last := c.streams, c.last
	c.streams = nil
	c.mu.Unlock()
	if mistake, ok := errors.AsType[*connError](err); ok {
		c.send(func(b []byte) []byte { return appendGoAway(b, last, mistake.code, mistake.text) })
	}
	for _, s := range left {
		s.broken(status.Errorf(codes.Unavailable, "the connection to %v broke off: %v", c.nc.RemoteAddr(), err))
	}
	c.out.close()
	c.pipes.end()
	_ = c.nc.Close()
	c.cancel()
	close(c.done)
}

// reason says why the connection is over.
func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// ours says whether the peer is one of ours, whose messages end with their data.
func (c *conn) ours() bool { return c.theirs.Load() }

// send adds a frame without payload of a message, and writes.
func (c *conn) send(frame func([]byte) []byte) {
	c.out.mu.Lock()
	c.out.fill.arena = frame(c.out.fill.arena)
	c.out.flush()
}

// find gives a stream, nil if it is over.
func (c *conn) find(id uint32) *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[id]
}

// forget takes a stream off the connection, after which it can send no more. It
// gives false when that is so already.
func (c *conn) forget(s *Stream) bool {
	c.mu.Lock()
	if s.over {
		c.mu.Unlock()
		return false
	}
	s.over = true
	s.tellRoom()
	delete(c.streams, s.id)
	left := len(c.streams) == 0 && c.leaving && c.serve == nil
	quiet := len(c.streams) == 0
	if quiet {
		c.quiet = time.Now()
	}
	c.mu.Unlock()
	if quiet {
		c.pipes.drop()
	}
	if left {
		c.end(errLeft)
	}
	return true
}

// withoutTrailers gives the status of a stream that ends with data: a request may,
// a reply has no status then.
func (c *conn) withoutTrailers() error {
	if c.serve != nil {
		return nil
	}
	return (&fields{}).ended()
}

// settle takes the peer's settings in.
func (c *conn) settle(b []byte) error {
	c.out.mu.Lock()
	err := eachSetting(b, func(s http2.Setting) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch s.ID { //nolint:exhaustive // the others mean nothing here
		case http2.SettingHeaderTableSize:
			if s.Val < defaultTable {
				c.greeting = c.blocks(s.Val)
			}
		case http2.SettingInitialWindowSize:
			more := int64(s.Val) - c.settings.window
			c.settings.window = int64(s.Val)
			for _, s := range c.streams {
				if s.window += more; s.window > maxStreamID {
					return &connError{http2.ErrCodeFlowControl, "the window of a stream is too wide"}
				}
				s.tellRoom()
			}
		case http2.SettingMaxFrameSize:
			c.settings.frame = min(int(s.Val), maxFrame)
		case settingOurs:
			c.theirs.Store(true)
		case http2.SettingMaxConcurrentStreams:
			c.settings.streams = s.Val
		}
		return nil
	})
	c.out.fill.arena = appendHead(c.out.fill.arena, 0, http2.FrameSettings, http2.FlagSettingsAck, 0)
	c.out.flush()
	if err != nil {
		return err
	}
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
	return nil
}

// tellShort wakes those that wait for what all streams share. c.mu is held.
func (c *conn) tellShort() {
	for i, s := range c.short {
		s.short = false
		s.tellRoom()
		c.short[i] = nil
	}
	c.short = c.short[:0]
}

func (c *conn) wakeShort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tellShort()
}

// widen takes a WINDOW_UPDATE in.
func (c *conn) widen(id uint32, n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id == 0 {
		if c.window += n; c.window > maxStreamID {
			return &connError{http2.ErrCodeFlowControl, "the window is too wide"}
		}
		c.tellShort()
		return nil
	}
	if s := c.streams[id]; s != nil {
		if s.window += n; s.window > maxStreamID {
			return &connError{http2.ErrCodeFlowControl, "the window of a stream is too wide"}
		}
		s.tellRoom()
	}
	return nil
}

// frame takes in a frame other than DATA, HEADERS and CONTINUATION.
func (c *conn) frame(h frameHead, b []byte) error {
	n := len(b)
	switch h.typ { //nolint:exhaustive // those of a fixed size
	case http2.FrameRSTStream, http2.FrameWindowUpdate:
		n = 4
	case http2.FramePing:
		n = 8
	}
	if len(b) != n {
		return &connError{http2.ErrCodeFrameSize, fmt.Sprintf("a %v of %d bytes", h.typ, len(b))}
	}
	switch h.typ {
	case http2.FrameSettings:
		if h.flags.Has(http2.FlagSettingsAck) {
			return nil
		}
		if len(b)%6 != 0 {
			return &connError{http2.ErrCodeFrameSize, "settings that are cut off"}
		}
		return c.settle(b)
	case http2.FramePing:
		data := [8]byte(b)
		if h.flags.Has(http2.FlagPingAck) {
			c.answered(data)
			return nil
		}
		c.send(func(out []byte) []byte { return appendPing(out, http2.FlagPingAck, data) })
	case http2.FrameWindowUpdate:
		n := int64(binary.BigEndian.Uint32(b) & maxStreamID)
		if n == 0 {
			return &connError{http2.ErrCodeProtocol, "a window that grows by nothing"}
		}
		return c.widen(h.id, n)
	case http2.FrameRSTStream:
		if s := c.find(h.id); s != nil {
			s.wasReset(http2.ErrCode(binary.BigEndian.Uint32(b)))
		}
	case http2.FrameGoAway:
		if len(b) < 8 {
			return &connError{http2.ErrCodeFrameSize, "a GOAWAY that is cut off"}
		}
		c.goneAway(binary.BigEndian.Uint32(b)&maxStreamID, http2.ErrCode(binary.BigEndian.Uint32(b[4:])), string(b[8:]))
	case http2.FramePushPromise:
		return &connError{http2.ErrCodeProtocol, "a push that was not asked for"}
	case http2.FrameData, http2.FrameHeaders, http2.FrameContinuation, http2.FramePriority, http2.FramePriorityUpdate:
	}
	return nil
}

// goneAway hears that the peer takes no streams after the last one it names.
func (c *conn) goneAway(last uint32, code http2.ErrCode, why string) {
	var refused []*Stream
	c.mu.Lock()
	c.leaving = true
	if c.serve == nil {
		for id, s := range c.streams {
			if id > last {
				refused = append(refused, s)
			}
		}
	}
	left := len(c.streams) == 0 && c.serve == nil
	c.mu.Unlock()
	for _, s := range refused {
		s.broken(&NotProcessedError{fmt.Sprintf("the peer is closing the connection (%v %s)", code, why)})
	}
	if left {
		c.end(errLeft)
	}
}

var errLeft = errors.New("the peer has left")

// headers takes a whole header block in.
func (c *conn) headers(id uint32, block []byte, last bool) error {
	f := &c.in.fields
	*f = fields{}
	if _, err := c.in.table.Write(block); err != nil {
		return &connError{http2.ErrCodeCompression, err.Error()}
	}
	if err := c.in.table.Close(); err != nil {
		return &connError{http2.ErrCodeCompression, err.Error()}
	}
	s := c.find(id)
	switch {
	case s == nil && c.serve != nil:
		return c.accept(id, f, last)
	case s == nil:
		return nil // it is over
	case f.size > c.maxHead:
		s.reset(http2.ErrCodeCancel, status.Errorf(codes.Internal, "the headers of the peer are longer than %d bytes", c.maxHead))
		return nil
	case c.serve != nil:
		if !last {
			return &connError{http2.ErrCodeProtocol, "a second header block that does not end the stream"}
		}
		s.ended(nil)
		return nil
	}
	if !s.began && (last || len(f.status) != 3 || f.status[0] != '1') { // else it is informational, and nothing to us
		if err := f.begins(); err != nil {
			s.reset(http2.ErrCodeCancel, err)
			return nil
		}
		s.began = true
	}
	if last {
		s.ended(f.ended())
	}
	return nil
}

// run reads the connection to its end.
func (c *conn) run() {
	err := c.in.run()
	if errors.Is(err, io.EOF) {
		err = errors.New("the peer has closed it")
	}
	c.end(err)
	c.out.close() // whoever else is ending it may not have come so far
	c.out.late.Wait()
}

// newConn gives one end of a connection; whoever makes it calls run.
func newConn(nc net.Conn, pool mem.BufferPool, maxHead int) *conn {
	if sock, err := socket.New(nc); err == nil {
		nc = sock
	}
	c := &conn{
		nc: nc, pool: pool, maxHead: maxHead, streams: map[uint32]*Stream{}, window: defaultWindow, next: 1,
		settings: settings{window: defaultWindow, frame: defaultFrame, streams: 1<<32 - 1},
		quiet:    time.Now(), ready: make(chan struct{}), done: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.out = newOut(nc, c.end, c.wakeShort)
	c.in.c, c.in.window = c, connWindow
	c.in.table = hpack.NewDecoder(defaultTable, c.in.fields.add)
	c.in.table.SetMaxStringLength(maxHead)
	return c
}
