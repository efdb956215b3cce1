package h2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience   = time.Minute
	testMethod = "/test.Service/Call"
	testHeader = 1 << 20
)

// carrier is what connections of a test run on.
type carrier struct {
	name   string
	listen func(t testing.TB) (net.Listener, dialer)
}

type dialer = func(ctx context.Context, addr string) (net.Conn, error)

var (
	sockets = carrier{"sockets", func(t testing.TB) (net.Listener, dialer) {
		t.Helper()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return ln, func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
		}
	}}
	memory64 = carrier{"memory", func(testing.TB) (net.Listener, dialer) {
		ln := bufconn.Listen(64 << 10)
		return ln, func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) }
	}}
)

// onBoth runs a test on sockets and in memory.
func onBoth(t *testing.T, f func(t *testing.T, on carrier)) {
	t.Helper()
	for _, on := range []carrier{sockets, memory64} {
		t.Run(on.name, func(t *testing.T) { f(t, on) })
	}
}

// checkedPool tells when a test ends of buffers that were not given back, and
// spoils those that were, for whoever uses them still.
type checkedPool struct{ out atomic.Int64 }

func newPool(t testing.TB) *checkedPool {
	t.Helper()
	p := &checkedPool{}
	t.Cleanup(func() {
		if n := p.out.Load(); n != 0 {
			t.Errorf("%d buffers were not given back", n)
		}
	})
	return p
}

func (p *checkedPool) Get(n int) *[]byte {
	p.out.Add(1)
	b := make([]byte, max(n, 2<<10)) // a smaller one mem does not give back
	return &b
}

func (p *checkedPool) Put(b *[]byte) {
	p.out.Add(-1)
	for i := range *b {
		(*b)[i] = 0xdb
	}
}

// serving is a Server that serves what a listener accepts.
type serving struct {
	*Server
	ln     net.Listener
	others chan net.Conn // that are none of ours; nil: they are closed
	all    sync.WaitGroup
}

// serve serves calls until the test ends.
func serve(t testing.TB, on carrier, h func(*Stream) error) (*serving, dialer) {
	t.Helper()
	ln, dial := on.listen(t)
	s := &serving{ln: ln, Server: NewServer(ServerOptions{Method: testMethod, Serve: h, Pool: newPool(t), MaxHeader: testHeader})}
	s.all.Go(s.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		s.Shutdown(0)
		s.all.Wait()
	})
	return s, dial
}

func (s *serving) accept() {
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.all.Go(func() {
			first, ours, err := s.Take(nc)
			if ours || err != nil {
				return
			}
			if s.others == nil {
				_ = nc.Close()
				return
			}
			s.others <- &restored{nc, bytes.NewReader(first)}
		})
	}
}

// restored is a connection of which something has been read.
type restored struct {
	net.Conn
	first *bytes.Reader
}

func (r *restored) Read(p []byte) (int, error) {
	if r.first.Len() > 0 {
		return r.first.Read(p)
	}
	return r.Conn.Read(p)
}

// newClient gives a Client that ends with the test.
func newClient(t testing.TB, dial dialer) *Client {
	t.Helper()
	cl := NewClient(ClientOptions{Addr: "peer:1", Method: testMethod, Dial: dial, Pool: newPool(t), MaxHeader: testHeader})
	t.Cleanup(cl.Close)
	return cl
}

// pair joins a Client to a Server.
func pair(t testing.TB, on carrier, h func(*Stream) error) *Client {
	t.Helper()
	_, dial := serve(t, on, h)
	return newClient(t, dial)
}

// within gives a context that ends when a test has waited too long.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	return ctx
}

// opened gives a stream that is closed when the test ends. Its context has no
// deadline, which the peer would be told.
func opened(t testing.TB, cl *Client) *Stream {
	t.Helper()
	s, err := cl.Open(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(errTest) })
	return s
}

var errTest = errors.New("the test is over")

// soon waits for a channel.
func soon[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("no %s", what)
	}
	return v
}

// message gives bytes as a message is sent, in two pieces when there are enough.
func pieces(b []byte) mem.BufferSlice {
	if len(b) < 2 {
		return mem.BufferSlice{mem.SliceBuffer(b)}
	}
	return mem.BufferSlice{mem.SliceBuffer(b[:len(b)/3]), mem.SliceBuffer(b[len(b)/3:])}
}

func sendText(t testing.TB, s *Stream, text string, how int) {
	t.Helper()
	if err := s.Send(pieces([]byte(text)), how); err != nil {
		t.Fatalf("sending: %v", err)
	}
}

// recvText receives one message.
func recvText(s *Stream) (string, error) {
	m, err := s.Recv()
	if err != nil {
		return "", err
	}
	defer m.Free()
	return string(m.Materialize()), nil
}

func wantText(t testing.TB, s *Stream, want string) {
	t.Helper()
	got, err := recvText(s)
	if err != nil || got != want {
		t.Fatalf("received %.60q (%d bytes), %v; want %.60q (%d bytes)", got, len(got), err, want, len(want))
	}
}

// wantEnd wants a stream to end, nil: with the status OK.
func wantEnd(t testing.TB, s *Stream, want error) {
	t.Helper()
	got, err := recvText(s)
	if want == nil {
		want = io.EOF
	}
	if !errors.Is(err, want) && (status.Code(err) != status.Code(want) || !strings.Contains(err.Error(), status.Convert(want).Message())) {
		t.Fatalf("received %.60q, %v; want %v", got, err, want)
	}
}

// echo sends back what it receives.
func echo(s *Stream) error {
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(m, 0); err != nil {
			return err
		}
	}
}

// random gives bytes that are the same for the same arguments.
func random(n int, seed byte) []byte {
	b := make([]byte, n)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
