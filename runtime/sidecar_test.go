package runtime

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"mesh/runtime/stream"
)

func TestBusyPortIsNamed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	busy, http := ln.Addr().String(), free.Addr().String()
	_, err = New(Options{AppID: "a", HTTP: http, GRPC: "127.0.0.1:0", Internal: busy, Peers: NewPeers()})
	port, ok := errors.AsType[*PortError](err)
	if !ok || port.What != "internal gRPC" || port.Addr != busy || !strings.Contains(err.Error(), busy) {
		t.Errorf("error %v", err)
	}
	// Those that were bound are free again.
	s, err := New(Options{AppID: "a", HTTP: http, GRPC: "127.0.0.1:0", Internal: "127.0.0.1:0", Peers: NewPeers()})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestBadProtocol(t *testing.T) {
	o := Options{AppID: "a", Peers: NewPeers()}
	o.App.Protocol = "carrier-pigeon"
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "carrier-pigeon") {
		t.Errorf("error %v", err)
	}
}

func TestPortsBeforeRun(t *testing.T) {
	s, err := New(Options{AppID: "a", HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:0", Internal: "127.0.0.1:0", Peers: NewPeers()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, port := range []int{s.Ports().HTTP, s.Ports().GRPC, s.Ports().Internal} {
		// An app that starts with its sidecar may connect at once.
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Error(err)
			continue
		}
		_ = c.Close()
	}
}

// api asks the HTTP API of a sidecar.
func (m *mesh) api(s *Sidecar, path string, header ...string) (int, string) {
	m.t.Helper()
	req := m.request("GET", "", "", nil)
	req.URL.Host, req.URL.Path = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Ports().HTTP)), path
	if len(header) == 2 {
		req.Header.Set(header[0], header[1])
	}
	res := m.do(req)
	return res.StatusCode, m.read(res)
}

func TestHealth(t *testing.T) {
	m := newMesh(t, stream.Auto)
	s := m.app("back", named("back"))
	if code, _ := m.api(s, "/v1.0/healthz"); code != http.StatusNoContent {
		t.Errorf("a ready app: %d", code)
	}
	s.App().Hold("restarting")
	if code, body := m.api(s, "/v1.0/healthz"); code != http.StatusInternalServerError || !strings.Contains(body, "app back is not ready") {
		t.Errorf("an app that is not ready: %d %s", code, body)
	}
	if code, _ := m.api(s, "/v1.0/healthz/outbound"); code != http.StatusNoContent {
		t.Errorf("the sidecar itself: %d", code)
	}
	s.App().Open()
}

func TestMetadata(t *testing.T) {
	m := newMesh(t, stream.Auto)
	o := m.appOptions("back", "back-1", nil)
	o.Metadata = map[string]string{"appCommand": "go run ."}
	s := m.sidecar(o)
	if err := s.SetMetadata("appPID", "42"); err != nil {
		t.Fatal(err)
	}
	_, body := m.api(s, "/v1.0/metadata")
	var got struct {
		ID       string
		Runtime  string `json:"runtimeVersion"`
		Extended map[string]string
		App      struct{ Port int } `json:"appConnectionProperties"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.ID != "back" || got.Runtime != "edge" || got.Extended["appCommand"] != "go run ." || got.Extended["appPID"] != "42" || !strings.HasSuffix(o.App.Addr, ":"+strconv.Itoa(got.App.Port)) {
		t.Errorf("metadata %s", body)
	}
}

func TestGRPCAPIServes(t *testing.T) {
	m := newMesh(t, stream.Auto)
	conn, err := grpc.NewClient(net.JoinHostPort("127.0.0.1", strconv.Itoa(m.front.Ports().GRPC)), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	res, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || res.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", res, err)
	}
}

func TestToken(t *testing.T) {
	m := newMesh(t, stream.Auto)
	s := m.sidecar(Options{AppID: "guarded", APIToken: "secret"})
	if code, _ := m.api(s, "/v1.0/metadata"); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d", code)
	}
	if code, _ := m.api(s, "/v1.0/metadata", "dapr-api-token", "secret"); code != http.StatusOK {
		t.Errorf("with the token: %d", code)
	}
}

func TestStopLetsCallsEnd(t *testing.T) {
	eachTransport(t, func(t *testing.T, m *mesh) {
		entered, release := make(chan struct{}), make(chan struct{})
		s, stop := m.start(m.appOptions("back", "back-1", func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-release
			_, _ = io.WriteString(w, "after all")
		}))
		done := make(chan string, 1)
		go func() {
			_, got := m.call("GET", "back", "m", "")
			done <- got
		}()
		soon(t, "the call", entered)
		stopped := make(chan struct{})
		go func() {
			stop()
			close(stopped)
		}()
		for end := time.Now().Add(patience); m.joined(s); tick(t) {
			if time.Now().After(end) {
				t.Fatal("a sidecar that stops can still be found")
			}
		}
		if m.transport != stream.Auto { // in process the call is the caller's to end
			select {
			case <-stopped:
				t.Error("it has stopped with a call under way")
			default:
			}
		}
		close(release)
		if got := soon(t, "the reply", done); got != "after all" {
			t.Errorf("got %q", got)
		}
		soon(t, "the sidecar to stop", stopped)
		if res, _ := m.call("GET", "back", "m", ""); res.StatusCode != http.StatusInternalServerError {
			t.Errorf("a call after the stop: %d", res.StatusCode)
		}
	})
}

func TestGraceEnds(t *testing.T) {
	m := newMesh(t, stream.GRPC)
	o := m.appOptions("back", "back-1", func(w http.ResponseWriter, r *http.Request) {
		send(t, w, "endless")
		<-r.Context().Done()
	})
	o.Grace = 100 * time.Millisecond
	_, stop := m.start(o)
	res := m.do(m.request("GET", "back", "m", nil))
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("%q passed for a whole reply", b)
	}
	soon(t, "the sidecar to stop", stopped)
}

func TestPortsAreFreeAfterRun(t *testing.T) {
	m := newMesh(t, stream.Auto)
	s, stop := m.start(Options{AppID: "a"})
	stop()
	var lc net.ListenConfig
	for _, port := range []int{s.Ports().HTTP, s.Ports().GRPC, s.Ports().Internal} {
		ln, err := lc.Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Error(err)
			continue
		}
		_ = ln.Close()
	}
}
