package appchan

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"mesh/runtime/stream"
)

// callback is an app that speaks gRPC.
type callback struct {
	runtimev1.UnimplementedAppCallbackServer

	invoke func(context.Context, *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error)
}

func (c callback) OnInvoke(ctx context.Context, in *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error) {
	return c.invoke(ctx, in)
}

// counted counts the connections that are open.
type counted struct {
	net.Listener

	open atomic.Int32
}

type countedConn struct {
	net.Conn

	of     *counted
	closed atomic.Bool
}

func (c *counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	return &countedConn{Conn: conn, of: c}, nil
}

func (c *countedConn) Close() error {
	if !c.closed.Swap(true) {
		c.of.open.Add(-1)
	}
	return c.Conn.Close()
}

// grpcApp serves an app and gives the channel to it, open.
func grpcApp(t *testing.T, c callback) (*App, *counted) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	count := &counted{Listener: ln}
	srv := grpc.NewServer(grpc.WaitForHandlers(true))
	runtimev1.RegisterAppCallbackServer(srv, c)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(count) }()
	a, err := New(Options{Addr: ln.Addr().String(), Protocol: "grpc", Token: "ours"})
	if err != nil {
		t.Fatal(err)
	}
	a.Open()
	t.Cleanup(func() {
		a.Close()
		srv.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return a, count
}

// TestOnInvoke looks at what an app that speaks gRPC is told of a call, and at
// what comes of its answer.
func TestOnInvoke(t *testing.T) {
	var seen metadata.MD
	var got *commonv1.InvokeRequest
	a, _ := grpcApp(t, callback{invoke: func(ctx context.Context, in *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error) {
		seen, _ = metadata.FromIncomingContext(ctx)
		got = in
		if err := grpc.SetHeader(ctx, metadata.Pairs("x-reply", "1")); err != nil {
			return nil, err
		}
		if err := grpc.SetTrailer(ctx, metadata.Pairs("x-end", "2")); err != nil {
			return nil, err
		}
		return &commonv1.InvokeResponse{Data: &anypb.Any{TypeUrl: "t/shop.Order", Value: []byte("made")}, ContentType: "text/plain"}, nil
	}})
	r, err := a.Handle(t.Context(), &stream.Call{
		AppID: "back", Verb: "PUT", Path: "a/b", Query: "x=1", Body: strings.NewReader("body"), Length: 4, Type: "t/shop.Cart",
		Header: http.Header{"Content-Type": {"text/x"}, "Authorization": {"Bearer b"}, "X-Foo": {"1", "2"}, "Dapr-Api-Token": {"theirs"}, "Dapr-Caller-App-Id": {"front"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"dapr-authorization": "Bearer b", "authorization": "", "x-foo": "1 2", "dapr-api-token": "ours", "dapr-caller-app-id": "front"} {
		if v := strings.Join(seen[key], " "); v != want {
			t.Errorf("the app sees %s: %q, want %q", key, v, want)
		}
	}
	if got.GetMethod() != "a/b" || got.GetContentType() != "text/x" || got.GetHttpExtension().GetVerb() != commonv1.HTTPExtension_PUT ||
		got.GetHttpExtension().GetQuerystring() != "x=1" || string(got.GetData().GetValue()) != "body" || got.GetData().GetTypeUrl() != "t/shop.Cart" {
		t.Errorf("the app gets %v", got)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != "made" || r.Status != http.StatusOK || r.GRPC.Code() != codes.OK || r.Type != "t/shop.Order" {
		t.Errorf("the reply is %+v with %q, %v", r, body, err)
	}
	if r.Header.Get("X-Reply") != "1" || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Trailer().Get("X-End") != "2" {
		t.Errorf("headers %v, trailers %v", r.Header, r.Trailer())
	}
	if s := a.Stats(); s.Calls != 0 {
		t.Errorf("%d calls are left", s.Calls)
	}
}

// TestOnInvokeEnds cancels a call, and calls an app that is not there.
func TestOnInvokeEnds(t *testing.T) {
	entered := make(chan struct{})
	left := make(chan struct{})
	a, _ := grpcApp(t, callback{invoke: func(ctx context.Context, _ *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error) {
		close(entered)
		<-ctx.Done()
		close(left)
		return nil, ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := a.Handle(ctx, &stream.Call{Verb: "GET"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that is cancelled: %v", err)
	}
	<-left

	gone, err := New(Options{Addr: "127.0.0.1:1", Protocol: "grpc"})
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	gone.Open()
	text := strings.NewReader("kept")
	_, err = gone.Handle(t.Context(), &stream.Call{Verb: "POST", Body: text, Length: 4})
	if _, ok := errors.AsType[*stream.UnreachableError](err); !ok || text.Len() != 4 {
		t.Errorf("an app that is not there: %v, %d bytes of the body are left", err, text.Len())
	}
}

// TestGRPCConnection closes the connection to an app that is to be restarted, so
// that the app need not wait for it, but not under a call.
func TestGRPCConnection(t *testing.T) {
	enter, leave := make(chan struct{}), make(chan struct{})
	a, count := grpcApp(t, callback{invoke: func(context.Context, *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error) {
		close(enter)
		<-leave
		return nil, status.Error(codes.NotFound, "none")
	}})
	done := make(chan error, 1)
	go func() {
		r, err := a.Handle(t.Context(), &stream.Call{Verb: "GET"})
		if err == nil && r.Status != http.StatusNotFound {
			err = errors.New("the call under way was broken off: " + r.GRPC.String())
		}
		done <- err
	}()
	<-enter
	a.Hold("restarting")
	if n := count.open.Load(); n != 1 {
		t.Errorf("%d connections while a call is under way", n)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); count.open.Load() > 0; <-tick.C {
		if time.Now().After(end) {
			t.Fatal("the connection stays open")
		}
	}
}
