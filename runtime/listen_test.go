package runtime

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"mesh/runtime/metrics"
)

// served runs a sidecar that listens as o says, until the test ends.
func served(t *testing.T, o Options) *Sidecar {
	t.Helper()
	o.Internal, o.Peers = "127.0.0.1:0", NewPeers()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask gets a path over connections of one network.
func ask(t *testing.T, network, addr, path string) (int, string) {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://sidecar"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func loopbackAt(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func TestSeveralAddressesAndSockets(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "http.socket")
	left, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ln, _ := left.(*net.UnixListener)
	ln.SetUnlinkOnClose(false) // as a killed sidecar leaves it
	left.Close()
	s := served(t, Options{AppID: "a", HTTP: "127.0.0.1:0,[::1]:0,unix:" + socket, GRPC: "127.0.0.1:0"})
	for network, addr := range map[string]string{"tcp": loopbackAt(s.Ports().HTTP), "unix": socket} {
		if code, _ := ask(t, network, addr, "/v1.0/healthz/outbound"); code != http.StatusNoContent {
			t.Errorf("%s: %d", addr, code)
		}
	}
	if _, err := New(Options{AppID: "b", HTTP: "unix:" + socket, GRPC: "127.0.0.1:0", Internal: "127.0.0.1:0", Peers: NewPeers()}); err == nil || !strings.Contains(err.Error(), "somebody else listens") {
		t.Errorf("a second sidecar at the same socket: %v", err)
	}
}

func TestMetricsAreServed(t *testing.T) {
	reg := metrics.New("a")
	reg.Process()
	s := served(t, Options{AppID: "a", HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:0", MetricsAddr: "127.0.0.1:0", Metrics: reg})
	ask(t, "tcp", loopbackAt(s.Ports().HTTP), "/v1.0/healthz/outbound")
	ask(t, "tcp", loopbackAt(s.Ports().HTTP), "/v1.0/invoke/nobody/method/x")
	_, text := ask(t, "tcp", loopbackAt(s.Ports().Metrics), "/metrics")
	for _, line := range []string{
		`dapr_http_server_request_count{app_id="a",method="GET",path="/v1.0/healthz",status="204"} 1`,
		`dapr_http_server_response_count{app_id="a",method="GET",path="/v1.0/invoke",status="500"} 1`,
		`dapr_error_code_total{app_id="a",category="service-invocation",error_code="ERR_DIRECT_INVOKE"} 1`,
		`dapr_http_server_latency_bucket{app_id="a",method="GET",path="/v1.0/healthz",status="204",le="+Inf"} 1`,
		"process_resident_memory_bytes ",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
}

func TestPublicPortTellsOnlyHealthAndMetadata(t *testing.T) {
	s := served(t, Options{AppID: "a", HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:0", PublicAddr: "127.0.0.1:0", APIToken: "secret"})
	for path, want := range map[string]int{
		"/v1.0/healthz/outbound": 204, "/v1.0/metadata": 200, "/v1.0/shutdown": 404, "/v1.0/invoke/a/method/x": 404, "/x": 404,
	} {
		if code, _ := ask(t, "tcp", loopbackAt(s.Ports().Public), path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	if code, _ := ask(t, "tcp", loopbackAt(s.Ports().HTTP), "/v1.0/metadata"); code != http.StatusUnauthorized {
		t.Errorf("the API itself answers %d without the token", code)
	}
}
