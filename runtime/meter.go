package runtime

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/api"
	"mesh/runtime/metrics"
	"mesh/runtime/policy"
	"mesh/runtime/rpc"
	"mesh/runtime/stream"
)

// meter counts what a sidecar does. It is the observer of its APIs.
type meter struct {
	to        *metrics.Registry
	namespace string

	often atomic.Pointer[map[labels]*httpSeries] // what was looked for before
	mu    sync.Mutex                             // held while often is replaced

	requests, responses, latency, calls, callLatency, rpcs, appRPCs, failures, policies, struck metrics.Metric
}

// labels are those of a request or of a call to the app, which has no route.
type labels struct {
	method, route string
	status        int
}

// httpSeries are the series of such labels. Those of a call to the app have no
// requests.
type httpSeries struct{ requests, responses, latency *metrics.Series }

// maxOften bounds what is remembered. Methods are any word of a client's.
const maxOften = 500

func newMeter(to *metrics.Registry, namespace string) *meter {
	m := &meter{
		to: to, namespace: namespace, requests: metrics.HTTPRequests(), responses: metrics.HTTPResponses(), latency: metrics.HTTPLatency(),
		calls: metrics.AppCalls(), callLatency: metrics.AppLatency(), rpcs: metrics.RPCs(), appRPCs: metrics.AppRPCs(),
		failures: metrics.ErrorCodes(), policies: metrics.PolicyRuns(), struck: metrics.PolicyActivations(),
	}
	m.often.Store(&map[labels]*httpSeries{})
	return m
}

// series gives those of a request, or of a call to the app. To look for each
// series by its labels was 3 % of what a small call cost.
func (m *meter) series(k labels) *httpSeries {
	if s := (*m.often.Load())[k]; s != nil {
		return s
	}
	text := strconv.Itoa(k.status)
	k.method, k.route = strings.Clone(k.method), strings.Clone(k.route) // they are parts of something larger
	var s *httpSeries
	if k.route == "" {
		s = &httpSeries{responses: m.to.Counter(m.calls, k.method, "", text), latency: m.to.Histogram(m.callLatency, k.method, "", text)}
	} else {
		s = &httpSeries{
			requests: m.to.Counter(m.requests, k.method, k.route, text), responses: m.to.Counter(m.responses, k.method, k.route, text),
			latency: m.to.Histogram(m.latency, k.method, k.route, text),
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if often := *m.often.Load(); len(often) < maxOften {
		often = maps.Clone(often)
		often[k] = s
		m.often.Store(&often)
	}
	return s
}

// Served implements httpapi.Observer.
func (m *meter) Served(method, route string, httpStatus int, code api.Code, took time.Duration) {
	s := m.series(labels{method, route, httpStatus})
	s.requests.Add()
	s.responses.Add()
	s.latency.Observe(took)
	if code != "" {
		m.to.Count(m.failures, category(route), string(code))
	}
}

// rpc is told of the calls to the gRPC API.
func (m *meter) rpc(method string, code codes.Code) { m.to.Count(m.rpcs, method, code.String()) }

// logRPCs writes the calls to the gRPC API to the log, and tells next of them.
func (s *Sidecar) logRPCs(next func(string, codes.Code)) func(string, codes.Code) {
	return func(method string, code codes.Code) {
		s.o.Log.Info("gRPC API Called", slog.String("method", method), slog.String("code", code.String()))
		if next != nil {
			next(method, code)
		}
	}
}

// policy is told of what policies do.
func (m *meter) policy(kind, target string, struck bool) {
	if struck {
		m.to.Count(m.struck, kind, target)
	} else {
		m.to.Count(m.policies, kind, target)
	}
}

// circuits shows the states of the circuit breakers that an app's calls pass.
func (m *meter) circuits(b *policy.Book, app string) {
	m.to.Gauges(metrics.Circuits(), func(yield func(float64, ...string)) {
		for _, target := range b.Targets() {
			breaker := b.Find(app, target).Breaker
			if breaker == nil {
				continue
			}
			for _, state := range [...]string{"closed", "half-open", "open"} {
				var is float64
				if breaker.State() == state {
					is = 1
				}
				yield(is, target, state)
			}
		}
	})
}

// category is the building block of a route.
func category(route string) string {
	_, block, _ := strings.Cut(strings.TrimPrefix(route, "/"), "/")
	if block == "" || block == "invoke" {
		return "service-invocation"
	}
	return block
}

// callApp sends a call to the sidecar's own app, unless its body is too large.
func (s *Sidecar) callApp(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	c, bound, err := s.limits.Bound(c, s.o.AppID)
	if err != nil {
		return nil, err
	}
	reply, err := s.metered(ctx, c)
	return reply, bound.Why(err)
}

func (s *Sidecar) metered(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	if s.meter == nil {
		return s.appCalls.Handle(ctx, c)
	}
	began := time.Now()
	reply, err := s.appCalls.Handle(ctx, c)
	code := http.StatusInternalServerError
	if err == nil {
		code = reply.Status
	}
	series := s.meter.series(labels{c.Verb, "", code})
	series.responses.Add()
	series.latency.Observe(time.Since(began))
	return reply, err
}

// Pass passes a call of its own gRPC services to the sidecar's app.
func (s *Sidecar) Pass(ctx context.Context, c *rpc.Call) error {
	err := s.app.Pass(ctx, c.Bound(s.limits.Body(), s.o.AppID))
	if s.meter != nil {
		s.meter.to.Count(s.meter.appRPCs, c.Method, status.Code(err).String())
	}
	return err
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
