package runtime

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"mesh/runtime/api"
	"mesh/runtime/metrics"
	"mesh/runtime/stream"
)

// meter counts what a sidecar does. It is the observer of its APIs.
type meter struct {
	to *metrics.Registry

	requests, responses, latency, calls, callLatency, rpcs, failures metrics.Metric
}

func newMeter(to *metrics.Registry) *meter {
	return &meter{
		to: to, requests: metrics.HTTPRequests(), responses: metrics.HTTPResponses(), latency: metrics.HTTPLatency(),
		calls: metrics.AppCalls(), callLatency: metrics.AppLatency(), rpcs: metrics.RPCs(), failures: metrics.ErrorCodes(),
	}
}

// Served implements httpapi.Observer.
func (m *meter) Served(method, route string, status int, code api.Code, took time.Duration) {
	text := strconv.Itoa(status)
	m.to.Count(m.requests, method, route, text)
	m.to.Count(m.responses, method, route, text)
	m.to.Observe(m.latency, took, method, route, text)
	if code != "" {
		m.to.Count(m.failures, category(route), string(code))
	}
}

// rpc is told of the calls to the gRPC API.
func (m *meter) rpc(method string, code codes.Code) { m.to.Count(m.rpcs, method, code.String()) }

// category is the building block of a route.
func category(route string) string {
	_, block, _ := strings.Cut(strings.TrimPrefix(route, "/"), "/")
	if block == "" || block == "invoke" {
		return "service-invocation"
	}
	return block
}

// callApp sends a call to the sidecar's own app.
func (s *Sidecar) callApp(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	if s.meter == nil {
		return s.app.Handle(ctx, c)
	}
	began := time.Now()
	reply, err := s.app.Handle(ctx, c)
	status := "500"
	if err == nil {
		status = strconv.Itoa(reply.Status)
	}
	s.meter.to.Count(s.meter.calls, c.Verb, "", status)
	s.meter.to.Observe(s.meter.callLatency, time.Since(began), c.Verb, "", status)
	return reply, err
}

// serveMetrics serves the metrics until ctx ends.
func (s *Sidecar) serveMetrics(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.o.Metrics)
	mux.Handle("GET /{$}", s.o.Metrics)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(ln); ctx.Err() == nil {
		return err
	}
	return nil
}
