package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	dapr "github.com/dapr/go-sdk/client"
	"github.com/dapr/go-sdk/service/common"
	sdk "github.com/dapr/go-sdk/service/grpc"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"mesh/runtime/stream"
)

// sdkApp starts an app made with Dapr's Go SDK, and its sidecar.
func (m *mesh) sdkApp(id string, methods map[string]common.ServiceInvocationHandler) {
	m.t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(m.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	s := sdk.NewServiceWithListener(ln)
	for name, h := range methods {
		must(m.t, s.AddServiceInvocationHandler(name, h))
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Start() }()
	m.t.Cleanup(func() {
		must(m.t, s.GracefulStop())
		must(m.t, <-ended)
	})
	m.sidecar(rpcOptions(id, id, ln.Addr().String()))
}

// sdkClient gives the SDK's client of the front's sidecar.
func (m *mesh) sdkClient() dapr.Client { return dapr.NewClientWithConnection(m.dial()) }

var sdkTransports = []stream.Transport{stream.Auto, stream.GRPC, stream.Unary}

func sdkMethods(t testing.TB) map[string]common.ServiceInvocationHandler {
	return map[string]common.ServiceInvocationHandler{
		"echo": func(_ context.Context, in *common.InvocationEvent) (*common.Content, error) {
			return &common.Content{
				Data:        fmt.Appendf(nil, "%s %s %s", in.Verb, in.QueryString, in.Data),
				ContentType: "x-echo/" + in.ContentType, DataTypeURL: in.DataTypeURL,
			}, nil
		},
		"fail": func(context.Context, *common.InvocationEvent) (*common.Content, error) {
			st, err := status.New(codes.FailedPrecondition, "not yet").WithDetails(&errdetails.ErrorInfo{Reason: "EARLY"})
			must(t, err)
			return nil, st.Err()
		},
		"plain": func(context.Context, *common.InvocationEvent) (*common.Content, error) {
			return nil, errors.New("it broke")
		},
	}
}

// TestSDKToGRPCApp has apps made with Dapr's Go SDK call each other.
func TestSDKToGRPCApp(t *testing.T) {
	for _, transport := range sdkTransports {
		t.Run(string(transport), func(t *testing.T) {
			m := newMesh(t, transport)
			m.sdkApp("back", sdkMethods(t))
			client := m.sdkClient()
			ctx := t.Context()
			out, err := client.InvokeMethod(ctx, "back", "echo?a=1&b=%2F", "get")
			if err != nil || string(out) != "GET a=1&b=%2F " {
				t.Errorf("InvokeMethod gives %q, %v", out, err)
			}
			for _, data := range []string{"hello", strings.Repeat("x", 3<<20)} {
				out, err = client.InvokeMethodWithContent(ctx, "back", "echo", "put", &dapr.DataContent{Data: []byte(data), ContentType: "text/plain"})
				if err != nil || string(out) != "PUT  "+data {
					t.Errorf("InvokeMethodWithContent with %d bytes gives %d, %v", len(data), len(out), err)
				}
			}
			out, err = client.InvokeMethodWithCustomContent(ctx, "back", "echo", "post", "application/json", map[string]int{"n": 1})
			if err != nil || string(out) != `POST  {"n":1}` {
				t.Errorf("InvokeMethodWithCustomContent gives %q, %v", out, err)
			}
			_, err = client.InvokeMethod(ctx, "back", "fail", "get")
			if st := status.Convert(err); st.Code() != codes.FailedPrecondition || st.Message() != "not yet" || len(st.Details()) != 1 {
				t.Errorf("an error of the app reaches the client as %v %v", err, status.Convert(err).Details())
			}
			if _, err = client.InvokeMethod(ctx, "back", "plain", "get"); status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "it broke") {
				t.Errorf("an error without a status reaches the client as %v", err)
			}
		})
	}
}

// TestSDKToHTTPApp calls an app that speaks HTTP with Dapr's Go SDK.
func TestSDKToHTTPApp(t *testing.T) {
	for _, transport := range sdkTransports {
		t.Run(string(transport), func(t *testing.T) {
			m := newMesh(t, transport)
			m.app("back", func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				must(t, err)
				if r.URL.Path == "/missing" {
					http.Error(w, "no such order", http.StatusNotFound)
					return
				}
				_, err = fmt.Fprintf(w, "%s %s %s %s", r.Method, r.RequestURI, r.Header.Get("Content-Type"), b)
				must(t, err)
			})
			client := m.sdkClient()
			out, err := client.InvokeMethodWithContent(t.Context(), "back", "a/b?x=1", "post", &dapr.DataContent{Data: []byte("hi"), ContentType: "text/plain"})
			if err != nil || string(out) != "POST /a/b?x=1 text/plain hi" {
				t.Errorf("the call gives %q, %v", out, err)
			}
			_, err = client.InvokeMethod(t.Context(), "back", "missing", "get")
			st := status.Convert(err)
			if st.Code() != codes.NotFound || len(st.Details()) != 1 {
				t.Fatalf("a 404 reaches the client as %v %v", err, st.Details())
			}
			info, ok := st.Details()[0].(*errdetails.ErrorInfo)
			if !ok || info.GetDomain() != "dapr.io" || info.GetMetadata()["http.code"] != "404" || !strings.HasPrefix(info.GetMetadata()["http.error_message"], "no such order") {
				t.Errorf("its details are %v", st.Details()[0])
			}
		})
	}
}

// TestHTTPToGRPCApp calls an app made with Dapr's Go SDK over HTTP.
func TestHTTPToGRPCApp(t *testing.T) {
	for _, transport := range sdkTransports {
		t.Run(string(transport), func(t *testing.T) {
			m := newMesh(t, transport)
			m.sdkApp("back", sdkMethods(t))
			req := m.request("PUT", "back", "echo?a=%2F", strings.NewReader("body"))
			req.Header.Set("Content-Type", "text/plain")
			res := m.do(req)
			if got := m.read(res); res.StatusCode != http.StatusOK || got != "PUT a=%2F body" || res.Header.Get("Content-Type") != "x-echo/text/plain" {
				t.Errorf("%d %q of type %s", res.StatusCode, got, res.Header.Get("Content-Type"))
			}
			res, body := m.call("GET", "back", "fail", "")
			var st rpcstatus.Status
			if err := protojson.Unmarshal([]byte(body), &st); err != nil {
				t.Fatalf("the body of an error is %q: %v", body, err)
			}
			if res.StatusCode != http.StatusBadRequest || res.Header.Get("Content-Type") != "application/json" || st.GetCode() != 9 || st.GetMessage() != "not yet" || len(st.GetDetails()) != 1 {
				t.Errorf("an error of the app: %d %v", res.StatusCode, &st)
			}
			if res, _ = m.call("GET", "back", "absent", ""); res.StatusCode != http.StatusInternalServerError {
				t.Errorf("a method that the app does not have: %d", res.StatusCode)
			}
		})
	}
}

// TestHTTPToGRPCAppTooLarge sends more than one message may hold.
func TestHTTPToGRPCAppTooLarge(t *testing.T) {
	m := newMesh(t, stream.Auto)
	m.sdkApp("back", sdkMethods(t))
	for _, length := range []int64{65 << 20, -1} {
		req := m.request("POST", "back", "echo", io.LimitReader(zeros{}, 65<<20))
		req.ContentLength = length
		res := m.do(req)
		if body := m.read(res); res.StatusCode != http.StatusInternalServerError || !strings.Contains(body, "larger than 67108864 bytes") {
			t.Errorf("length %d: %d %s", length, res.StatusCode, body)
		}
	}
}
