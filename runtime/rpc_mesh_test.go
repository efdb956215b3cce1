package runtime

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"

	"mesh/runtime/appchan"
	"mesh/runtime/flow"
)

// rpcApp is an app with a gRPC service of its own. What a test does not set
// answers Unimplemented.
type rpcApp struct {
	pb.UnimplementedTestServiceServer

	unary  func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error)
	down   func(*pb.StreamingOutputCallRequest, grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error
	up     func(grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error
	duplex func(duplex) error
}

type duplex = grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]

func (a *rpcApp) UnaryCall(ctx context.Context, req *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if a.unary == nil {
		return a.UnimplementedTestServiceServer.UnaryCall(ctx, req)
	}
	return a.unary(ctx, req)
}

func (a *rpcApp) StreamingOutputCall(req *pb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	return a.down(req, s)
}

func (a *rpcApp) StreamingInputCall(s grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
	return a.up(s)
}

func (a *rpcApp) FullDuplexCall(s duplex) error { return a.duplex(s) }

// echoes gives every message back until the client has sent its last.
func echoes(s duplex) error {
	for {
		req, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&pb.StreamingOutputCallResponse{Payload: req.GetPayload()}); err != nil {
			return err
		}
	}
}

// listen serves a on an address, "" for a free one, and gives it.
func (a *rpcApp) listen(t testing.TB, addr string, o ...grpc.ServerOption) (srv *grpc.Server, at string) {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	srv = grpc.NewServer(append(o, grpc.MaxRecvMsgSize(1<<30), grpc.WaitForHandlers(true))...)
	pb.RegisterTestServiceServer(srv, a)
	reflection.Register(srv)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Stop()
		must(t, <-ended)
	})
	return srv, ln.Addr().String()
}

// rpcOptions say how to make the sidecar of an app that speaks gRPC.
func rpcOptions(id, instance, addr string) Options {
	return Options{
		AppID: id, Instance: instance,
		App: appchan.Options{Addr: addr, Protocol: "grpc", MaxHeld: 100, Hold: patience},
	}
}

// rpcApp starts an app that speaks gRPC, and its sidecar.
func (m *mesh) rpcApp(id string, a *rpcApp) *Sidecar {
	m.t.Helper()
	_, addr := a.listen(m.t, "")
	return m.sidecar(rpcOptions(id, id, addr))
}

// dial connects to the gRPC API of the front's sidecar, which an app does once.
func (m *mesh) dial() *grpc.ClientConn { return m.dialPort(m.front.Ports().GRPC) }

func (m *mesh) dialPort(port int) *grpc.ClientConn {
	m.t.Helper()
	conn, err := grpc.NewClient(net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// to gives a context with which calls go to an app; the test's end cancels it.
func (m *mesh) to(app string, md ...string) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	m.t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, append(md, "dapr-app-id", app)...)
}

// payload makes a message of that many bytes or with that text.
func payload[T int | string](of T) *pb.Payload {
	switch v := any(of).(type) {
	case string:
		return &pb.Payload{Body: []byte(v)}
	case int:
		return &pb.Payload{Body: make([]byte, v)}
	}
	return nil
}

// ended gives the records of all calls when n have ended.
func (m *mesh) ended(n int) []flow.View {
	m.t.Helper()
	var views []flow.View
	eventually(m.t, "the calls to be recorded", func() bool {
		views = m.flows.Views(100)
		live := 0
		for _, v := range views {
			if v.Live {
				live++
			}
		}
		return live == 0 && len(views) >= n
	})
	return views
}

// eventually polls until something is so.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}
