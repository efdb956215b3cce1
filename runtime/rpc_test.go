package runtime

import (
	"context"
	"crypto/tls"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// onRPC runs a test on both ways that gRPC calls take.
func onRPC(t *testing.T, run func(t *testing.T, m *mesh)) {
	for _, transport := range []stream.Transport{stream.Auto, stream.GRPC} {
		t.Run(string(transport), func(t *testing.T) { run(t, newMesh(t, transport)) })
	}
}

// called answers every call with a name.
func called(name string) *rpcApp {
	return &rpcApp{
		unary: func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			return &pb.SimpleResponse{Username: name}, nil
		},
		duplex: func(s duplex) error {
			if err := s.Send(&pb.StreamingOutputCallResponse{Payload: payload(name)}); err != nil {
				return err
			}
			return echoes(s)
		},
	}
}

// TestRPCRestart calls an app while it restarts, and keeps a stream open until
// it does.
func TestRPCRestart(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		t.Cleanup(m.flows.Watch())
		srv, addr := called("first").listen(t, "")
		s := m.sidecar(rpcOptions("back", "back", addr))
		client := pb.NewTestServiceClient(m.dial())
		long, err := client.FullDuplexCall(m.to("back"))
		must(t, err)
		if _, err := long.Recv(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			s.App().Hold("restarting")
			answer := make(chan error, 1)
			go func() {
				res, err := client.UnaryCall(m.to("back"), &pb.SimpleRequest{})
				if err == nil && res.GetUsername() != "second" {
					err = status.Error(codes.Internal, "answered by the "+res.GetUsername())
				}
				answer <- err
			}()
			eventually(t, "the call to be held", func() bool { return s.App().Stats().Waiting == 1 })
			if long != nil { // what is under way goes on while new calls wait
				must(t, long.Send(&pb.StreamingOutputCallRequest{Payload: payload("still")}))
				if res, err := long.Recv(); err != nil || string(res.GetPayload().GetBody()) != "still" {
					t.Errorf("the stream under way: %v, %v", res, err)
				}
				must(t, long.CloseSend())
				long = nil
			}
			must(t, s.App().Drain(t.Context()))
			srv.Stop()
			srv, _ = called("second").listen(t, addr)
			s.App().Open()
			must(t, soon(t, "the held call", answer))
		}
		if v := m.ended(4); v[0].Held == 0 {
			t.Error("nothing says that the call was held")
		}
	})
}

// TestRPCBalance spreads streams that stay open over the instances of an app.
func TestRPCBalance(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		for _, name := range []string{"one", "two"} {
			_, addr := called(name).listen(t, "")
			m.sidecar(rpcOptions("back", name, addr))
		}
		client := pb.NewTestServiceClient(m.dial())
		count := map[string]int{}
		for range 20 {
			s, err := client.FullDuplexCall(m.to("back"))
			must(t, err)
			res, err := s.Recv()
			must(t, err)
			count[string(res.GetPayload().GetBody())]++
		}
		if count["one"] != 10 || count["two"] != 10 {
			t.Errorf("the streams went to %v", count)
		}
	})
}

// TestRPCNextInstance has one of two instances that cannot be reached.
func TestRPCNextInstance(t *testing.T) {
	m := newMesh(t, stream.Auto)
	srv, addr := called("gone").listen(t, "")
	m.sidecar(rpcOptions("back", "gone", addr))
	_, addr = called("here").listen(t, "")
	m.sidecar(rpcOptions("back", "here", addr))
	srv.Stop()
	client := pb.NewTestServiceClient(m.dial())
	for range 6 {
		res, err := client.UnaryCall(m.to("back"), &pb.SimpleRequest{Payload: payload("kept")})
		if err != nil || res.GetUsername() != "here" {
			t.Errorf("%q answers, %v", res.GetUsername(), err)
		}
	}
}

// TestRPCRecord looks at the lanes of a call.
func TestRPCRecord(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		t.Cleanup(m.flows.Watch())
		m.rpcApp("back", &rpcApp{duplex: echoes})
		s, err := pb.NewTestServiceClient(m.dial()).FullDuplexCall(m.to("back"))
		must(t, err)
		for _, n := range []int{0, 10, 1000} {
			must(t, s.Send(&pb.StreamingOutputCallRequest{Payload: payload(n)}))
			_, err := s.Recv()
			must(t, err)
		}
		must(t, s.CloseSend())
		_, _ = s.Recv()
		views := m.ended(1)
		v := views[0]
		if len(views) != 1 || v.Kind != "grpc" || v.Path != "/grpc.testing.TestService/FullDuplexCall" || v.Caller != "front" ||
			v.Callee != "back" || v.Status != 200 || v.Err != "" || v.Instance != "back" {
			t.Errorf("%d records, the first is %+v", len(views), v)
		}
		want := map[stream.Transport]int{stream.Auto: 4, stream.GRPC: 8}[m.transport]
		if len(v.Lanes) != want {
			t.Errorf("%d lanes, want %d", len(v.Lanes), want)
		}
		for _, l := range v.Lanes {
			if l.Chunks != 3 || l.Bytes < 1010 || l.Bytes > 1050 {
				t.Errorf("%v %v saw %d messages of %d bytes", l.Dir, l.Hop, l.Chunks, l.Bytes)
			}
		}
		if _, ok := v.Lane(flow.Request, flow.CalleeOut); !ok {
			t.Error("nothing is recorded where the app is called")
		}
	})
}

// services asks by reflection which services there are.
func services(ctx context.Context, t *testing.T, conn *grpc.ClientConn) string {
	t.Helper()
	s, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	must(t, s.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}))
	res, err := s.Recv()
	must(t, err)
	must(t, s.CloseSend())
	_, _ = s.Recv()
	return res.String()
}

// TestRPCReflection asks the sidecar and, through it, the app.
func TestRPCReflection(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		m.rpcApp("back", called("back"))
		conn := m.dial()
		if got := services(m.to("back"), t, conn); !strings.Contains(got, "grpc.testing.TestService") || strings.Contains(got, "dapr") {
			t.Errorf("the app has %s", got)
		}
		own := services(t.Context(), t, conn)
		for _, want := range []string{"dapr.proto.runtime.v1.Dapr", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} {
			if !strings.Contains(own, want) || strings.Contains(own, "TestService") {
				t.Errorf("the sidecar has %s", own)
			}
		}
		health := grpc_health_v1.NewHealthClient(conn)
		if _, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Errorf("the sidecar's health: %v", err)
		}
		if _, err := health.Check(m.to("back"), &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("the health of an app that has none: %v", err)
		}
	})
}

// TestRPCRefused looks at calls that cannot go anywhere.
func TestRPCRefused(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		m.app("web", nil)
		m.sidecar(rpcOptions("portless", "portless", ""))
		client := pb.NewTestServiceClient(m.dial())
		for app, want := range map[string]struct {
			code codes.Code
			text string
		}{
			"":         {codes.Unimplemented, "dapr-app-id"},
			"nobody":   {codes.Unavailable, "couldn't find service: nobody"},
			"a.b.c":    {codes.InvalidArgument, "invalid app id"},
			"web":      {codes.Unimplemented, `protocol = "grpc"`},
			"portless": {codes.Unavailable, "no port"},
		} {
			_, err := client.UnaryCall(m.to(app), &pb.SimpleRequest{})
			if st := status.Convert(err); st.Code() != want.code || !strings.Contains(st.Message(), want.text) {
				t.Errorf("a call to %q: %v", app, err)
			}
		}
	})
}

// TestRPCProtocols calls apps whose ports speak gRPC in other ways.
func TestRPCProtocols(t *testing.T) {
	m := newMesh(t, stream.Auto)
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	t.Cleanup(cert.Close)
	secure := grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: cert.TLS.Certificates, MinVersion: tls.VersionTLS12}))
	client := pb.NewTestServiceClient(m.dial())
	for protocol, o := range map[string][]grpc.ServerOption{"grpc": nil, "grpcs": {secure}, "h2c": nil, "https": {secure}} {
		_, addr := called(protocol).listen(t, "", o...)
		so := rpcOptions("back-"+protocol, "", addr)
		so.App.Protocol = protocol
		m.sidecar(so)
		if res, err := client.UnaryCall(m.to("back-"+protocol), &pb.SimpleRequest{}); err != nil || res.GetUsername() != protocol {
			t.Errorf("%s: %v, %v", protocol, res, err)
		}
	}
}

// TestRPCConcurrency lets an app have two calls at a time.
func TestRPCConcurrency(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		var now atomic.Int32
		var tooMany atomic.Bool
		a := &rpcApp{unary: func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			if now.Add(1) > 2 {
				tooMany.Store(true)
			}
			defer now.Add(-1)
			return &pb.SimpleResponse{}, nil
		}}
		_, addr := a.listen(t, "")
		o := rpcOptions("back", "back", addr)
		o.App.MaxConcurrency = 2
		m.sidecar(o)
		client := pb.NewTestServiceClient(m.dial())
		var calls sync.WaitGroup
		for range 50 {
			calls.Go(func() {
				_, err := client.UnaryCall(m.to("back"), &pb.SimpleRequest{})
				must(t, err)
			})
		}
		calls.Wait()
		if tooMany.Load() {
			t.Error("the app had more than two calls at once")
		}
	})
}

// TestRPCForeignPeer passes calls to and takes calls from a sidecar of another
// process.
func TestRPCForeignPeer(t *testing.T) {
	m := newMesh(t, stream.Auto)
	var seen metadata.MD
	peer := &rpcApp{unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		seen, _ = metadata.FromIncomingContext(ctx)
		return &pb.SimpleResponse{Username: "far"}, nil
	}}
	_, addr := peer.listen(t, "")
	names := &changing{}
	names.set("far", netip.MustParseAddrPort(addr))
	s := m.sidecar(Options{AppID: "caller", Names: names})
	res, err := pb.NewTestServiceClient(m.dialPort(s.Ports().GRPC)).UnaryCall(m.to("far"), &pb.SimpleRequest{})
	if err != nil || res.GetUsername() != "far" {
		t.Fatalf("calling a peer: %v, %v", res, err)
	}
	if seen.Get("dapr-callee-app-id")[0] != "far" || seen.Get("dapr-caller-app-id")[0] != "caller" || len(seen.Get("dapr-app-id")) > 0 {
		t.Errorf("the peer sees %v", seen)
	}

	back := m.rpcApp("back", called("back"))
	in := pb.NewTestServiceClient(m.dialPort(back.Ports().Internal))
	for _, key := range []string{"dapr-callee-app-id", "dapr-app-id"} {
		res, err := in.UnaryCall(metadata.AppendToOutgoingContext(t.Context(), key, "back", "dapr-caller-app-id", "far"), &pb.SimpleRequest{})
		if err != nil || res.GetUsername() != "back" {
			t.Errorf("a peer that says %s: %v, %v", key, res, err)
		}
	}
	_, err = in.UnaryCall(metadata.AppendToOutgoingContext(t.Context(), "dapr-callee-app-id", "other"), &pb.SimpleRequest{})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "this is the sidecar of back") {
		t.Errorf("a peer that is wrong here: %v", err)
	}
}

// TestRPCOwnApp has an app call itself, and one on the transport of whole bodies.
func TestRPCOwnApp(t *testing.T) {
	for _, transport := range []stream.Transport{stream.Auto, stream.GRPC, stream.Unary} {
		t.Run(string(transport), func(t *testing.T) {
			m := newMesh(t, transport)
			back := m.rpcApp("back", called("back"))
			for _, port := range []int{back.Ports().GRPC, m.front.Ports().GRPC} {
				client := pb.NewTestServiceClient(m.dialPort(port))
				if res, err := client.UnaryCall(m.to("back.default"), &pb.SimpleRequest{}); err != nil || res.GetUsername() != "back" {
					t.Errorf("a unary call: %v, %v", res, err)
				}
				s, err := client.FullDuplexCall(m.to("back"))
				must(t, err)
				if res, err := s.Recv(); err != nil || string(res.GetPayload().GetBody()) != "back" {
					t.Errorf("a stream: %v, %v", res, err)
				}
			}
		})
	}
}

// TestRPCHeldTooLong calls an app that does not come up.
func TestRPCHeldTooLong(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		_, addr := called("back").listen(t, "")
		o := rpcOptions("back", "back", addr)
		o.App.Hold = 50 * time.Millisecond
		s := m.sidecar(o)
		s.App().Hold("restarting")
		client := pb.NewTestServiceClient(m.dial())
		_, err := client.UnaryCall(m.to("back"), &pb.SimpleRequest{})
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "restarting (waited 50ms)") {
			t.Errorf("after the hold: %v", err)
		}
		ctx, cancel := context.WithTimeout(m.to("back"), 10*time.Millisecond)
		defer cancel()
		if _, err = client.UnaryCall(ctx, &pb.SimpleRequest{}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("after the call's deadline: %v", err)
		}
		if _, err = client.UnaryCall(m.to("back"), &pb.SimpleRequest{}); status.Code(err) != codes.Unavailable {
			t.Errorf("a later call: %v", err)
		}
		s.App().Open()
		if _, err = client.UnaryCall(m.to("back"), &pb.SimpleRequest{}); err != nil {
			t.Errorf("when it is up: %v", err)
		}
	})
}

// TestRPCToken lets nobody call an app without the token.
func TestRPCToken(t *testing.T) {
	m := newMesh(t, stream.Auto)
	m.rpcApp("back", called("back"))
	s := m.sidecar(Options{AppID: "guarded", APIToken: "secret"})
	conn := m.dialPort(s.Ports().GRPC)
	client, health := pb.NewTestServiceClient(conn), grpc_health_v1.NewHealthClient(conn)
	if _, err := client.UnaryCall(m.to("back"), &pb.SimpleRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v", err)
	}
	if _, err := health.Check(m.to("back"), &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the app's health without a token: %v", err)
	}
	if _, err := client.UnaryCall(m.to("back", "dapr-api-token", "secret"), &pb.SimpleRequest{}); err != nil {
		t.Errorf("with the token: %v", err)
	}
}

// TestRPCStop stops a sidecar while a stream is open that would never end.
func TestRPCStop(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		_, addr := called("back").listen(t, "")
		o := rpcOptions("back", "back", addr)
		o.Grace = 1
		_, stop := m.start(o)
		s, err := pb.NewTestServiceClient(m.dial()).FullDuplexCall(m.to("back"))
		must(t, err)
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		stop()
		if m.transport == stream.GRPC { // what crosses the wire to it ends with it
			if _, err := s.Recv(); status.Code(err) != codes.Unavailable && status.Code(err) != codes.Canceled {
				t.Errorf("the stream ends with %v", err)
			}
		}
	})
}
