package standalone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// connect gives a connection to an app that speaks gRPC, for its health only. It
// is made by the first question.
func (s *Sidecar) connect(addr string) (*grpc.ClientConn, error) {
	security := insecure.NewCredentials()
	if s.o.Protocol == "grpcs" {
		security = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // as Dapr does: an app's certificate is its own
	}
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(security))
	if err != nil {
		return nil, fmt.Errorf("asking the app for its health: %w", err)
	}
	return conn, nil
}

// errNoHealth is what an app says that has no health to tell.
var errNoHealth = errors.New("the app implements neither Dapr's HealthCheck nor grpc.health.v1")

// askHealth asks an app that speaks gRPC by Dapr's own method, or by the health
// service that gRPC knows where the app does not have that.
func askHealth(ctx context.Context, conn *grpc.ClientConn, token string) error {
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "dapr-api-token", token)
	}
	_, err := runtimev1.NewAppCallbackHealthCheckClient(conn).HealthCheck(ctx, &emptypb.Empty{})
	if status.Code(err) != codes.Unimplemented {
		return err
	}
	reply, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	switch {
	case status.Code(err) == codes.Unimplemented:
		return errNoHealth
	case err != nil:
		return err
	case reply.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING:
		return fmt.Errorf("the app says that it is %v", reply.GetStatus())
	}
	return nil
}
