package runtime

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"mesh/runtime/stream"
)

// breaker is a server that closes the connection of a call as soon as it has the
// call, or the first message of it.
type breaker struct {
	net.Listener

	after bool // the first message
	calls atomic.Int32

	mu    sync.Mutex
	conns []net.Conn
}

func (b *breaker) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err == nil {
		b.mu.Lock()
		b.conns = append(b.conns, c)
		b.mu.Unlock()
	}
	return c, err
}

func (b *breaker) serve(_ any, s grpc.ServerStream) error {
	if b.after {
		if err := s.RecvMsg(&pb.Empty{}); err != nil {
			return err
		}
	}
	b.calls.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		_ = c.Close()
	}
	b.conns = nil
	<-s.Context().Done()
	return nil
}

// breaks starts such a server and gives its address.
func breaks(t *testing.T, after bool) (b *breaker, addr string) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	b = &breaker{Listener: ln, after: after}
	srv := grpc.NewServer(grpc.UnknownServiceHandler(b.serve), grpc.WaitForHandlers(true))
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(b) }()
	t.Cleanup(func() {
		srv.Stop()
		must(t, <-ended)
	})
	return b, ln.Addr().String()
}

// eachPair runs a test with two instances of an app that speaks gRPC: whose
// connection breaks, and one that is well. Their sidecars are in this process, or
// the two are other sidecars to it.
func eachPair(t *testing.T, after bool, run func(t *testing.T, m *mesh, b *breaker, client pb.TestServiceClient)) {
	for _, where := range []string{"apps", "sidecars"} {
		t.Run(where, func(t *testing.T) {
			m := newMesh(t, stream.Auto)
			b, broken := breaks(t, after)
			_, well := called("well").listen(t, "")
			if where == "apps" {
				m.sidecar(rpcOptions("back", "broken", broken))
				m.sidecar(rpcOptions("back", "well", well))
			} else {
				names := &changing{}
				names.set("back", netip.MustParseAddrPort(broken), netip.MustParseAddrPort(well))
				m.front = m.sidecar(Options{AppID: "front", Names: names})
			}
			run(t, m, b, pb.NewTestServiceClient(m.dial()))
		})
	}
}

// TestRPCMovesBeforeAMessage: a connection that breaks before anything has
// flowed costs no call.
func TestRPCMovesBeforeAMessage(t *testing.T) {
	eachPair(t, false, func(t *testing.T, m *mesh, b *breaker, client pb.TestServiceClient) {
		for range 4 {
			s, err := client.FullDuplexCall(m.to("back"))
			must(t, err)
			if res, err := s.Recv(); err != nil || string(res.GetPayload().GetBody()) != "well" {
				t.Fatalf("%q answers, %v", res.GetPayload().GetBody(), err)
			}
			for _, text := range []string{"one", "two"} { // nothing is lost or out of order
				must(t, s.Send(&pb.StreamingOutputCallRequest{Payload: payload(text)}))
				if res, err := s.Recv(); err != nil || string(res.GetPayload().GetBody()) != text {
					t.Fatalf("%q comes back, %v", res.GetPayload().GetBody(), err)
				}
			}
			must(t, s.CloseSend())
		}
		if n := b.calls.Load(); n != 2 {
			t.Errorf("the connection broke %d times, want 2", n)
		}
	})
}

// TestRPCStaysAfterAMessage: what an app may have worked on goes to no other.
func TestRPCStaysAfterAMessage(t *testing.T) {
	eachPair(t, true, func(t *testing.T, m *mesh, b *breaker, client pb.TestServiceClient) {
		failed := 0
		for range 4 {
			_, err := client.UnaryCall(m.to("back"), &pb.SimpleRequest{Payload: payload("work")})
			if err != nil {
				wantCode(t, err, codes.Unavailable, "")
				failed++
			}
		}
		if n := b.calls.Load(); n != 2 || failed != 2 {
			t.Errorf("%d calls reached who broke off, %d failed; want 2 of each", n, failed)
		}
	})
}

// TestRPCPeerWithoutItsAppIsPassedOver: a sidecar that answers, but whose app
// cannot be reached, costs no call: what it was sent goes to the next.
func TestRPCPeerWithoutItsAppIsPassedOver(t *testing.T) {
	for _, where := range []string{"here", "elsewhere"} {
		t.Run(where, func(t *testing.T) {
			m := newMesh(t, stream.GRPC)
			_, well := (&rpcApp{duplex: echoes, up: counts, unary: func(_ context.Context, req *pb.SimpleRequest) (*pb.SimpleResponse, error) {
				return &pb.SimpleResponse{Payload: req.GetPayload()}, nil
			}}).listen(t, "")
			names := &changing{}
			var at []netip.AddrPort
			for _, addr := range []string{well, "127.0.0.1:1"} {
				o := rpcOptions("back", addr, addr)
				if where == "elsewhere" {
					o.Peers = NewPeers()
				}
				s := m.sidecar(o)
				at = append(at, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(s.Ports().Internal)))
			}
			if where == "elsewhere" {
				names.set("back", at...)
				m.front = m.sidecar(Options{AppID: "front", Names: names})
			}
			client := pb.NewTestServiceClient(m.dial())
			for range 4 {
				body := strings.Repeat("work ", 20_000)
				if res, err := client.UnaryCall(m.to("back"), &pb.SimpleRequest{Payload: payload(body)}); err != nil || string(res.GetPayload().GetBody()) != body {
					t.Errorf("a unary call: %d bytes, %v", len(res.GetPayload().GetBody()), err)
				}
				s, err := client.FullDuplexCall(m.to("back"))
				must(t, err)
				for _, text := range []string{"one", "two", "three"} {
					must(t, s.Send(&pb.StreamingOutputCallRequest{Payload: payload(text)}))
				}
				for _, text := range []string{"one", "two", "three"} {
					if res, err := s.Recv(); err != nil || string(res.GetPayload().GetBody()) != text {
						t.Fatalf("%q comes back, %v", res.GetPayload().GetBody(), err)
					}
				}
				must(t, s.CloseSend())
			}
			for range 2 { // more than is kept goes to one of them, whole, or to nobody
				s, err := client.StreamingInputCall(m.to("back"))
				must(t, err)
				for range 16 {
					if s.Send(&pb.StreamingInputCallRequest{Payload: payload(64 << 10)}) != nil {
						break // what CloseAndRecv gives says why
					}
				}
				res, err := s.CloseAndRecv()
				if err == nil && res.GetAggregatedPayloadSize() != 1<<20 {
					t.Errorf("the app got %d bytes", res.GetAggregatedPayloadSize())
				}
				if st := status.Convert(err); err != nil && (st.Code() != codes.Unavailable || !strings.Contains(st.Message(), "127.0.0.1:1") || len(st.Details()) > 0) {
					t.Errorf("a long stream: %v %v", err, st.Details())
				}
			}
		})
	}
}

// TestRPCWaitsForWhoeverIsReadyFirst: a call that finds no instance ready does not
// wait at one of them while another comes up.
func TestRPCWaitsForWhoeverIsReadyFirst(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		for first, name := range []string{"one", "two"} { // whoever's turn it is
			client := pb.NewTestServiceClient(m.dial())
			var all []*Sidecar
			for _, name := range []string{"one", "two"} {
				_, addr := called(name).listen(t, "")
				s := m.sidecar(rpcOptions("back", name, addr))
				s.App().Hold("restarting")
				all = append(all, s)
			}
			answer := make(chan string, 1)
			go func() {
				res, err := client.UnaryCall(m.to("back"), &pb.SimpleRequest{})
				must(t, err)
				answer <- res.GetUsername()
			}()
			eventually(t, "the call to be held", func() bool { return all[0].App().Stats().Waiting+all[1].App().Stats().Waiting == 1 })
			all[first].App().Open()
			if who := soon(t, "the held call", answer); who != name {
				t.Errorf("%s answers", who)
			}
			for _, s := range all {
				s.Leave()
			}
		}
	})
}
