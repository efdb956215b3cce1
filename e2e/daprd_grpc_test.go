//go:build daprd

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// TestDaprdGRPC passes gRPC calls between a mesh and a real daprd, both ways,
// and calls an app that speaks gRPC over HTTP.
func TestDaprdGRPC(t *testing.T) {
	ports := freePorts(t, 5)
	app := exec.Command(os.Args[0])
	app.Env = append(os.Environ(), "E2E_ROLE=grpc", fmt.Sprintf("APP_PORT=%d", ports[0]), "MESH_INSTANCE=real")
	d := &daprd{t: t, id: "real", http: ports[1], app: app}
	d.out = launch(t, app)
	d.run(ports, "--app-protocol", "grpc")
	r := newProject(t, `
[mesh.mdns]
interface = "loopback"
[apps.client]
command = "APP wait SELF"
[apps.back]
command = "APP grpc SELF"
port = "auto"
protocol = "grpc"
`).up()
	r.ready("client", "back")
	for way, c := range map[string]struct {
		port         int
		to, from, as string
	}{
		"mesh to daprd": {r.instance("client").GRPCPort, "real", "client", fmt.Sprintf("http://127.0.0.1:%d/", r.instance("client").HTTPPort)},
		"daprd to mesh": {ports[2], "back", "real", d.url("")},
	} {
		t.Run(way, func(t *testing.T) {
			client := pb.NewTestServiceClient(grpcClient(t, c.port))
			ctx := toApp(t.Context(), c.to)
			await(t, way, func() bool {
				res, err := client.UnaryCall(ctx, &pb.SimpleRequest{})
				return err == nil && res.GetUsername() == c.to && res.GetOauthScope() == c.from
			})
			if err := pingPong(ctx, client, 500); err != nil {
				t.Error(err)
			}
			if _, err := client.EmptyCall(ctx, &pb.Empty{}); status.Code(err) != codes.Unimplemented {
				t.Errorf("a method that the app does not have: %v", err)
			}
			short, cancel := context.WithCancel(ctx)
			s, err := client.FullDuplexCall(short)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			if _, err := s.Recv(); status.Code(err) != codes.Canceled {
				t.Errorf("a call that is cancelled: %v", err)
			}
			code, body, err := get(t.Context(), c.as+"v1.0/invoke/"+c.to+"/method/a/b")
			if err != nil || code != http.StatusOK || body != "GET a/b " {
				t.Errorf("over HTTP: %d %q %v", code, body, err)
			}
		})
	}
}
