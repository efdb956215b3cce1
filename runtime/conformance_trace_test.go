package runtime

import (
	"context"
	"net/http"
	"strings"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"mesh/runtime/stream"
)

const traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"

// traceContext: what a caller says of its trace reaches the app, and a call that
// says nothing, or nonsense, gets a trace of its own.
func traceContext(t *testing.T, m *mesh) {
	var seen http.Header
	back := m.app("back", func(_ http.ResponseWriter, r *http.Request) { seen = r.Header })
	call := func(from *Sidecar, pairs ...string) http.Header {
		req := m.request("GET", "back", "m", nil)
		if from == back { // its own app
			m.front, from = from, m.front
			req = m.request("GET", "back", "m", nil)
			m.front = from
		}
		for i := 0; i < len(pairs); i += 2 {
			req.Header.Set(pairs[i], pairs[i+1])
		}
		_ = m.read(m.do(req))
		return seen
	}
	for _, from := range []*Sidecar{m.front, back} {
		h := call(from, "traceparent", traced, "tracestate", "a=1,b=2", "baggage", "user=7;p=1, x=%20")
		if h.Get("Traceparent") != traced || h.Get("Tracestate") != "a=1,b=2" || h.Get("Baggage") != "user=7;p=1, x=%20" {
			t.Errorf("passed on: %v", h)
		}
		first := call(from).Get("Traceparent")
		second := call(from, "traceparent", "nonsense", "tracestate", "a=1", "baggage", "x=1")
		if p := second.Get("Traceparent"); !stream.ValidTraceParent(first) || !stream.ValidTraceParent(p) || p == first || len(second["Traceparent"]) != 1 || second.Get("Tracestate") != "" || second.Get("Baggage") != "x=1" {
			t.Errorf("begun: %q, then %v", first, second)
		}
		if !strings.HasSuffix(first, "-01") {
			t.Errorf("a trace that begins is not recorded: %s", first)
		}
	}
	zero := 0.0
	m.front.Declare(Declared{Sampling: &zero})
	if p := call(m.front).Get("Traceparent"); !strings.HasSuffix(p, "-00") {
		t.Errorf("at a sampling rate of 0 it is recorded: %s", p)
	}
}

// traceOverGRPC calls an app with InvokeService, where the trace is in gRPC's form.
func traceOverGRPC(t *testing.T, m *mesh) {
	var seen http.Header
	m.app("back", func(_ http.ResponseWriter, r *http.Request) { seen = r.Header })
	client := runtimev1.NewDaprClient(m.dial())
	for name, md := range map[string]metadata.MD{
		"binary": metadata.Pairs("grpc-trace-bin", stream.TraceBinary(traced)),
		"text":   metadata.Pairs("traceparent", traced, "tracestate", "a=1"),
		"none":   nil,
	} {
		ctx := metadata.NewOutgoingContext(t.Context(), md)
		_, err := client.InvokeService(ctx, &runtimev1.InvokeServiceRequest{Id: "back", Message: &commonv1.InvokeRequest{
			Method: "m", HttpExtension: &commonv1.HTTPExtension{Verb: commonv1.HTTPExtension_GET},
		}})
		must(t, err)
		got := seen.Get("Traceparent")
		if md != nil && got != traced || md == nil && !stream.ValidTraceParent(got) {
			t.Errorf("%s: the app saw %q", name, got)
		}
		if _, ok := seen["Grpc-Trace-Bin"]; ok {
			t.Errorf("%s: the app saw %v", name, seen)
		}
	}
}

// rpcTrace passes calls of the app's own services on.
func rpcTrace(t *testing.T, m *mesh) {
	var seen metadata.MD
	m.rpcApp("back", &rpcApp{unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		seen, _ = metadata.FromIncomingContext(ctx)
		return &pb.SimpleResponse{}, nil
	}})
	client := pb.NewTestServiceClient(m.dial())
	for name, pairs := range map[string][]string{
		"binary":              {"grpc-trace-bin", stream.TraceBinary(traced)},
		"text":                {"traceparent", traced, "tracestate", "a=1", "baggage", "b=2"},
		"text, binary broken": {"traceparent", traced, "grpc-trace-bin", "xx"},
		"binary, text broken": {"traceparent", "xx", "grpc-trace-bin", stream.TraceBinary(traced)},
		"none":                nil,
		"none, both broken":   {"traceparent", "xx", "grpc-trace-bin", "yy", "tracestate", "a=1"},
		"none, two":           {"traceparent", traced, "traceparent", traced},
	} {
		_, err := client.UnaryCall(metadata.AppendToOutgoingContext(m.to("back"), pairs...), &pb.SimpleRequest{})
		must(t, err)
		parent, binary := strings.Join(seen["traceparent"], " "), strings.Join(seen["grpc-trace-bin"], " ")
		none := strings.HasPrefix(name, "none")
		if none == (parent == traced) || !stream.ValidTraceParent(parent) || stream.TraceFromBinary(binary) != parent {
			t.Errorf("%s: the app saw %q and %x", name, parent, binary)
		}
		if none && seen["tracestate"] != nil {
			t.Errorf("%s: the app saw the state %v of another trace", name, seen["tracestate"])
		}
		if name == "text" && (seen["tracestate"][0] != "a=1" || seen["baggage"][0] != "b=2") {
			t.Errorf("the app saw %v", seen)
		}
	}
}
