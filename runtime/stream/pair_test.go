package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// serve runs a gRPC server in memory until the test ends and gives its dialler.
func serve(t testing.TB, s *grpc.Server) func(context.Context, string) (net.Conn, error) {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	done := make(chan error, 1)
	go func() { done <- s.Serve(lis) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("serving: %v", err)
		}
	})
	return func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }
}

// pair joins an Outbound to an Inbound in front of h.
func pair(t testing.TB, unary bool, h Handler) *Outbound {
	t.Helper()
	return outboundTo(t, unary, serveInbound(t, NewInbound(h, InboundOptions{AppID: "callee"})))
}

// serveInbound serves calls as a sidecar does, in memory, and gives the dialler.
func serveInbound(t testing.TB, in *Inbound) func(context.Context, string) (net.Conn, error) {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	serveOn(t, in, lis)
	return func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }
}

// serveOn serves calls as a sidecar does until the test ends.
func serveOn(t testing.TB, in *Inbound, lis net.Listener) {
	t.Helper()
	s := grpc.NewServer(ServerOptions()...)
	in.Register(s)
	ours := in.Server()
	others := bufconn.Listen(1 << 20)
	var all sync.WaitGroup
	all.Go(func() { _ = s.Serve(others) })
	all.Go(func() {
		for {
			nc, err := lis.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				first, taken, err := ours.Take(nc)
				if taken || err != nil {
					return
				}
				to, err := others.Dial()
				if err != nil {
					return
				}
				from := Wire(nc, first)
				all.Go(func() { _, _ = io.Copy(to, from); _ = to.Close() })
				_, _ = io.Copy(from, to)
				_ = from.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = lis.Close()
		ours.Shutdown(0)
		s.Stop()
		all.Wait()
		in.Wait()
	})
}

func outboundTo(t testing.TB, unary bool, dial func(context.Context, string) (net.Conn, error)) *Outbound {
	t.Helper()
	o, err := NewOutbound(OutboundOptions{Addr: "peer", Unary: unary, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return o
}

// plainConn is a connection as a Dapr peer has it: generated types only.
func plainConn(t testing.TB, dial func(context.Context, string) (net.Conn, error)) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///peer", grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func get(path string) *Call {
	return &Call{AppID: "callee", Verb: "GET", Path: path, Header: http.Header{}}
}

func post(body io.Reader, length int64) *Call {
	return &Call{AppID: "callee", Verb: "POST", Path: "m", Header: http.Header{"Content-Type": {"text/plain"}}, Body: body, Length: length}
}

// text is a reply with that body.
func text(code int, body string) *Reply {
	return &Reply{Status: code, Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(body)), Length: int64(len(body))}
}

// closer is a reply body with a function of its own for Close.
type closer struct {
	io.Reader
	close func() error
}

func (c closer) Close() error { return c.close() }

// echo replies at once with the request's body as it arrives.
func echo(_ context.Context, c *Call) (*Reply, error) {
	body := c.Body
	if body == nil {
		body = http.NoBody
	}
	return &Reply{Status: 200, Header: http.Header{"Content-Type": c.Header["Content-Type"]}, Body: io.NopCloser(body), Length: c.Length, Trailer: c.Trailer}, nil
}

// all reads a reply to its end and closes it.
func all(t testing.TB, r *Reply) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("reading the reply: %v", err)
	}
	if err := r.Body.Close(); err != nil {
		t.Fatalf("closing the reply: %v", err)
	}
	return string(b)
}
