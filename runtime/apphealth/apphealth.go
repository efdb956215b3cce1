// Package apphealth asks an app for its health, as Dapr's app health check does:
// by a path that must answer 2xx, or by a method of gRPC. Who asks, how often and
// what follows is up to the caller.
package apphealth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

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

// App is whom to ask.
type App struct {
	Addr     string // host:port
	Protocol string // http (also ""), https, h2c, grpc or grpcs; any certificate is accepted
	Path     string // for those that speak HTTP
	Token    string // sent as dapr-api-token; "": none
}

// Ask gives nil when the app is healthy, else what is wrong in words. Its
// connection is closed by us, not by the app, whose port would be taken for a
// minute otherwise; and one that failed keeps nobody waiting the next time.
func (a App) Ask(ctx context.Context) error {
	if a.Protocol == "grpc" || a.Protocol == "grpcs" {
		return a.askRPC(ctx)
	}
	return a.askHTTP(ctx)
}

func (a App) askHTTP(ctx context.Context) error {
	scheme := "http"
	t := &http.Transport{Protocols: new(http.Protocols)}
	switch a.Protocol {
	case "h2c":
		t.Protocols.SetUnencryptedHTTP2(true)
	case "https":
		scheme = "https"
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
		t.TLSClientConfig = anyCertificate()
	default:
		t.Protocols.SetHTTP1(true)
	}
	defer t.CloseIdleConnections()
	url := scheme + "://" + a.Addr + "/" + strings.TrimPrefix(a.Path, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	if a.Token != "" {
		req.Header.Set("dapr-api-token", a.Token)
	}
	reply, err := t.RoundTrip(req) // redirects are answers
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not answer in time", url)
	case err != nil:
		return fmt.Errorf("%s does not answer", url)
	}
	defer reply.Body.Close()
	if reply.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", url, reply.Status)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(reply.Body, 1<<16)) // an app may not like it when nobody reads
	return nil
}

// errNoMethod is what an app says that has no health to tell.
var errNoMethod = errors.New("the app implements neither Dapr's HealthCheck nor grpc.health.v1")

// askRPC asks by Dapr's own method, or by the health service that gRPC knows
// where the app does not have that.
func (a App) askRPC(ctx context.Context) error {
	security := insecure.NewCredentials()
	if a.Protocol == "grpcs" {
		security = credentials.NewTLS(anyCertificate())
	}
	conn, err := grpc.NewClient("passthrough:///"+a.Addr, grpc.WithTransportCredentials(security))
	if err != nil {
		return fmt.Errorf("asking the app for its health: %w", err)
	}
	defer conn.Close()
	if a.Token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "dapr-api-token", a.Token)
	}
	_, err = runtimev1.NewAppCallbackHealthCheckClient(conn).HealthCheck(ctx, &emptypb.Empty{})
	if err == nil {
		return nil
	}
	if status.Code(err) != codes.Unimplemented {
		return fmt.Errorf("the gRPC method HealthCheck fails: %s", status.Convert(err).Message())
	}
	reply, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	switch {
	case status.Code(err) == codes.Unimplemented:
		return errNoMethod
	case err != nil:
		return fmt.Errorf("the gRPC health service fails: %s", status.Convert(err).Message())
	case reply.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING:
		return fmt.Errorf("the gRPC health service says %v", reply.GetStatus())
	}
	return nil
}

// anyCertificate accepts what an app shows, as Dapr does: it is the app's own.
func anyCertificate() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
}
