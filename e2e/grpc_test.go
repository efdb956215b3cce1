package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"

	"mesh/supervisor/state"
)

// grpcClient connects to a gRPC API of a sidecar.
func grpcClient(t *testing.T, port int) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// toApp gives a context with which calls go to an app.
func toApp(ctx context.Context, id string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "dapr-app-id", id)
}

// pingPong sends n messages over one stream and waits for each to come back.
func pingPong(ctx context.Context, client pb.TestServiceClient, n int) error {
	s, err := client.FullDuplexCall(ctx)
	if err != nil {
		return fmt.Errorf("opening a stream: %w", err)
	}
	for i := range n {
		want := strconv.Itoa(i)
		if err := s.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: []byte(want)}}); err != nil {
			return fmt.Errorf("sending message %d: %w", i, err)
		}
		res, err := s.Recv()
		if err != nil {
			return fmt.Errorf("receiving message %d: %w", i, err)
		}
		if got := string(res.GetPayload().GetBody()); got != want {
			return fmt.Errorf("message %s came back as %s", want, got)
		}
	}
	if err := s.CloseSend(); err != nil {
		return fmt.Errorf("ending the stream: %w", err)
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the stream ends with: %w", err)
	}
	return nil
}

// TestGRPCApp runs an app that speaks gRPC and calls it in every way, on both
// transports, also while it restarts.
func TestGRPCApp(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"auto", "grpc"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, `
[mesh]
transport = "`+transport+`"
[apps.front]
command = "APP wait SELF"
[apps.back]
command = "APP grpc SELF"
port = "auto"
protocol = "grpc"
ready = { grpc = true }
`)
			r := p.up()
			r.ready("front", "back")
			conn := grpcClient(t, r.instance("front").GRPCPort)
			client := pb.NewTestServiceClient(conn)
			ctx := toApp(t.Context(), "back")

			res, err := client.UnaryCall(ctx, &pb.SimpleRequest{})
			if err != nil || res.GetUsername() != "back" || res.GetOauthScope() != "front" {
				t.Errorf("a unary call: %v, %v", res, err)
			}
			if err := pingPong(ctx, client, 1000); err != nil {
				t.Error(err)
			}
			if code, body, err := r.get("front", "v1.0/invoke/back/method/a/b"); err != nil || code != http.StatusOK || body != "GET a/b " {
				t.Errorf("a call over HTTP: %d %q %v", code, body, err)
			}
			ss, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := ss.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}); err != nil {
				t.Fatal(err)
			}
			if list, err := ss.Recv(); err != nil || !strings.Contains(list.String(), "grpc.testing.TestService") {
				t.Errorf("reflection: %v, %v", list, err)
			}
			if err := ss.CloseSend(); err != nil { // or the app would wait for us
				t.Fatal(err)
			}

			stop := make(chan struct{})
			var calls atomic.Int64
			var load sync.WaitGroup
			for range 4 {
				load.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if err := pingPong(ctx, client, 3); err != nil {
							t.Errorf("while the app restarts: %v", err)
							return
						}
						calls.Add(1)
					}
				})
			}
			for range 5 {
				before := calls.Load()
				if err := r.client.Do(t.Context(), state.Command{Op: state.Restart, App: "back"}); err != nil {
					t.Fatal(err)
				}
				r.await("calls after the restart", func() bool { return t.Failed() || calls.Load() > before+10 })
			}
			close(stop)
			load.Wait()
			if i := r.instance("back"); i.Restarts != 0 || i.Starts != 6 {
				t.Errorf("the app was started %d times and failed %d times", i.Starts, i.Restarts)
			}
		})
	}
}
