package runtime

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// bodyLimit holds what the callee's sidecar accepts, and then what the caller's
// does, to one answer, and changes it while the sidecars run.
func bodyLimit(t *testing.T, m *mesh) {
	streams := echo(t)
	back := m.app("back", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			streams(w, r)
			return
		}
		if b, err := io.ReadAll(r.Body); err == nil {
			_, _ = w.Write(b)
		}
	})
	for who, s := range map[string]*Sidecar{"back": back, "front": m.front} {
		s.SetLimits(10_000, 0)
		for i, known := range []bool{true, false, true, false} {
			method := "whole"
			if i >= 2 {
				method = "stream"
			}
			for size, fits := range map[int]bool{10_000: true, 10_001: false, 300_000: false} {
				req := m.request("POST", "back", method, io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
				if req.ContentLength = -1; known {
					req.ContentLength = int64(size)
				}
				res, err := m.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if fits {
					if len(text) != size || err != nil {
						t.Errorf("limit of %s: %d bytes, known %v: got %d, %v", who, size, known, len(text), err)
					}
					continue
				}
				// An app that has begun to answer a stream already is broken off.
				if res.StatusCode == http.StatusOK && err != nil && !known && method == "stream" && m.streams() {
					continue
				}
				if res.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("limit of %s: %d bytes, known %v: status %d: %s", who, size, known, res.StatusCode, text)
				}
				for _, want := range []string{`"errorCode":"ERR_DIRECT_INVOKE"`, "10000 bytes", "sidecar of " + who, "max_body", "--max-body-size"} {
					if !strings.Contains(string(text), want) {
						t.Errorf("limit of %s: %d bytes, known %v: %q is not in %s", who, size, known, want, text)
					}
				}
			}
		}
		s.SetLimits(0, 0)
		if _, got := m.call("POST", "back", "m", strings.Repeat("y", 300_000)); len(got) != 300_000 {
			t.Errorf("without a limit of %s: %d bytes", who, len(got))
		}
	}
}

// headerLimit sends headers of one size before and after the limit is lowered,
// over HTTP/1, over HTTP/2 and over gRPC.
func headerLimit(t *testing.T, m *mesh) {
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.WriteString(w, r.Header.Get("X-Large"))
		must(t, err)
	})
	h2 := &http.Client{Transport: &http.Transport{Protocols: new(http.Protocols)}}
	h2.Transport.(*http.Transport).Protocols.SetUnencryptedHTTP2(true) //nolint:errcheck // made above
	defer h2.CloseIdleConnections()
	large := strings.Repeat("x", 900_000)
	for name, client := range map[string]*http.Client{"HTTP/1": m.client, "HTTP/2": h2} {
		for _, limit := range []int64{0, 50_000} {
			m.front.SetLimits(0, limit)
			req := m.request("GET", "back", "m", nil)
			req.Header.Set("X-Large", large)
			res, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s, limit %d: %v", name, limit, err)
			}
			text := m.read(res)
			_ = res.Body.Close()
			switch {
			case limit == 0 && (res.StatusCode != http.StatusOK || text != large):
				t.Errorf("%s: the default limit gives %d %.200s", name, res.StatusCode, text)
			case limit > 0 && (res.StatusCode != http.StatusRequestHeaderFieldsTooLarge || !strings.Contains(text, "50000 bytes") || !strings.Contains(text, "header_limit")):
				t.Errorf("%s: a limit gives %d %.200s", name, res.StatusCode, text)
			}
		}
	}
	api := runtimev1.NewDaprClient(m.dial())
	for _, limit := range []int64{0, 50_000} {
		m.front.SetLimits(0, limit)
		_, err := api.InvokeService(metadata.AppendToOutgoingContext(t.Context(), "x-large", large), &runtimev1.InvokeServiceRequest{
			Id: "back", Message: &commonv1.InvokeRequest{Method: "m", HttpExtension: &commonv1.HTTPExtension{Verb: commonv1.HTTPExtension_GET}},
		})
		if limit == 0 && err != nil {
			t.Errorf("gRPC: the default limit gives %v", err)
		}
		if text := status.Convert(err).Message(); limit > 0 && (status.Code(err) != codes.ResourceExhausted || !strings.Contains(text, "50000 bytes") || !strings.Contains(text, "header_limit")) {
			t.Errorf("gRPC: a limit gives %v", err)
		}
	}
}

// rpcLimit holds each message to what both sidecars accept, and a whole body of
// InvokeService, too.
func rpcLimit(t *testing.T, m *mesh) {
	app := &rpcApp{up: func(s grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
		for sum := 0; ; {
			req, err := s.Recv()
			if errors.Is(err, io.EOF) {
				return s.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)}) //nolint:gosec // a few
			}
			if err != nil {
				return err
			}
			sum += len(req.GetPayload().GetBody())
		}
	}}
	back := m.rpcApp("back", app)
	conn := m.dial()
	send := func(sizes ...int) (sum int32, err error) {
		s, err := pb.NewTestServiceClient(conn).StreamingInputCall(m.to("back"))
		must(t, err)
		for _, n := range sizes {
			if err := s.Send(&pb.StreamingInputCallRequest{Payload: payload(n)}); err != nil {
				break // the reply says why
			}
		}
		res, err := s.CloseAndRecv()
		return res.GetAggregatedPayloadSize(), err
	}
	for who, s := range map[string]*Sidecar{"back": back, "front": m.front} {
		s.SetLimits(10_000, 0)
		if sum, err := send(9_000, 9_000, 9_000); err != nil || sum != 27_000 {
			t.Errorf("limit of %s: messages that fit: %d bytes, %v", who, sum, err)
		}
		_, tooLarge := send(9_000, 10_001)
		_, whole := runtimev1.NewDaprClient(conn).InvokeService(t.Context(), &runtimev1.InvokeServiceRequest{
			Id: "back", Message: &commonv1.InvokeRequest{Method: "m", Data: &anypb.Any{Value: make([]byte, 10_001)}, HttpExtension: &commonv1.HTTPExtension{Verb: commonv1.HTTPExtension_POST}},
		})
		for what, err := range map[string]error{"message": tooLarge, "body": whole} {
			if status.Code(err) != codes.ResourceExhausted {
				t.Errorf("limit of %s, %s: %v", who, what, err)
			}
			for _, want := range []string{"10000 bytes", "sidecar of " + who, "max_body", "--max-body-size"} {
				if !strings.Contains(status.Convert(err).Message(), want) {
					t.Errorf("limit of %s, %s: %q is not in %v", who, what, want, err)
				}
			}
		}
		s.SetLimits(0, 0)
		if sum, err := send(9_000, 300_000); err != nil || sum != 309_000 {
			t.Errorf("without a limit of %s: %d bytes, %v", who, sum, err)
		}
	}
}
