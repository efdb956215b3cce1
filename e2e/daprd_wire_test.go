//go:build daprd

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// wireFrames are what callers may send, good and bad, by name.
func wireFrames() map[string][]*internalsv1.InternalInvokeRequestStream {
	type frame = internalsv1.InternalInvokeRequestStream
	head := func(change func(*internalsv1.InternalInvokeRequest)) *internalsv1.InternalInvokeRequest {
		h := &internalsv1.InternalInvokeRequest{
			Ver:      internalsv1.APIVersion_V1,
			Metadata: map[string]*internalsv1.ListStringValue{"X-Test": {Values: []string{"a"}}},
			Message:  &commonv1.InvokeRequest{Method: "count", HttpExtension: &commonv1.HTTPExtension{Verb: commonv1.HTTPExtension_POST}},
		}
		change(h)
		return h
	}
	good := head(func(*internalsv1.InternalInvokeRequest) {})
	piece := func(seq uint64, data string) *commonv1.StreamPayload {
		return &commonv1.StreamPayload{Seq: seq, Data: []byte(data)}
	}
	return map[string][]*frame{
		"a head with the body":         {{Request: good, Payload: piece(0, "abc")}},
		"a head, then the body":        {{Request: good}, {Payload: piece(0, "ab")}, {Payload: piece(1, "c")}},
		"empty heads later":            {{Request: good}, {Request: &internalsv1.InternalInvokeRequest{}, Payload: piece(0, "abc")}},
		"a frame of 3 MiB":             {{Request: good, Payload: piece(0, strings.Repeat("x", 3<<20))}},
		"no head":                      {{Payload: piece(0, "a")}},
		"no metadata":                  {{Request: head(func(r *internalsv1.InternalInvokeRequest) { r.Metadata = nil })}},
		"metadata without entries":     {{Request: head(func(r *internalsv1.InternalInvokeRequest) { clear(r.Metadata) })}},
		"no message":                   {{Request: head(func(r *internalsv1.InternalInvokeRequest) { r.Message = nil })}},
		"version 0":                    {{Request: head(func(r *internalsv1.InternalInvokeRequest) { r.Ver = 0 })}},
		"numbers from 1":               {{Request: good, Payload: piece(1, "a")}},
		"a number twice":               {{Request: good, Payload: piece(0, "a")}, {Payload: piece(0, "b")}},
		"a number left out":            {{Request: good, Payload: piece(0, "a")}, {Payload: piece(2, "b")}},
		"a head in the second message": {{Request: good, Payload: piece(0, "a")}, {Request: good, Payload: piece(1, "b")}},
	}
}

// send sends frames to the sidecar that listens on a port, and says how it answers.
func sendFrames(t *testing.T, port int, frames []*internalsv1.InternalInvokeRequestStream) string {
	t.Helper()
	conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := internalsv1.NewServiceInvocationClient(conn).CallLocalStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if s.Send(f) != nil {
			break // the reply says why
		}
	}
	_ = s.CloseSend()
	code, body := int32(-1), ""
	for {
		f, err := s.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Sprintf("%d %s", code, body)
		case err != nil:
			said := status.Convert(err)
			return fmt.Sprintf("%v: %s", said.Code(), said.Message())
		}
		if code < 0 {
			code = f.GetResponse().GetStatus().GetCode()
		}
		body += string(f.GetPayload().GetData())
	}
}

// What a caller sends, right or wrong, is answered as a real daprd answers it.
func TestDaprdWire(t *testing.T) {
	r, d, both := pairUp(t, "loopback")
	ours := r.instance(both["daprd to mesh"].to).PeerPort
	for name, frames := range wireFrames() {
		t.Run(name, func(t *testing.T) {
			want, got := sendFrames(t, d.peer, frames), sendFrames(t, ours, frames)
			t.Logf("daprd answers %.120s", want)
			if said, reason := split(want); said != "" {
				if ourSaid, ourReason := split(got); ourSaid != said || !strings.Contains(ourReason, core(reason)) {
					t.Errorf("daprd answers %q, mesh %q", want, got)
				}
				return
			}
			if got != want {
				t.Errorf("daprd answers %q, mesh %q", want, got)
			}
		})
	}
	if code, _, err := get(t.Context(), both["mesh to daprd"].url("who")); code != http.StatusOK || err != nil {
		t.Errorf("after all that: %d %v", code, err)
	}
}

// split takes an error apart; said is "" when it is none.
func split(answer string) (said, reason string) {
	said, reason, ok := strings.Cut(answer, ": ")
	if !ok || strings.ContainsAny(said, " ") {
		return "", ""
	}
	return said, reason
}

// core is the part of an error that tells what was wrong: what stands before it
// says where it was found.
func core(reason string) string {
	for _, part := range []string{"required fields in the leading chunk", "invalid sequence number received", "request metadata found in non-leading chunk", "Unsupported spec version"} {
		if i := strings.Index(reason, part); i >= 0 {
			return strings.TrimSuffix(reason[i:], `"`)
		}
	}
	return reason
}
