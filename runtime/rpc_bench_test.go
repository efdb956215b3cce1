package runtime

import (
	"context"
	"net"
	"strconv"
	"testing"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"mesh/runtime/stream"
)

// BenchmarkRPC measures what the mesh adds to a call and to a message of a
// stream, beside an app that is called directly.
func BenchmarkRPC(b *testing.B) {
	for _, way := range []string{"direct", "auto", "grpc"} {
		transport := stream.Transport(way)
		if way == "direct" {
			transport = stream.Auto
		}
		m := newMesh(b, transport)
		_, addr := (&rpcApp{duplex: echoes, unary: func(_ context.Context, req *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			return &pb.SimpleResponse{Payload: req.GetPayload()}, nil
		}}).listen(b, "")
		m.sidecar(rpcOptions("back", "back", addr))
		port := m.front.Ports().GRPC
		if way == "direct" {
			_, text, err := net.SplitHostPort(addr)
			must(b, err)
			port, err = strconv.Atoi(text)
			must(b, err)
		}
		client := pb.NewTestServiceClient(m.dialPort(port))
		ctx := m.to("back")
		b.Run("call/"+way, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.UnaryCall(ctx, &pb.SimpleRequest{Payload: payload(256)}); err != nil {
					b.Fatal(err)
				}
			}
		})
		for name, size := range map[string]int{"message": 256, "megabyte": 1 << 20} {
			b.Run(name+"/"+way, func(b *testing.B) {
				b.ReportAllocs()
				s, err := client.FullDuplexCall(ctx)
				must(b, err)
				req := &pb.StreamingOutputCallRequest{Payload: payload(size)}
				for b.Loop() {
					if err := s.Send(req); err != nil {
						b.Fatal(err)
					}
					if _, err := s.Recv(); err != nil {
						b.Fatal(err)
					}
				}
				must(b, s.CloseSend())
				_, _ = s.Recv()
			})
		}
	}
}
