package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"mesh/runtime/policy"
	"mesh/runtime/stream"
)

// TestRetryDoesNotWaitForTheClient: an app that answers before it has the body
// is called again although the client says no more, and the limit of the whole
// call holds meanwhile.
func TestRetryDoesNotWaitForTheClient(t *testing.T) {
	eachTransport(t, func(t *testing.T, m *mesh) {
		if !m.streams() {
			return // the body is read whole before the app is called
		}
		var calls atomic.Int32
		m.app("back", func(w http.ResponseWriter, r *http.Request) {
			must(t, http.NewResponseController(w).EnableFullDuplex()) // or net/http would wait for the body
			w.Header().Set("Connection", "close")
			switch n := calls.Add(1); {
			case r.URL.Path == "/crash" && n == 1:
				crash(t, w)
			case r.URL.Path == "/never" || n == 1:
				w.WriteHeader(http.StatusServiceUnavailable)
			default:
				fmt.Fprintf(w, "try %d", n)
			}
		})
		host := strings.TrimPrefix(strings.Split(m.url("", ""), "/v1.0")[0], "http://")
		tests := []struct {
			name, path, head, sent string
			policy                 policy.Policy
			status                 string
			says                   string
		}{
			{"some of the body", "m", "Content-Length: 100", "some of it", policy.Policy{Retry: &policy.Retry{Max: 1}}, "200", "try 2"},
			{"none of the body", "m", "Content-Length: 100", "", policy.Policy{Retry: &policy.Retry{Max: 1}}, "200", "try 2"},
			{"a stream that has not begun", "m", "Transfer-Encoding: chunked", "", policy.Policy{Retry: &policy.Retry{Max: 1}}, "200", "try 2"},
			{"the app crashes", "crash", "Content-Length: 100", "some", policy.Policy{Retry: &policy.Retry{Max: 1}}, "200", "try 2"},
			{"a limit in a pause", "never", "Content-Length: 100", "some", policy.Policy{
				Retry: &policy.Retry{Max: -1, Interval: time.Hour}, Timeout: policy.Timeout{Total: 100 * time.Millisecond},
			}, "500", "timeout.total"},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				m.police("back", tt.policy)
				calls.Store(0)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				c, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				must(t, c.SetDeadline(time.Now().Add(patience)))
				_, err = fmt.Fprintf(c, "POST /v1.0/invoke/back/method/%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s", tt.path, tt.head, tt.sent)
				must(t, err)
				got, err := io.ReadAll(c) // the connection ends with a body that was not read
				if err != nil && !errors.Is(err, io.EOF) {
					t.Errorf("reading the reply: %v", err)
				}
				if text := string(got); !strings.HasPrefix(text, "HTTP/1.1 "+tt.status) || !strings.Contains(text, tt.says) {
					t.Errorf("%q, want %s with %q", text, tt.status, tt.says)
				}
			})
		}
	})
}

// TestRetryOfHead: a reply without a body is tried again like any other, says
// the length that it has none of, and the client's connection goes on.
func TestRetryOfHead(t *testing.T) {
	eachTransport(t, func(t *testing.T, m *mesh) {
		var calls atomic.Int32
		m.app("back", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead && calls.Add(1)%2 == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.Header().Set("Content-Length", "7")
			_, _ = io.WriteString(w, "content")
		})
		m.police("back", policy.Policy{Retry: &policy.Retry{Max: 1}})
		for range 3 {
			if res, got := m.call("HEAD", "back", "m", ""); res.StatusCode != http.StatusOK || res.ContentLength != 7 || got != "" {
				t.Errorf("%d, %d bytes announced, %q", res.StatusCode, res.ContentLength, got)
			}
			if _, got := m.call("GET", "back", "m", ""); got != "content" {
				t.Errorf("the next call gets %q", got)
			}
		}
		if n := calls.Load(); n != 6 {
			t.Errorf("the app was asked %d times", n)
		}
	})
}

// TestPoliciesInScope: a policy with scopes is only for calls that the apps in
// scope make, over HTTP and gRPC, and a breaker that others open is not in the
// way of an app that is out of scope.
func TestPoliciesInScope(t *testing.T) {
	m := newMesh(t, stream.Auto)
	shop := m.sidecar(Options{AppID: "shop"})
	var calls atomic.Int32
	m.app("back", func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	var rpcs atomic.Int32
	_, addr := fails(1000, codes.Unavailable, &rpcs).listen(t, "")
	m.sidecar(rpcOptions("rpc", "rpc", addr))
	byShop := func() int {
		t.Helper()
		req := m.request("GET", "back", "m", nil)
		req.URL.Host = "127.0.0.1:" + strconv.Itoa(shop.Ports().HTTP)
		res, err := m.client.Do(req)
		must(t, err)
		_ = res.Body.Close()
		return res.StatusCode
	}
	rpc := func(s *Sidecar) {
		t.Helper()
		_, err := pb.NewTestServiceClient(m.dialPort(s.Ports().GRPC)).UnaryCall(m.to("rpc"), &pb.SimpleRequest{})
		wantCode(t, err, codes.Unavailable, "")
	}
	asked := func(of *atomic.Int32, who string, want int32) {
		t.Helper()
		if n := of.Swap(0); n != want {
			t.Errorf("for a call of %s the app was asked %d times, want %d", who, n, want)
		}
	}

	m.police("back", policy.Policy{Retry: &policy.Retry{Max: 2}}, "shop", "other")
	byShop()
	asked(&calls, "shop", 3)
	m.call("GET", "back", "m", "")
	asked(&calls, "front", 1)
	m.police("rpc", policy.Policy{Retry: &policy.Retry{Max: 2}}, "shop")
	rpc(shop)
	asked(&rpcs, "shop", 3)
	rpc(m.front)
	asked(&rpcs, "front", 1)

	m.police("back", policy.Policy{Breaker: policy.NewBreaker(policy.BreakerOptions{Name: "back", Failures: 1, Timeout: time.Hour})}, "shop")
	byShop()
	calls.Store(0)
	if code := byShop(); code != http.StatusInternalServerError {
		t.Errorf("the circuit is open, but the call of shop ends with %d", code)
	}
	asked(&calls, "shop", 0)
	if res, _ := m.call("GET", "back", "m", ""); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("front is out of scope, but gets %d", res.StatusCode)
	}
}

// TestClientGoneInADelay: a call that a fault holds ends with its client.
func TestClientGoneInADelay(t *testing.T) {
	eachTransport(t, func(t *testing.T, m *mesh) {
		m.app("back", func(http.ResponseWriter, *http.Request) { t.Error("the app is called for nobody") })
		m.policies.Faults.Set([]policy.Fault{{Name: "slow", Delay: time.Hour}})
		defer m.flows.Watch()()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			defer cancel()
			for end := time.Now().Add(patience); len(m.flows.Live(nil)) == 0 && time.Now().Before(end); {
				tick(t)
			}
		}()
		res, err := m.client.Do(m.request("GET", "back", "m", nil).WithContext(ctx))
		if err == nil {
			_ = res.Body.Close()
			t.Errorf("a reply %d before its time", res.StatusCode)
		}
		for end := time.Now().Add(patience); len(m.flows.Live(nil)) > 0; tick(t) {
			if time.Now().After(end) {
				t.Fatal("the call never ends")
			}
		}
	})
}
