package apphealth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
)

// nobody listens there.
const nobody = "127.0.0.1:1"

// says fails unless the health of an app is as wanted: "" is healthy, anything
// else a part of what is wrong.
func says(t *testing.T, a App, want string) {
	t.Helper()
	err := a.Ask(t.Context())
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("its health is %v, want %q", err, want)
	}
}

// TestHTTP: what is not 2xx is not healthy, in every protocol that an app may speak.
func TestHTTP(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("dapr-api-token") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/well":
			w.WriteHeader(http.StatusAccepted)
		case "/moved":
			http.Redirect(w, r, "/well", http.StatusFound)
		case "/silent":
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	for _, protocol := range []string{"", "http", "https", "h2c"} {
		srv := httptest.NewUnstartedServer(app)
		if srv.EnableHTTP2 = true; protocol == "h2c" {
			srv.Config.Protocols = new(http.Protocols)
			srv.Config.Protocols.SetUnencryptedHTTP2(true)
		}
		if protocol == "https" {
			srv.StartTLS()
		} else {
			srv.Start()
		}
		ask := func(path, token string) App {
			return App{Addr: srv.Listener.Addr().String(), Protocol: protocol, Path: path, Token: token}
		}
		says(t, ask("/well", "secret"), "")
		says(t, ask("well", "secret"), "")
		says(t, ask("/well", ""), "/well answers 401")
		says(t, ask("/moved", "secret"), "302")
		says(t, ask("/else", "secret"), "503")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := ask("/silent", "secret").Ask(ctx); err == nil || !strings.Contains(err.Error(), "in time") {
			t.Errorf("%s: an app that is silent: %v", protocol, err)
		}
		cancel()
		srv.Close()
		says(t, App{Addr: nobody, Protocol: protocol, Path: "/well"}, "does not answer")
	}
}

// callback is an app that tells Dapr of its health.
type callback struct {
	runtimev1.UnimplementedAppCallbackHealthCheckServer

	ill error
}

func (c *callback) HealthCheck(ctx context.Context, _ *emptypb.Empty) (*runtimev1.HealthCheckResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if got := strings.Join(md.Get("dapr-api-token"), ","); got != "secret" {
		return nil, errors.New("its token is " + got)
	}
	return &runtimev1.HealthCheckResponse{}, c.ill
}

// TestRPC asks apps that speak gRPC.
func TestRPC(t *testing.T) {
	general := func(s grpc_health_v1.HealthCheckResponse_ServingStatus) func(*grpc.Server) {
		return func(srv *grpc.Server) {
			h := health.NewServer()
			h.SetServingStatus("", s)
			grpc_health_v1.RegisterHealthServer(srv, h)
		}
	}
	dapr := func(ill error) func(*grpc.Server) {
		return func(srv *grpc.Server) {
			runtimev1.RegisterAppCallbackHealthCheckServer(srv, &callback{ill: ill})
		}
	}
	for name, c := range map[string]struct {
		app  func(*grpc.Server)
		want string
	}{
		"Dapr's method, healthy":         {dapr(nil), ""},
		"Dapr's method, ill":             {dapr(errors.New("the disk is full")), "the disk is full"},
		"gRPC's service, serving":        {general(grpc_health_v1.HealthCheckResponse_SERVING), ""},
		"gRPC's service, not serving":    {general(grpc_health_v1.HealthCheckResponse_NOT_SERVING), "NOT_SERVING"},
		"a server with neither of these": {func(*grpc.Server) {}, errNoMethod.Error()},
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
			says(t, App{Addr: ln.Addr().String(), Protocol: "grpc", Token: "secret"}, c.want)
			srv.Stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
	says(t, App{Addr: nobody, Protocol: "grpc"}, "HealthCheck fails")
}
