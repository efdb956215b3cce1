package h2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/mem"
)

// ClientOptions say how a peer is called.
type ClientOptions struct {
	Addr      string // host:port
	Method    string // "/service/method"
	Dial      func(ctx context.Context, addr string) (net.Conn, error)
	Pool      mem.BufferPool // for what is received
	MaxHeader int            // bytes of headers that are taken
}

// Client opens streams of one method at a peer. It connects when it is first
// needed, and again when it has to; it lets go of a connection that is idle.
type Client struct {
	o ClientOptions

	life context.Context //nolint:containedctx // of the dialling
	end  context.CancelFunc
	all  sync.WaitGroup

	mu     sync.Mutex
	conns  []*conn
	dial   *dialling // nil: nobody dials
	closed bool
}

// dialling is an attempt to connect that any number wait for.
type dialling struct {
	done chan struct{}
	c    *conn // once done
	err  error
}

// ErrClosed is why a closed Client opens no stream.
var ErrClosed = errors.New("the client is closed")

// NewClient gives a Client; nothing is dialled yet.
func NewClient(o ClientOptions) *Client {
	cl := &Client{o: o}
	cl.life, cl.end = context.WithCancel(context.Background())
	return cl
}

// Close breaks off all streams and returns when nothing is left of the
// connections.
func (cl *Client) Close() {
	cl.mu.Lock()
	cl.closed = true
	conns := slices.Clone(cl.conns)
	cl.mu.Unlock()
	cl.end()
	for _, c := range conns {
		c.end(ErrClosed)
	}
	cl.all.Wait()
}

// Open gives a new stream, which ends with ctx, and which the caller must Close.
// An error says that there is no connection and nothing was sent.
func (cl *Client) Open(ctx context.Context) (*Stream, error) {
	for left := 0; left < 3; { // a peer that leaves as soon as it is reached is as good as none
		s, d, err := cl.try(ctx)
		if err != nil {
			return nil, err
		}
		if s != nil {
			s.watch(ctx)
			return s, nil
		}
		select {
		case <-d.done:
			if d.err != nil {
				return nil, d.err
			}
			if d.c.isLeaving() { // else others have taken all it gives
				left++
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return nil, errLeft
}

// try opens a stream on a connection that there is, or gives the dialling for
// another.
func (cl *Client) try(ctx context.Context) (*Stream, *dialling, error) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.closed {
		return nil, nil, ErrClosed
	}
	for _, c := range cl.conns {
		if s := c.open(ctx); s != nil {
			return s, nil, nil
		}
	}
	if cl.dial == nil {
		d := &dialling{done: make(chan struct{})}
		cl.dial = d
		cl.all.Go(func() {
			c, err := cl.connect()
			cl.mu.Lock()
			d.c, d.err, cl.dial = c, err, nil
			closed := cl.closed
			if err == nil && !closed && c.reason() == nil { // else nobody would forget it
				cl.conns = append(cl.conns, c)
			}
			cl.mu.Unlock()
			if err == nil && closed {
				c.end(ErrClosed)
			}
			close(d.done)
		})
	}
	return nil, cl.dial, nil
}

// connect gives a connection whose peer has said its settings.
func (cl *Client) connect() (*conn, error) {
	ctx, stop := context.WithTimeout(cl.life, dialTimeout)
	defer stop()
	nc, err := cl.o.Dial(ctx, cl.o.Addr)
	if err != nil {
		return nil, err
	}
	c := newConn(nc, cl.o.Pool, cl.o.MaxHeader)
	c.blocks = func(table uint32) *blocks {
		return newBlocks(table, []hpack.HeaderField{
			{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "http"},
			{Name: ":path", Value: cl.o.Method},
			{Name: ":authority", Value: cl.o.Addr},
			{Name: "content-type", Value: contentType},
			{Name: "te", Value: "trailers"},
		})
	}
	c.greeting = c.blocks(defaultTable)
	c.send(func(b []byte) []byte { // before anything is read, and so answered
		b = append(b, http2.ClientPreface...)
		return c.greet(b, http2.Setting{ID: http2.SettingEnablePush}, http2.Setting{ID: settingOurs, Val: 1})
	})
	cl.all.Go(func() {
		c.run()
		cl.forget(c)
	})
	select {
	case <-c.ready:
	case <-c.done:
		return nil, fmt.Errorf("the peer did not greet: %w", c.reason())
	case <-ctx.Done():
		err := fmt.Errorf("the peer did not greet within %v", dialTimeout)
		c.end(err)
		return nil, err
	}
	if c.takesNone() {
		err := errors.New("the peer takes no streams")
		c.end(err)
		return nil, err
	}
	cl.all.Go(c.keepAlive)
	return c, nil
}

func (c *conn) isLeaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving
}

func (c *conn) takesNone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settings.streams == 0
}

func (cl *Client) forget(c *conn) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.conns = slices.DeleteFunc(cl.conns, func(o *conn) bool { return o == c })
}

// greet adds the settings that both ends have in common, and more.
func (c *conn) greet(b []byte, more ...http2.Setting) []byte {
	b = appendSettings(b, append(more,
		http2.Setting{ID: settingOurs, Val: 1},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxFrameSize, Val: maxFrame},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.maxHead)}, //nolint:gosec // about a MiB
	)...)
	return appendWindow(b, 0, connWindow-defaultWindow)
}

// open begins a stream; nil: not on this connection. The headers go with whatever
// is sent next.
func (c *conn) open(ctx context.Context) *Stream {
	timeout := timeoutOf(ctx)
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving || len(c.streams) >= int(c.settings.streams) || c.next > maxStreamID {
		return nil
	}
	s := newStream(c)
	s.id = c.next
	c.next += 2
	c.streams[s.id] = s
	block := c.greeting.next(blockHead)
	if timeout != "" {
		block = appendField(slices.Clip(block), "grpc-timeout", timeout)
	}
	c.out.fill.arena = appendHeaders(c.out.fill.arena, s.id, block, false)
	return s
}

// watched is what the context of a call may be: it tells one at a time that it
// has ended, without the allocations of context.AfterFunc.
type watched interface {
	Watch(a interface{ Abort(why error) }) bool
	Unwatch() bool
}

// watch has the stream aborted when ctx ends.
func (s *Stream) watch(ctx context.Context) {
	if w, ok := ctx.(watched); ok && w.Watch(s) {
		s.unwatch = w.Unwatch
	} else if ctx.Done() != nil {
		s.unwatch = context.AfterFunc(ctx, func() { s.Abort(context.Cause(ctx)) })
	}
}

// keepAlive looks after a connection until it is over: a peer that does not
// answer is gone, and one that nobody calls is left.
func (c *conn) keepAlive() {
	wait, asked := pingEvery, false
	last := c.reads.Load()
	for {
		t := time.NewTimer(wait)
		select {
		case <-c.done:
			t.Stop()
			return
		case <-t.C:
		}
		now := c.reads.Load()
		switch {
		case now != last:
			last, wait, asked = now, pingEvery, false
		case asked:
			c.end(fmt.Errorf("the peer has not answered for %v", pingEvery+pingTimeout))
			return
		default:
			c.send(func(b []byte) []byte { return appendPing(b, 0, [8]byte{}) })
			wait, asked = pingTimeout, true
		}
		c.mu.Lock()
		idle := len(c.streams) == 0 && time.Since(c.quiet) > idleTimeout
		c.leaving = c.leaving || idle
		c.mu.Unlock()
		if idle {
			c.end(errIdle)
			return
		}
	}
}

var errIdle = errors.New("nobody has called for long")
