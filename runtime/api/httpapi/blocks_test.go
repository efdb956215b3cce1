package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/api"
	"mesh/runtime/stream"
)

func TestHealth(t *testing.T) {
	var appDown, outboundDown error
	s := start(t, http.HandlerFunc(echo), func(o *Options, ao *api.Options) {
		o.Token = "secret" // health needs none
		ao.Ready = func() error { return appDown }
		ao.OutboundReady = func() error { return outboundDown }
	})
	for _, tc := range []struct {
		path     string
		app, out error
		status   int
		code     string
	}{
		{"/v1.0/healthz", nil, nil, 204, ""},
		{"/v1.0//healthz/", nil, nil, 204, ""},
		{"/v1.0/healthz?appid=me", nil, nil, 204, ""},
		{"/v1.0/healthz?appid=other", nil, nil, 500, "ERR_HEALTH_APPID_NOT_MATCH"},
		{"/v1.0/healthz", errors.New("the app starts"), nil, 500, "ERR_HEALTH_NOT_READY"},
		{"/v1.0/healthz/outbound", errors.New("the app starts"), nil, 204, ""},
		{"/v1.0/healthz/outbound", nil, errors.New("stopping"), 500, "ERR_OUTBOUND_HEALTH_NOT_READY"},
	} {
		appDown, outboundDown = tc.app, tc.out
		res := do(t, "GET", s.url(tc.path), "")
		var e struct{ ErrorCode string }
		if tc.code != "" {
			_ = json.Unmarshal([]byte(res.text), &e)
		}
		if res.StatusCode != tc.status || e.ErrorCode != tc.code {
			t.Errorf("%s, app %v, outbound %v: status %d %s", tc.path, tc.app, tc.out, res.StatusCode, res.text)
		}
	}
}

func TestMetadata(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), func(_ *Options, ao *api.Options) {
		ao.App = api.AppConnection{Port: 3000, Protocol: "http", ChannelAddress: "127.0.0.1", MaxConcurrency: 4}
		ao.Inventory = func() api.Inventory {
			return api.Inventory{
				Components:    []api.Component{{Name: "store", Type: "state.sqlite", Version: "v1", Capabilities: []string{"ETAG"}}},
				Subscriptions: []api.Subscription{{PubsubName: "pubsub", Topic: "t", Type: "STREAMING", Rules: []api.Rule{{Path: "/p"}}}},
				HTTPEndpoints: []api.HTTPEndpoint{{Name: "bank"}},
			}
		}
	})
	if res := do(t, "PUT", s.url("/v1.0/metadata/cliPID"), "42"); res.StatusCode != http.StatusNoContent {
		t.Errorf("setting gives %d %s", res.StatusCode, res.text)
	}
	// The header names an app, but the route is Dapr's own.
	res := do(t, "GET", s.url("/v1.0/metadata"), "", "dapr-app-id", "b")
	want := `{"id":"me","runtimeVersion":"1.0","components":[{"name":"store","type":"state.sqlite","version":"v1","capabilities":["ETAG"]}],` +
		`"extended":{"cliPID":"42","daprRuntimeVersion":"1.0"},` +
		`"subscriptions":[{"pubsubname":"pubsub","topic":"t","rules":[{"path":"/p"}],"deadLetterTopic":"","type":"STREAMING"}],` +
		`"httpEndpoints":[{"name":"bank"}],` +
		`"appConnectionProperties":{"port":3000,"protocol":"http","channelAddress":"127.0.0.1","maxConcurrency":4},` +
		`"actorRuntime":{"runtimeStatus":"DISABLED","hostReady":false}}`
	if res.text != want || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("status %d %s\nwant %s", res.StatusCode, res.text, want)
	}
	res = do(t, "PUT", s.url("/v1.0/metadata/big"), strings.Repeat("x", maxBlockBody+1))
	if res.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(res.text, "4194304 bytes") {
		t.Errorf("too large a value gives %d %s", res.StatusCode, res.text)
	}
	if res = do(t, "POST", s.url("/v1.0/metadata/x"), ""); res.StatusCode != http.StatusNotFound || !strings.Contains(res.text, "ERR_DIRECT_INVOKE") {
		t.Errorf("a verb that is none gives %d %s", res.StatusCode, res.text)
	}
}

func TestShutdown(t *testing.T) {
	asked := make(chan struct{}, 1)
	s := start(t, http.HandlerFunc(echo), func(_ *Options, ao *api.Options) { ao.Shutdown = func(bool) { asked <- struct{}{} } })
	if res := do(t, "POST", s.url("/v1.0/shutdown"), ""); res.StatusCode != http.StatusNoContent || len(asked) != 1 {
		t.Errorf("status %d, asked %d times", res.StatusCode, len(asked))
	}
}

func TestToken(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), func(o *Options, _ *api.Options) { o.Token = "secret" })
	for _, path := range []string{"/v1.0/metadata", "/v1.0/invoke/b/method/x"} {
		for token, want := range map[string]int{"": 401, "wrong": 401, "secret": 200} {
			res := do(t, "GET", s.url(path), "", "dapr-api-token", token)
			if res.StatusCode != want || want == 401 && strings.TrimSpace(res.text) != "invalid api token" {
				t.Errorf("%s with %q: status %d %s", path, token, res.StatusCode, res.text)
			}
		}
	}
}

func TestErrorsOfInvocation(t *testing.T) {
	var fail error
	s := startAt(t, "", func(_ *Options, ao *api.Options) {
		ao.Invoke = stream.HandlerFunc(func(context.Context, *stream.Call) (*stream.Reply, error) { return nil, fail })
	})
	for _, tc := range []struct {
		err    error
		status int
	}{
		{errors.New("nobody there"), 500},
		{status.Error(codes.PermissionDenied, "no"), 403},
		{status.Error(codes.Unavailable, "gone"), 500},
	} {
		fail = tc.err
		res := do(t, "POST", s.url("/v1.0/invoke/b/method/x"), "hello")
		want, err := json.Marshal(map[string]string{"errorCode": "ERR_DIRECT_INVOKE", "message": "failed to invoke, id: b, err: " + fail.Error()})
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != tc.status || res.text != string(want) {
			t.Errorf("%v: status %d %s, want %d %s", tc.err, res.StatusCode, res.text, tc.status, want)
		}
	}
	none := startAt(t, "", func(_ *Options, ao *api.Options) { ao.Invoke = nil })
	if res := do(t, "GET", none.url("/v1.0/invoke/b/method/x"), ""); res.StatusCode != http.StatusInternalServerError || !strings.Contains(res.text, "invoke API is not ready") {
		t.Errorf("status %d %s", res.StatusCode, res.text)
	}
}

func TestFailedCallFreesTheBody(t *testing.T) {
	// The call fails while its body is being read: the answer must come
	// although the client has not sent the rest.
	s := startAt(t, "", func(_ *Options, ao *api.Options) {
		ao.Invoke = stream.HandlerFunc(func(_ context.Context, c *stream.Call) (*stream.Reply, error) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = io.Copy(io.Discard, c.Body)
			}()
			t.Cleanup(func() { <-done })
			return nil, errors.New("the app is gone")
		})
	})
	c := dial(t, s)
	c.send(invokeX + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	b, err := io.ReadAll(c.r)
	if !strings.HasPrefix(string(b), "HTTP/1.1 500 ") || !strings.Contains(string(b), "the app is gone") || err != nil {
		t.Errorf("the client reads %q, %v", b, err)
	}
}

func TestHeaderLimit(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), nil)
	for size, want := range map[int]string{500 << 10: "200 ", 2 << 20: "431 "} {
		c := dial(t, s)
		c.send("HEAD /v1.0/invoke/b/method/x HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n", strings.Repeat("c", size))
		if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 "+want) {
			t.Errorf("a header of %d bytes gives %s", size, h)
		}
	}
}

func TestBodyWithoutWriterTo(t *testing.T) {
	s := startAt(t, "", func(_ *Options, ao *api.Options) {
		ao.Invoke = stream.HandlerFunc(func(context.Context, *stream.Call) (*stream.Reply, error) {
			body := io.NopCloser(struct{ io.Reader }{iotest.OneByteReader(strings.NewReader("hello"))})
			return &stream.Reply{Status: 200, Header: http.Header{}, Body: body, Length: 5}, nil
		})
	})
	if res := do(t, "GET", s.url("/v1.0/invoke/b/method/x"), ""); res.text != "hello" || res.ContentLength != 5 {
		t.Errorf("%q of length %d", res.text, res.ContentLength)
	}
	short := startAt(t, "", func(_ *Options, ao *api.Options) {
		ao.Invoke = stream.HandlerFunc(func(context.Context, *stream.Call) (*stream.Reply, error) {
			return &stream.Reply{Status: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("hell")), Length: 5}, nil
		})
	})
	if text, err := readToEnd(t, short); err == nil {
		t.Errorf("a reply that is too short looks complete: %q", text)
	}
}

func readToEnd(t *testing.T, s sidecar) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("/v1.0/invoke/b/method/x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func TestStopLetsCallsEnd(t *testing.T) {
	for _, grace := range []time.Duration{wait, 0} {
		reached, release := make(chan struct{}), make(chan struct{})
		o := Options{Grace: grace, API: api.New(api.Options{Invoke: stream.HandlerFunc(func(ctx context.Context, _ *stream.Call) (*stream.Reply, error) {
			close(reached)
			select {
			case <-release:
				return &stream.Reply{Status: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("done")), Length: 4}, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		})})}
		ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- New(o).Serve(ctx, ln) }()
		got := make(chan answer, 1)
		go func() { got <- do(t, "GET", "http://"+ln.Addr().String()+"/v1.0/invoke/b/method/x", "") }()
		<-reached
		stop(errors.New("orders removed"))
		if grace > 0 {
			close(release)
		}
		res := <-got
		if want := map[bool]string{true: "done", false: "orders removed"}[grace > 0]; !strings.Contains(res.text, want) {
			t.Errorf("with a grace of %v the call gets %d %q", grace, res.StatusCode, res.text)
		}
		if err := <-ended; err != nil {
			t.Errorf("with a grace of %v the server ends with %v", grace, err)
		}
	}
}
