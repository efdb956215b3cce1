package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/socket"
)

// tcp gives both ends of a TCP connection.
func tcp(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn) //nolint:errcheck // what TCP gives
}

// connBody is a body that a connection brings, as those of clients and apps are.
type connBody struct {
	*net.TCPConn

	left   int64
	spared atomic.Int64 // bytes that the kernel has moved
}

func (b *connBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.TCPConn.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *connBody) Splice(to io.ReaderFrom, n int64) (int64, error) {
	moved, err := to.ReadFrom(&io.LimitedReader{R: b.TCPConn, N: n})
	b.left -= moved
	b.spared.Add(moved)
	return moved, err
}

// target is a connection that a body is passed on to.
type target struct {
	*socket.Conn

	spared atomic.Int64
}

func (c *target) Move(front []byte, m socket.Movable) (int, error) {
	c.spared.Add(int64(m.Len()))
	return c.Conn.Move(front, m)
}

func newTarget(t testing.TB, nc net.Conn) *target {
	t.Helper()
	c, err := socket.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return &target{Conn: c}
}

// overTCP joins an Outbound to an Inbound over real sockets.
func overTCP(t testing.TB, h Handler, flows *flow.Recorder) *Outbound {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, NewInbound(h, InboundOptions{AppID: "callee", Flows: flows}), ln)
	return outboundTo(t, false, func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
	})
}

func needPipes(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux moves bytes from socket to socket")
	}
}

// The kernel moves a large reply from the app's connection to the client's by way
// of two sidecars, and every byte is there.
func TestTheKernelMovesReplies(t *testing.T) {
	needPipes(t)
	want := make([]byte, 9<<20+7)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(want)
	for _, tc := range []struct {
		name  string
		plain bool // the client's connection is none that bytes can be moved to
	}{{"to a socket", false}, {"to a writer", true}} {
		t.Run(tc.name, func(t *testing.T) {
			app, near := tcp(t)
			client, far := tcp(t)
			from := &connBody{TCPConn: near, left: int64(len(want))}
			o := overTCP(t, HandlerFunc(func(context.Context, *Call) (*Reply, error) {
				return &Reply{Status: 200, Header: http.Header{}, Length: int64(len(want)), Body: from}, nil
			}), nil)
			go func() { _, _ = app.Write(want) }()
			got := make([]byte, len(want))
			read := make(chan error, 1)
			go func() {
				_, err := io.ReadFull(client, got)
				read <- err
			}()
			r, err := o.Handle(within(t), get("m"))
			if err != nil {
				t.Fatal(err)
			}
			to := newTarget(t, far)
			w := io.Writer(to)
			if tc.plain {
				w = struct{ io.Writer }{to}
			}
			n, err := r.Body.(io.WriterTo).WriteTo(w) //nolint:errcheck // a panic is a failure
			if err := errors.Join(err, r.Body.Close(), <-read); err != nil || n != int64(len(want)) {
				t.Fatalf("%d bytes, %v", n, err)
			}
			if !bytes.Equal(got, want) {
				t.Error("other bytes arrived")
			}
			if from.spared.Load() == 0 {
				t.Error("the callee's sidecar has copied all")
			}
			if moved := to.spared.Load(); tc.plain != (moved == 0) {
				t.Errorf("the caller's sidecar has had %d bytes moved", moved)
			}
		})
	}
}

// The same for a request, which the callee's sidecar reads and moves as it likes.
func TestTheKernelMovesRequests(t *testing.T) {
	needPipes(t)
	want := make([]byte, 9<<20+7)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(want)
	client, near := tcp(t)
	app, far := tcp(t)
	to := newTarget(t, far)
	var moved atomic.Int64
	o := overTCP(t, HandlerFunc(func(_ context.Context, c *Call) (*Reply, error) {
		if c.Body == nil {
			return text(200, "ready"), nil
		}
		body, ok := c.Body.(interface {
			MoveTo(c *socket.Conn, n int64) (int64, error)
		})
		if !ok {
			t.Errorf("a %T", c.Body)
		}
		buf := make([]byte, 100<<10)
		for left := c.Length; left > 0; {
			n, err := c.Body.Read(buf) // in between, whatever lies in pipes is read
			if left -= int64(n); n == 0 && err != nil {
				return nil, err
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return nil, err
			}
			if left > moveMin {
				m, err := body.MoveTo(to.Conn, 300<<10)
				if left -= m; err != nil {
					return nil, err
				}
				moved.Add(m)
			}
		}
		return text(200, "done"), nil
	}), nil)
	go func() { _, _ = client.Write(want) }()
	got := make([]byte, len(want))
	read := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(app, got)
		read <- err
	}()
	from := &connBody{TCPConn: near, left: int64(len(want))}
	if r, err := o.Handle(within(t), post(nil, 0)); err != nil { // after which the peer is known to take streams
		t.Fatal(err)
	} else {
		all(t, r)
	}
	r, err := o.Handle(within(t), post(from, from.left))
	if err != nil {
		t.Fatal(err)
	}
	if s := all(t, r); s != "done" {
		t.Errorf("%q", s)
	}
	if err := <-read; err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes arrived, %v", err)
	}
	if from.spared.Load() == 0 || moved.Load() == 0 {
		t.Errorf("only %d and %d bytes were moved", from.spared.Load(), moved.Load())
	}
}

// Who gives a reply up in the middle leaves no pipe behind.
func TestNoPipeIsLeftBehind(t *testing.T) {
	needPipes(t)
	open := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	const size = 64 << 20
	o := overTCP(t, HandlerFunc(func(context.Context, *Call) (*Reply, error) {
		app, near := tcp(t)
		go func() { // until the reading end is closed
			for piece := make([]byte, 1<<20); ; {
				if _, err := app.Write(piece); err != nil {
					_ = app.Close()
					return
				}
			}
		}()
		return &Reply{Status: 200, Header: http.Header{}, Length: size, Body: &connBody{TCPConn: near, left: size}}, nil
	}), nil)
	run := func() {
		client, far := tcp(t)
		to := newTarget(t, far)
		ctx, stop := context.WithCancel(within(t))
		defer stop()
		r, err := o.Handle(ctx, get("m"))
		if err != nil {
			t.Fatal(err)
		}
		go func() { // some of it, and no more
			_, _ = io.CopyN(io.Discard, client, 8<<20)
			_ = client.Close()
		}()
		if n, err := r.Body.(io.WriterTo).WriteTo(to); err == nil || n == size || to.spared.Load() == 0 { //nolint:errcheck // a panic is a failure
			t.Errorf("%d bytes, %d of them moved, %v", n, to.spared.Load(), err)
		}
		_ = r.Body.Close()
		_ = far.Close()
	}
	run()
	before := open()
	for range 10 {
		run()
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); open() > before+8; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%d files are open, %d were before", open(), before)
		}
	}
}

// Bytes that somebody begins to watch are seen, although the kernel has them.
func TestWatchedBytesAreSeen(t *testing.T) {
	needPipes(t)
	const size = 4 << 20
	app, near := tcp(t)
	o := overTCP(t, HandlerFunc(func(context.Context, *Call) (*Reply, error) {
		return &Reply{Status: 200, Header: http.Header{}, Length: size, Body: &connBody{TCPConn: near, left: size}}, nil
	}), nil)
	const pattern = "0123456789abcdef"
	go func() { _, _ = app.Write(bytes.Repeat([]byte(pattern), size/16)) }()
	rec := flow.NewRecorder()
	defer rec.Watch()()
	rec.Capture(1 << 20)
	c := get("m")
	c.Flow = rec.Begin(flow.Head{Callee: "callee", Verb: "GET", Path: "/m"})
	defer c.Flow.End(nil)
	r, err := o.Handle(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	client, far := tcp(t)
	to := newTarget(t, far)
	go func() { _, _ = io.Copy(io.Discard, client) }()
	n, err := r.Body.(io.WriterTo).WriteTo(to) //nolint:errcheck // a panic is a failure
	if err := errors.Join(err, r.Body.Close()); err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	kept := 0
	for _, part := range c.Flow.Body(flow.Reply, 0, size).Parts {
		for i, b := range part.Data {
			if b != pattern[(part.Off+uint64(i))%16] {
				t.Fatalf("byte %d is %q", part.Off+uint64(i), b)
			}
		}
		kept += len(part.Data)
	}
	if kept < 512<<10 {
		t.Errorf("only %d bytes were kept", kept)
	}
}

// heap takes frames as they come.
type heap struct{ bytes.Buffer }

func (h *heap) send(f *outFrame) error {
	_, err := h.Write((*f.buf)[headroom : headroom+f.n])
	f.pool.Put(f.buf)
	return err
}

func (h *heap) recv(*inFrame) error { return io.EOF }

// A body for which there are no more pipes in the middle is copied, and not taken
// for one that has ended.
func TestWithoutPipesABodyIsCopied(t *testing.T) {
	app, near := tcp(t)
	want := bytes.Repeat([]byte("0123456789abcdef"), 20<<10)
	go func() { _, _ = app.Write(want); _ = app.Close() }()
	var got heap
	p := &pump{to: &got, pool: new(bufferPool)}
	n, err := p.ReadFrom(&io.LimitedReader{R: near, N: int64(len(want))})
	if err != nil || n != int64(len(want)) || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d of %d bytes, %v", n, len(want), err)
	}
	if n, err := p.ReadFrom(&io.LimitedReader{R: near, N: 1}); n != 0 || err != nil {
		t.Errorf("after the end %d bytes, %v", n, err)
	}
}

// torn is a writer to which half of what the kernel has gets.
type torn struct{ io.Writer }

var errTorn = errors.New("torn")

func (torn) Move(front []byte, m socket.Movable) (int, error) {
	return len(front) + m.Len()/2, errTorn
}

// A body that was lost in the middle of what the kernel has cannot be read on.
func TestABodyThatIsLostOnItsWayEnds(t *testing.T) {
	needPipes(t)
	const size = 9 << 20
	app, near := tcp(t)
	o := overTCP(t, HandlerFunc(func(context.Context, *Call) (*Reply, error) {
		return &Reply{Status: 200, Header: http.Header{}, Length: size, Body: &connBody{TCPConn: near, left: size}}, nil
	}), nil)
	go func() { _, _ = app.Write(make([]byte, size)) }()
	r, err := o.Handle(within(t), get("m"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if _, err := r.Body.(io.WriterTo).WriteTo(torn{io.Discard}); !errors.Is(err, errTorn) { //nolint:errcheck // a panic is a failure
		t.Fatalf("passing the body on: %v", err)
	}
	if n, err := r.Body.Read(make([]byte, 1<<20)); n != 0 || !errors.Is(err, errTorn) {
		t.Errorf("reading on: %d bytes, %v", n, err)
	}
}
