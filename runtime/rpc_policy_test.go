package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"mesh/runtime/metrics"
	"mesh/runtime/policy"
	"mesh/runtime/stream"
)

// fails answers with a status for the first n calls, and then echoes.
func fails(n int32, code codes.Code, calls *atomic.Int32) *rpcApp {
	return &rpcApp{
		unary: func(_ context.Context, req *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			if calls.Add(1) <= n {
				return nil, status.Error(code, "not this time")
			}
			return &pb.SimpleResponse{Payload: req.GetPayload()}, nil
		},
		duplex: func(s duplex) error {
			if calls.Add(1) <= n {
				if _, err := s.Recv(); err != nil {
					return err
				}
				return status.Error(code, "not this time")
			}
			return echoes(s)
		},
	}
}

// wantCode fails the test unless err is of a code and says a text.
func wantCode(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if st := status.Convert(err); st.Code() != code || !strings.Contains(st.Message(), text) {
		t.Fatalf("ended with %v: %q, want %v with %q", st.Code(), st.Message(), code, text)
	}
}

func TestRPCRetries(t *testing.T) {
	unavailable, err := policy.ParseCodes("14")
	must(t, err)
	tests := []struct {
		name   string
		retry  policy.Retry
		app    codes.Code
		failed int32
		code   codes.Code
		calls  int32
	}{
		{"until it works", policy.Retry{Max: 5, Interval: time.Millisecond}, codes.Unavailable, 3, codes.OK, 4},
		{"no more than allowed", policy.Retry{Max: 2, Interval: time.Millisecond}, codes.Internal, 9, codes.Internal, 3},
		{"a refusal is final", policy.Retry{Max: 5}, codes.NotFound, 1, codes.NotFound, 1},
		{"a code that is listed", policy.Retry{Max: 5, Again: policy.AgainOn(nil, unavailable)}, codes.Unavailable, 1, codes.OK, 2},
		{"a code that is not", policy.Retry{Max: 5, Again: policy.AgainOn(nil, unavailable)}, codes.Internal, 1, codes.Internal, 1},
	}
	onRPC(t, func(t *testing.T, m *mesh) {
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				var calls atomic.Int32
				app := fmt.Sprintf("app%d", i)
				m.rpcApp(app, fails(tt.failed, tt.app, &calls))
				m.police(app, policy.Policy{Retry: &tt.retry})
				res, err := pb.NewTestServiceClient(m.dial()).UnaryCall(m.to(app), &pb.SimpleRequest{Payload: payload("a letter")})
				if status.Code(err) != tt.code || calls.Load() != tt.calls {
					t.Fatalf("ended with %v after %d calls, want %v after %d", err, calls.Load(), tt.code, tt.calls)
				}
				if err == nil && string(res.GetPayload().GetBody()) != "a letter" {
					t.Fatalf("the app was sent %q the last time", res.GetPayload().GetBody())
				}
			})
		}
	})
}

// TestRPCStreamIsNotRetried: what a client has still to say cannot be known.
func TestRPCStreamIsNotRetried(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		var calls atomic.Int32
		m.rpcApp("back", fails(1, codes.Unavailable, &calls))
		m.police("back", policy.Policy{Retry: &policy.Retry{Max: 5}})
		s, err := pb.NewTestServiceClient(m.dial()).FullDuplexCall(m.to("back"))
		must(t, err)
		must(t, s.Send(&pb.StreamingOutputCallRequest{Payload: payload("one")}))
		_, err = s.Recv()
		wantCode(t, err, codes.Unavailable, "not this time")
		if calls.Load() != 1 {
			t.Fatalf("the app was called %d times", calls.Load())
		}
	})
}

// TestRPCPassesPolicies sends a long stream through policies that do not strike.
func TestRPCPassesPolicies(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		m.rpcApp("back", &rpcApp{duplex: func(s duplex) error {
			md, _ := metadata.FromIncomingContext(s.Context())
			if err := s.SendHeader(metadata.Pairs("said", strings.Join(md["word"], ","))); err != nil {
				return err
			}
			s.SetTrailer(metadata.Pairs("last-bin", "\x00\x01"))
			if err := echoes(s); err != nil {
				return err
			}
			return status.Error(codes.OutOfRange, "no more")
		}})
		m.police("back", policy.Policy{
			Timeout: policy.Timeout{FirstByte: patience, Idle: patience, Total: 2 * patience},
			Retry:   &policy.Retry{Max: 3}, Breaker: policy.NewBreaker(policy.BreakerOptions{Name: "back", Failures: 1}),
		})
		client := pb.NewTestServiceClient(m.dial())
		for range 2 { // the breaker takes a refusal for no failure
			s, err := client.FullDuplexCall(m.to("back", "word", "hello"))
			must(t, err)
			for _, n := range []int{0, 1, 100, 70_000, 3 << 20} {
				must(t, s.Send(&pb.StreamingOutputCallRequest{Payload: payload(n)}))
				res, err := s.Recv()
				must(t, err)
				if len(res.GetPayload().GetBody()) != n {
					t.Fatalf("%d bytes came back as %d", n, len(res.GetPayload().GetBody()))
				}
			}
			must(t, s.CloseSend())
			_, err = s.Recv()
			wantCode(t, err, codes.OutOfRange, "no more")
			header, err := s.Header()
			must(t, err)
			if got := header["said"]; len(got) != 1 || got[0] != "hello" {
				t.Errorf("headers %v", header)
			}
			if got := s.Trailer()["last-bin"]; len(got) != 1 || got[0] != "\x00\x01" {
				t.Errorf("trailers %v", s.Trailer())
			}
		}
	})
}

func TestRPCTimeouts(t *testing.T) {
	limit := 50 * time.Millisecond
	silent := &rpcApp{duplex: func(s duplex) error {
		if req, err := s.Recv(); err != nil || string(req.GetPayload().GetBody()) == "" {
			<-s.Context().Done()
			return s.Context().Err()
		}
		if err := s.Send(&pb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
		<-s.Context().Done()
		return s.Context().Err()
	}}
	tests := []struct {
		name    string
		timeout policy.Timeout
		say     string
		text    string
	}{
		{"first byte", policy.Timeout{FirstByte: limit}, "", "timeout.first_byte"},
		{"idle", policy.Timeout{Idle: limit}, "answer", "timeout.idle"},
		{"total", policy.Timeout{Total: limit}, "answer", "timeout.total"},
	}
	onRPC(t, func(t *testing.T, m *mesh) {
		m.rpcApp("back", silent)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				m.police("back", policy.Policy{Timeout: tt.timeout})
				s, err := pb.NewTestServiceClient(m.dial()).FullDuplexCall(m.to("back"))
				must(t, err)
				must(t, s.Send(&pb.StreamingOutputCallRequest{Payload: payload(tt.say)}))
				for err == nil {
					_, err = s.Recv()
				}
				wantCode(t, err, codes.DeadlineExceeded, tt.text)
			})
		}
	})
}

func TestRPCBreaker(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		var calls atomic.Int32
		m.rpcApp("back", fails(1000, codes.Unavailable, &calls))
		m.police("back", policy.Policy{
			Breaker: policy.NewBreaker(policy.BreakerOptions{Name: "back", Failures: 2, Timeout: time.Hour}),
		})
		client := pb.NewTestServiceClient(m.dial())
		for range 2 {
			_, err := client.UnaryCall(m.to("back"), &pb.SimpleRequest{})
			wantCode(t, err, codes.Unavailable, "not this time")
		}
		_, err := client.UnaryCall(m.to("back"), &pb.SimpleRequest{})
		wantCode(t, err, codes.Unavailable, "circuit breaker of back is open")
		if calls.Load() != 2 {
			t.Errorf("the app was called %d times, want 2", calls.Load())
		}
	})
}

func TestRPCFaults(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		m.rpcApp("back", &rpcApp{duplex: echoes})
		client := pb.NewTestServiceClient(m.dial())
		// say sends messages of 100 bytes and gives how many come back.
		say := func(f policy.Fault) (back int, took time.Duration, err error) {
			m.policies.Faults.Set([]policy.Fault{f})
			began := time.Now()
			s, err := client.FullDuplexCall(m.to("back"))
			must(t, err)
			for range 10 {
				if err := s.Send(&pb.StreamingOutputCallRequest{Payload: payload(100)}); err != nil {
					break // what Recv gives says why
				}
			}
			must(t, s.CloseSend())
			for err == nil {
				if _, err = s.Recv(); err == nil {
					back++
				}
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return back, time.Since(began), err
		}
		if _, _, err := say(policy.Fault{Name: "busy", Abort: 503}); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "busy") {
			t.Errorf("aborted with %v", err)
		}
		if back, took, err := say(policy.Fault{Name: "slow", Target: "back", Delay: 80 * time.Millisecond}); err != nil || back != 10 || took < 80*time.Millisecond {
			t.Errorf("delayed: %d messages after %v, error %v", back, took, err)
		}
		if back, _, err := say(policy.Fault{Name: "cut", CutAfter: 350}); status.Code(err) != codes.Unavailable || back != 3 {
			t.Errorf("cut: %d messages and the error %v, want 3 and Unavailable", back, err)
		}
		if back, took, err := say(policy.Fault{Name: "narrow", Bandwidth: 10_000}); err != nil || back != 10 || took < 80*time.Millisecond {
			t.Errorf("narrow: %d messages after %v, error %v; about 1,100 bytes at 10,000 a second", back, took, err)
		}
		if back, _, err := say(policy.Fault{Name: "other", Target: "elsewhere", Abort: 500}); err != nil || back != 10 {
			t.Errorf("a fault of another app: %d messages, error %v", back, err)
		}
	})
}

// TestPoliciesAreCounted: over gRPC and over HTTP, by the sidecar of the caller.
func TestPoliciesAreCounted(t *testing.T) {
	m := newMesh(t, stream.Auto)
	registry, appRegistry := metrics.New("shop"), metrics.New("back")
	m.police("back", policy.Policy{
		Timeout: policy.Timeout{Total: patience}, Retry: &policy.Retry{Max: 1},
		Breaker: policy.NewBreaker(policy.BreakerOptions{Name: "back", Failures: 2, Timeout: time.Hour}),
	})
	shop := m.sidecar(Options{AppID: "shop", Metrics: registry})
	var calls atomic.Int32
	_, addr := fails(1000, codes.Unavailable, &calls).listen(t, "")
	o := rpcOptions("back", "back", addr)
	o.Metrics = appRegistry
	m.sidecar(o)
	client := pb.NewTestServiceClient(m.dialPort(shop.Ports().GRPC))
	for range 2 { // the second finds the circuit open
		_, err := client.UnaryCall(m.to("back"), &pb.SimpleRequest{})
		wantCode(t, err, codes.Unavailable, "")
	}
	for _, line := range []string{
		`dapr_resiliency_count{app_id="shop",policy="timeout",target="back"} 2`,
		`dapr_resiliency_count{app_id="shop",policy="retry",target="back"} 2`,
		`dapr_resiliency_count{app_id="shop",policy="circuitbreaker",target="back"} 2`,
		`dapr_resiliency_activations_total{app_id="shop",policy="retry",target="back"} 1`,
		`dapr_resiliency_activations_total{app_id="shop",policy="circuitbreaker",target="back"} 1`,
		`dapr_resiliency_cb_state{app_id="shop",target="back",status="open"} 1`,
		`dapr_resiliency_cb_state{app_id="shop",target="back",status="closed"} 0`,
	} {
		if !strings.Contains(string(registry.Text()), line+"\n") {
			t.Errorf("the metrics lack %s:\n%s", line, registry.Text())
		}
	}
	line := `dapr_grpc_io_client_completed_rpcs{app_id="back",grpc_client_method="/grpc.testing.TestService/UnaryCall",grpc_client_status="Unavailable"} 2`
	if !strings.Contains(string(appRegistry.Text()), line+"\n") {
		t.Errorf("the metrics lack %s:\n%s", line, appRegistry.Text())
	}
}
