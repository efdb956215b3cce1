package e2e

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	sdkgrpc "github.com/dapr/go-sdk/service/grpc"
)

// TestSidecarAsksGRPCAppsForTheirHealth: a sidecar by itself calls the method
// HealthCheck of an app that speaks gRPC.
func TestSidecarAsksGRPCAppsForTheirHealth(t *testing.T) {
	t.Parallel()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var unwell atomic.Bool
	service := sdkgrpc.NewServiceWithListener(ln)
	if err := service.AddHealthCheckHandler("", func(context.Context) error {
		if unwell.Load() {
			return errors.New("unwell")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- service.Start() }()
	t.Cleanup(func() {
		if err := errors.Join(service.GracefulStop(), <-ended); err != nil {
			t.Error(err)
		}
	})
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := sidecar(t, meshBinary, nil, "sidecar", "--app-id", "healthy", "--app-protocol", "grpc", "--app-port", port,
		"--enable-app-health-check", "--app-health-probe-interval", "1", "--app-health-threshold", "1")
	health := func(want int) func() bool {
		return func() bool { code, _ := s.get("v1.0/healthz"); return code == want }
	}
	await(t, "health", health(http.StatusNoContent))
	unwell.Store(true)
	await(t, "the end of health", health(http.StatusInternalServerError))
	unwell.Store(false)
	await(t, "health again", health(http.StatusNoContent))
}
