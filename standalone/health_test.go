package standalone

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
)

// callback is an app that tells Dapr of its health.
type callback struct {
	runtimev1.UnimplementedAppCallbackHealthCheckServer

	ill   error
	token chan string
}

func (c *callback) HealthCheck(ctx context.Context, _ *emptypb.Empty) (*runtimev1.HealthCheckResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	c.token <- strings.Join(md.Get("dapr-api-token"), ",")
	return &runtimev1.HealthCheckResponse{}, c.ill
}

func TestAppsThatSpeakGRPCTellTheirHealth(t *testing.T) {
	general := func(s grpc_health_v1.HealthCheckResponse_ServingStatus) func(*grpc.Server) {
		return func(srv *grpc.Server) {
			h := health.NewServer()
			h.SetServingStatus("", s)
			grpc_health_v1.RegisterHealthServer(srv, h)
		}
	}
	tokens := make(chan string, 10)
	dapr := func(ill error) func(*grpc.Server) {
		return func(srv *grpc.Server) {
			runtimev1.RegisterAppCallbackHealthCheckServer(srv, &callback{ill: ill, token: tokens})
		}
	}
	for name, c := range map[string]struct {
		app  func(*grpc.Server)
		want string // of the error; "": healthy
	}{
		"Dapr's method, healthy":         {dapr(nil), ""},
		"Dapr's method, ill":             {dapr(errors.New("the disk is full")), "the disk is full"},
		"gRPC's service, serving":        {general(grpc_health_v1.HealthCheckResponse_SERVING), ""},
		"gRPC's service, not serving":    {general(grpc_health_v1.HealthCheckResponse_NOT_SERVING), "NOT_SERVING"},
		"a server with neither of these": {func(*grpc.Server) {}, errNoHealth.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			srv := grpc.NewServer()
			c.app(srv)
			served := make(chan error, 1)
			go func() { served <- srv.Serve(ln) }()
			defer func() {
				srv.Stop()
				if err := <-served; err != nil {
					t.Error(err)
				}
			}()
			conn, err := (&Sidecar{o: Options{Protocol: "grpc"}}).connect(ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			err = askHealth(t.Context(), conn, "secret")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("its health is %v, want %q", err, c.want)
			}
		})
	}
	if len(tokens) != 2 || <-tokens != "secret" {
		t.Error("the app is not told its token")
	}
}
