package rpc

import (
	"context"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"

	"mesh/runtime/stream"
)

// fragile panics in the first call.
type fragile struct{ calls int }

func (f *fragile) Pass(context.Context, *Call) error {
	if f.calls++; f.calls == 1 {
		panic("out of order")
	}
	return status.Error(codes.NotFound, "nothing here")
}

// TestPanicEndsOneCall: a panic is the error of its call, is told, and the next
// call is served.
func TestPanicEndsOneCall(t *testing.T) {
	var told string
	s := NewServer(Options{To: &fragile{}, AppID: "back", Callee: true, Panicked: func(v any, stack []byte) {
		told, _ = v.(string)
		if !strings.Contains(string(stack), "fragile") {
			t.Errorf("the stack does not say where: %s", stack)
		}
	}})
	srv := grpc.NewServer(grpc.ForceServerCodecV2(stream.Codec()), grpc.UnknownServiceHandler(s.Serve))
	ln := bufconn.Listen(1 << 16)
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(srv.Stop)
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ctx := metadata.AppendToOutgoingContext(t.Context(), KeyCallee, "back")
	for _, want := range []codes.Code{codes.Internal, codes.NotFound} {
		err := conn.Invoke(ctx, "/shop.Orders/Get", &emptypb.Empty{}, &emptypb.Empty{})
		if status.Code(err) != want {
			t.Errorf("the call ends with %v, want %v", err, want)
		}
	}
	if told != "out of order" {
		t.Errorf("of the panic %q is told", told)
	}
}
