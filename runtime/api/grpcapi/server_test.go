package grpcapi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"mesh/runtime/api"
	"mesh/runtime/flow"
	"mesh/runtime/rpc"
	"mesh/runtime/stream"
)

// wait is how long a test waits for what must happen.
const wait = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves an API in front of one app and gives a connection to it.
func start(t *testing.T, app stream.HandlerFunc, change func(*Options, *api.Options)) *grpc.ClientConn {
	t.Helper()
	ao := api.Options{AppID: "me", Version: "1.2", Invoke: app}
	o := Options{Grace: wait}
	if change != nil {
		change(&o, &ao)
	}
	o.API = api.New(ao)
	ln := bufconn.Listen(1 << 16)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(o).Serve(ctx, ln) }()
	conn, err := grpc.NewClient("passthrough:///api",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	return conn
}

// answer gives a handler that always replies so.
func answer(code int, body string, header http.Header) stream.HandlerFunc {
	return func(context.Context, *stream.Call) (*stream.Reply, error) {
		return &stream.Reply{Status: code, Header: header, Body: io.NopCloser(strings.NewReader(body)), Length: -1}, nil
	}
}

func request(id string) *runtimev1.InvokeServiceRequest {
	return &runtimev1.InvokeServiceRequest{Id: id, Message: &commonv1.InvokeRequest{
		Method: "/orders//new/", ContentType: "text/plain", Data: &anypb.Any{Value: []byte("hello")},
		HttpExtension: &commonv1.HTTPExtension{Verb: commonv1.HTTPExtension_PUT, Querystring: "a=1&b"},
	}}
}

func TestInvokeService(t *testing.T) {
	rec := flow.NewRecorder()
	t.Cleanup(rec.Watch())
	var got stream.Call
	var body string
	conn := start(t, func(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
		b, err := io.ReadAll(c.Body)
		if err != nil {
			return nil, err
		}
		got, body = *c, string(b)
		return answer(201, "made", http.Header{
			"Content-Type": {"application/json"}, "X-One": {"1"}, "Cache-Control": {"no-store"}, "X-Raw": {"\xff"},
		})(ctx, c)
	}, func(o *Options, _ *api.Options) { o.Recorder = rec })

	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-foo", "1", "x-foo", "2")
	var md metadata.MD
	res, err := runtimev1.NewDaprClient(conn).InvokeService(ctx, request("b"), grpc.Header(&md))
	if err != nil {
		t.Fatal(err)
	}
	if got.AppID != "b" || got.Verb != "PUT" || got.Path != "orders/new" || got.Query != "a=1&b" || body != "hello" || got.Length != 5 {
		t.Errorf("the app gets %+v with %q", got, body)
	}
	if h := got.Header; h.Get("Content-Type") != "text/plain" || strings.Join(h["X-Foo"], "|") != "1|2" {
		t.Errorf("the app sees %v", h)
	}
	if string(res.GetData().GetValue()) != "made" || res.GetContentType() != "application/json" {
		t.Errorf("the reply is %v", res)
	}
	for key, want := range map[string]string{"dapr-http-status": "201", "x-one": "1", "dapr-cache-control": "no-store", "x-raw": ""} {
		if got := strings.Join(md.Get(key), "|"); got != want {
			t.Errorf("metadata %s is %q, want %q", key, got, want)
		}
	}
	views := rec.Views(10)
	if len(views) != 1 || views[0].Kind != "grpc" || views[0].Callee != "b" || views[0].Path != "/orders/new" {
		t.Fatalf("recorded: %+v", views)
	}
	if l, ok := views[0].Lane(flow.Reply, flow.CallerOut); !ok || l.Bytes != 4 {
		t.Errorf("the reply's lane: %+v", l)
	}
}

func TestAppErrorBecomesGRPCError(t *testing.T) {
	for code, want := range map[int]codes.Code{
		400: codes.Internal, 401: codes.Unauthenticated, 403: codes.PermissionDenied, 404: codes.NotFound, 409: codes.AlreadyExists,
		418: codes.Unknown, 429: codes.ResourceExhausted, 500: codes.Unknown, 501: codes.Unimplemented, 503: codes.Unavailable,
		504: codes.DeadlineExceeded, 302: codes.Unknown,
	} {
		conn := start(t, answer(code, strings.Repeat("é", 100), nil), nil)
		var md metadata.MD
		_, err := runtimev1.NewDaprClient(conn).InvokeService(t.Context(), request("b"), grpc.Header(&md))
		st := status.Convert(err)
		if st.Code() != want || md.Get("dapr-http-status")[0] == "" {
			t.Errorf("status %d gives %v %v, want %v", code, st, md, want)
			continue
		}
		info, ok := st.Details()[0].(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != "dapr.io" || info.GetMetadata()["http.error_message"] != strings.Repeat("é", 31) {
			t.Errorf("status %d has details %v", code, st.Details())
		}
	}
}

func TestInvokeServiceRefuses(t *testing.T) {
	conn := start(t, func(_ context.Context, c *stream.Call) (*stream.Reply, error) {
		if c.AppID == "denied" {
			return nil, status.Error(codes.PermissionDenied, "no")
		}
		return nil, errors.New("nobody there")
	}, nil)
	client := runtimev1.NewDaprClient(conn)
	for _, tc := range []struct {
		name   string
		change func(*runtimev1.InvokeServiceRequest)
		code   codes.Code
		says   string
	}{
		{"no app", func(r *runtimev1.InvokeServiceRequest) { r.Id = "" }, codes.InvalidArgument, "names no app"},
		{"no message", func(r *runtimev1.InvokeServiceRequest) { r.Message = nil }, codes.InvalidArgument, "no message"},
		{"no verb", func(r *runtimev1.InvokeServiceRequest) { r.Message.HttpExtension.Verb = 0 }, codes.InvalidArgument, "verb"},
		{"verb from the future", func(r *runtimev1.InvokeServiceRequest) { r.Message.HttpExtension.Verb = 99 }, codes.InvalidArgument, "verb"},
		{"bad path", func(r *runtimev1.InvokeServiceRequest) { r.Message.Method = "a?b" }, codes.InvalidArgument, "invalid method"},
		{"denied", func(r *runtimev1.InvokeServiceRequest) { r.Id = "denied" }, codes.PermissionDenied, "failed to invoke, id: denied"},
		{"not there", func(*runtimev1.InvokeServiceRequest) {}, codes.Internal, "failed to invoke, id: b, err: nobody there"},
	} {
		req := request("b")
		tc.change(req)
		_, err := client.InvokeService(t.Context(), req)
		if status.Code(err) != tc.code || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %v with %q", tc.name, err, tc.code, tc.says)
		}
	}
}

func TestReplyLargerThanAMessage(t *testing.T) {
	conn := start(t, answer(200, strings.Repeat("x", 5000), nil), func(o *Options, _ *api.Options) { o.MaxMessage = 4096 })
	_, err := runtimev1.NewDaprClient(conn).InvokeService(t.Context(), request("b"))
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "3072 bytes") {
		t.Errorf("the error is %v, and should name the limit", err)
	}
}

func TestPanicIsOneCallsError(t *testing.T) {
	calls := 0
	conn := start(t, func(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
		if calls++; calls == 1 {
			panic("boom")
		}
		return answer(200, "", nil)(ctx, c)
	}, nil)
	client := runtimev1.NewDaprClient(conn)
	if _, err := client.InvokeService(t.Context(), request("b")); status.Code(err) != codes.Internal {
		t.Errorf("the error is %v", err)
	}
	if _, err := client.InvokeService(t.Context(), request("b")); err != nil {
		t.Errorf("the next call fails: %v", err)
	}
}

func TestMetadata(t *testing.T) {
	conn := start(t, nil, func(_ *Options, ao *api.Options) {
		ao.App = api.AppConnection{Port: 3000, Protocol: "http", ChannelAddress: "127.0.0.1", Health: &api.AppHealth{Path: "/ok", Threshold: 3}}
		ao.Inventory = func() api.Inventory {
			return api.Inventory{
				Components: []api.Component{{Name: "store", Type: "state.sqlite", Version: "v1", Capabilities: []string{"ETAG"}}},
				Subscriptions: []api.Subscription{{
					PubsubName: "pubsub", Topic: "orders", Type: "DECLARATIVE", Rules: []api.Rule{{Path: "/on-order"}},
				}},
				HTTPEndpoints: []api.HTTPEndpoint{{Name: "bank"}},
			}
		}
	})
	client := runtimev1.NewDaprClient(conn)
	if _, err := client.SetMetadata(t.Context(), &runtimev1.SetMetadataRequest{Key: "cliPID", Value: "42"}); err != nil {
		t.Fatal(err)
	}
	m, err := client.GetMetadata(t.Context(), &runtimev1.GetMetadataRequest{})
	if err != nil {
		t.Fatal(err)
	}
	p := m.GetAppConnectionProperties()
	sub := m.GetSubscriptions()[0]
	switch {
	case m.GetId() != "me", m.GetRuntimeVersion() != "1.2", m.GetExtendedMetadata()["cliPID"] != "42":
	case p.GetPort() != 3000, p.GetHealth().GetHealthCheckPath() != "/ok":
	case m.GetRegisteredComponents()[0].GetCapabilities()[0] != "ETAG", m.GetHttpEndpoints()[0].GetName() != "bank":
	case sub.GetType() != runtimev1.PubsubSubscriptionType_DECLARATIVE, sub.GetRules().GetRules()[0].GetPath() != "/on-order":
	case m.GetActorRuntime().GetRuntimeStatus() != runtimev1.ActorRuntime_DISABLED:
	default:
		return
	}
	t.Errorf("the metadata is %v", m)
}

func TestToken(t *testing.T) {
	conn := start(t, answer(200, "", nil), func(o *Options, _ *api.Options) { o.Token = "secret" })
	client := runtimev1.NewDaprClient(conn)
	for token, want := range map[string]codes.Code{"": codes.Unauthenticated, "wrong": codes.Unauthenticated, "secret": codes.OK} {
		ctx := t.Context()
		if token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "dapr-api-token", token)
		}
		if _, err := client.InvokeService(ctx, request("b")); status.Code(err) != want {
			t.Errorf("token %q gives %v, want %v", token, err, want)
		}
	}
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("health without the token: %v", err)
	}
}

func TestHealthAndReflection(t *testing.T) {
	var down error
	conn := start(t, nil, func(_ *Options, ao *api.Options) { ao.OutboundReady = func() error { return down } })
	check := func() grpc_health_v1.HealthCheckResponse_ServingStatus {
		res, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "dapr.proto.runtime.v1.Dapr"})
		if err != nil {
			t.Fatal(err)
		}
		return res.GetStatus()
	}
	if s := check(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health is %v", s)
	}
	down = errors.New("starting")
	if s := check(); s != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health while starting is %v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ss, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	req := &grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}
	if err := ss.Send(req); err != nil {
		t.Fatal(err)
	}
	res, err := ss.Recv()
	if err != nil || !strings.Contains(res.String(), "dapr.proto.runtime.v1.Dapr") {
		t.Errorf("reflection says %v, %v", res, err)
	}
}

func TestShutdown(t *testing.T) {
	asked := make(chan struct{}, 1)
	conn := start(t, nil, func(_ *Options, ao *api.Options) { ao.Shutdown = func(bool) { asked <- struct{}{} } })
	if _, err := runtimev1.NewDaprClient(conn).Shutdown(t.Context(), &runtimev1.ShutdownRequest{}); err != nil || len(asked) != 1 {
		t.Errorf("shutdown: %v, asked %d times", err, len(asked))
	}
	conn = start(t, nil, nil)
	if _, err := runtimev1.NewDaprClient(conn).Shutdown(t.Context(), &runtimev1.ShutdownRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("shutdown of a sidecar that has none: %v", err)
	}
}

func TestClientCancels(t *testing.T) {
	seen := make(chan struct{}, 1)
	conn := start(t, func(ctx context.Context, _ *stream.Call) (*stream.Reply, error) {
		seen <- struct{}{}
		<-ctx.Done()
		seen <- struct{}{}
		return nil, context.Cause(ctx)
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-seen
		cancel()
	}()
	if _, err := runtimev1.NewDaprClient(conn).InvokeService(ctx, request("b")); status.Code(err) != codes.Canceled {
		t.Errorf("the client sees %v", err)
	}
	select {
	case <-seen:
	case <-time.After(wait):
		t.Error("the app's side is not told")
	}
}

// TestHeaderLimitHoldsForMetadata: of our own methods and of calls that pass, also
// when it changes while the server runs.
func TestHeaderLimitHoldsForMetadata(t *testing.T) {
	var limits stream.Limits
	conn := start(t, answer(200, "", nil), func(o *Options, _ *api.Options) {
		o.Limits, o.Pass = &limits, nowhere{}
	})
	for _, tt := range []struct {
		limit int64
		size  int
		fits  bool
	}{{0, 1_100_000, false}, {50_000, 40_000, true}, {50_000, 51_000, false}, {1_200_000, 1_100_000, true}} {
		limits.Set(0, tt.limit)
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-large", strings.Repeat("x", tt.size))
		_, own := runtimev1.NewDaprClient(conn).GetMetadata(ctx, &runtimev1.GetMetadataRequest{})
		passing := conn.Invoke(metadata.AppendToOutgoingContext(ctx, "dapr-app-id", "back"), "/shop.Orders/Get", &emptypb.Empty{}, &emptypb.Empty{})
		for what, err := range map[string]error{"own": own, "passing": passing} {
			text := status.Convert(err).Message()
			if tt.fits && err != nil && text != "it came this far" {
				t.Errorf("limit %d, %d bytes, %s: %v", tt.limit, tt.size, what, err)
			}
			if !tt.fits && (status.Code(err) != codes.ResourceExhausted || !strings.Contains(text, strconv.Itoa(limits.Header())+" bytes") || !strings.Contains(text, "sidecar of me") || !strings.Contains(text, "header_limit")) {
				t.Errorf("limit %d, %d bytes, %s: %v", tt.limit, tt.size, what, err)
			}
		}
	}
}

// nowhere is where calls that pass end.
type nowhere struct{}

func (nowhere) Pass(context.Context, *rpc.Call) error {
	return status.Error(codes.NotFound, "it came this far")
}
