package stream

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// silence is as long as connections must last without a call, on a clock that
// jumps: seven pings of a peer that sends one every 10 s. The third that comes too
// early for a server makes it cut the connection off.
const silence = 75 * time.Second

// A connection between our sidecars is not cut off while nobody calls.
func TestIdleConnectionLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := NewInbound(HandlerFunc(echo), InboundOptions{AppID: "callee"})
		s := grpc.NewServer(ServerOptions()...)
		in.Register(s)
		var dials atomic.Int32
		o := outboundTo(t, false, countDials(&dials, serve(t, s)))
		for range 2 {
			r, err := o.Handle(t.Context(), get("m"))
			if err != nil {
				t.Fatal(err)
			}
			all(t, r)
			<-time.After(silence)
		}
		if n := dials.Load(); n != 1 {
			t.Errorf("there were %d connections in place of one", n)
		}
	})
}

// A daprd pings every 10 s, with calls and without.
func TestPingsOfADaprdAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := NewInbound(HandlerFunc(echo), InboundOptions{AppID: "callee"})
		s := grpc.NewServer(ServerOptions()...)
		in.Register(s)
		var dials atomic.Int32
		conn, err := grpc.NewClient("passthrough:///peer", grpc.WithContextDialer(countDials(&dials, serve(t, s))),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true}))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		peer := internalsv1.NewServiceInvocationClient(conn)
		for range 2 {
			if _, err := peer.CallLocal(t.Context(), wireHead(commonv1.HTTPExtension_GET)); err != nil {
				t.Fatal(err)
			}
			<-time.After(silence)
		}
		if n := dials.Load(); n != 1 {
			t.Errorf("there were %d connections in place of one", n)
		}
	})
}

func countDials(n *atomic.Int32, dial func(context.Context, string) (net.Conn, error)) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		n.Add(1)
		return dial(ctx, addr)
	}
}
