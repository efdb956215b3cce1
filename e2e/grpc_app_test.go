package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/types/known/anypb"
)

// grpcApp is an app over gRPC, with a service of its own and Dapr's callback.
type grpcApp struct {
	pb.UnimplementedTestServiceServer
	runtimev1.UnimplementedAppCallbackServer
}

// serveGRPC is the role "grpc": it ends politely when told to.
func serveGRPC() int {
	ln, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("APP_PORT"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	srv := grpc.NewServer()
	pb.RegisterTestServiceServer(srv, grpcApp{})
	runtimev1.RegisterAppCallbackServer(srv, grpcApp{})
	grpc_health_v1.RegisterHealthServer(srv, health.NewServer())
	reflection.Register(srv)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	wait()
	srv.GracefulStop()
	if err := <-ended; err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// UnaryCall says who answers and who asks.
func (grpcApp) UnaryCall(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	return &pb.SimpleResponse{Username: os.Getenv("MESH_INSTANCE"), OauthScope: strings.Join(md["dapr-caller-app-id"], " ")}, nil
}

// FullDuplexCall gives every message back.
func (grpcApp) FullDuplexCall(s grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
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

// OnInvoke says what it is called with.
func (grpcApp) OnInvoke(_ context.Context, in *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error) {
	text := fmt.Sprintf("%v %s %s", in.GetHttpExtension().GetVerb(), in.GetMethod(), in.GetData().GetValue())
	return &commonv1.InvokeResponse{ContentType: "text/plain", Data: &anypb.Any{Value: []byte(text)}}, nil
}
