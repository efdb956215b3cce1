package runtime

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// TestCapture looks at the bodies of calls of all lengths over every transport:
// what was captured is what passed, each byte once, and the lanes know where
// their bodies ended.
func TestCapture(t *testing.T) {
	for _, transport := range []stream.Transport{stream.Auto, stream.GRPC, stream.Unary} {
		t.Run(string(transport), func(t *testing.T) {
			m := newMesh(t, transport)
			t.Cleanup(m.flows.Watch())
			m.flows.Capture(flow.MaxCapture)
			m.app("back", func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				must(t, err)
				if r.ContentLength >= 0 {
					w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				}
				w.Header().Set("Set-Cookie", "secret")
				_, _ = w.Write(body)
			})
			for i, n := range []int{1, 5_000, 1 << 20} { // inline, buffered, long enough for splice
				for _, known := range []bool{true, false} {
					body := bytes.Repeat([]byte("0123456789abcdef!"), n/17+1)[:n]
					var from io.Reader = bytes.NewReader(body)
					if !known {
						from = struct{ io.Reader }{from}
					}
					req := m.request("POST", "back", "echo?a=1&password=secret", from)
					req.Header.Set("Authorization", "secret")
					if got := m.read(m.do(req)); got != string(body) {
						t.Fatalf("%d bytes came back of %d", len(got), n)
					}
					checkCaptured(t, m, 2*i+map[bool]int{true: 1, false: 2}[known], body)
				}
			}
		})
	}
}

// checkCaptured looks at the latest of so many flows.
func checkCaptured(t *testing.T, m *mesh, flows int, body []byte) {
	t.Helper()
	v := m.ended(flows)[0]
	for d := flow.Request; d <= flow.Reply; d++ {
		b, ok := m.flows.Body(v.ID, d, 0, 1<<62)
		whole, all := b.Whole(uint64(len(body)))
		if !ok || !all || !bytes.Equal(whole, body) {
			t.Errorf("%v of %d bytes: captured from %d to %d in %d parts, %d missed", d, len(body), b.Begin, b.End, len(b.Parts), b.Missed)
		}
		head := fmt.Sprint(b.Query, b.Header)
		if b.Header == nil || strings.Contains(head, "secret") {
			t.Errorf("%v of %d bytes: kept of the head is %q", d, len(body), head)
		}
	}
	for _, l := range v.Lanes {
		if l.Dir == flow.Request && l.Hop != flow.CallerIn {
			continue // the reply may be there before whoever sends has looked for more
		}
		if l.Done < l.Last || l.Done == 0 {
			t.Errorf("%d bytes: %v at %v ended at %v, its last chunk passed at %v", len(body), l.Dir, l.Hop, l.Done, l.Last)
		}
	}
}

// TestCaptureOfRPC finds the messages of an app's own service as they are on the
// wire, each behind its prefix.
func TestCaptureOfRPC(t *testing.T) {
	onRPC(t, func(t *testing.T, m *mesh) {
		t.Cleanup(m.flows.Watch())
		m.flows.Capture(1 << 20)
		m.rpcApp("back", &rpcApp{unary: func(_ context.Context, req *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			return &pb.SimpleResponse{Payload: req.GetPayload()}, nil
		}})
		if _, err := pb.NewTestServiceClient(m.dial()).UnaryCall(m.to("back", "authorization", "secret"), &pb.SimpleRequest{Payload: payload("hello")}); err != nil {
			t.Fatal(err)
		}
		v := m.ended(1)[0]
		for d := flow.Request; d <= flow.Reply; d++ {
			b, _ := m.flows.Body(v.ID, d, 0, 1<<62)
			if len(b.Parts) != 1 || len(b.Parts[0].Data) < 10 || b.Parts[0].Data[0] != 0 || int(b.Parts[0].Data[4]) != len(b.Parts[0].Data)-5 || !bytes.Contains(b.Parts[0].Data, []byte("hello")) {
				t.Errorf("%v: captured %v", d, b.Parts)
			}
		}
		b, _ := m.flows.Body(v.ID, flow.Request, 0, 1)
		md := map[string][]string(b.Header) // metadata is in lower case
		if len(md["authorization"]) == 0 || md["authorization"][0] != flow.Redacted {
			t.Errorf("kept of the metadata is %v", md)
		}
	})
}
