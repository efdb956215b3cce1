package stream

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
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// peerTo gives a caller as Dapr has it, in front of an Inbound with h.
func peerTo(t testing.TB, h Handler) internalsv1.ServiceInvocationClient {
	t.Helper()
	in := NewInbound(h, InboundOptions{AppID: "callee"})
	s := grpc.NewServer(ServerOptions()...)
	in.Register(s)
	t.Cleanup(in.Wait)
	return internalsv1.NewServiceInvocationClient(plainConn(t, serve(t, s)))
}

func list(v ...string) *internalsv1.ListStringValue {
	return &internalsv1.ListStringValue{Values: v}
}

// wireHead is a head as a daprd sends it.
func wireHead(verb commonv1.HTTPExtension_Verb) *internalsv1.InternalInvokeRequest {
	return &internalsv1.InternalInvokeRequest{
		Ver:      internalsv1.APIVersion_V1,
		Metadata: map[string]*internalsv1.ListStringValue{"destination-app-id": list("callee")},
		Message:  &commonv1.InvokeRequest{Method: "m", HttpExtension: &commonv1.HTTPExtension{Verb: verb}},
	}
}

func piece(seq uint64, data string) *commonv1.StreamPayload {
	return &commonv1.StreamPayload{Seq: seq, Data: []byte(data)}
}

type (
	requestFrame = internalsv1.InternalInvokeRequestStream
	replyFrame   = internalsv1.InternalInvokeResponseStream
)

// exchangeFrames sends all frames, ends, and collects the reply.
func exchangeFrames(t *testing.T, c internalsv1.ServiceInvocationClient, frames ...*requestFrame) (head *internalsv1.InternalInvokeResponse, body string, err error) {
	t.Helper()
	s, err := c.CallLocalStream(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if err := s.Send(f); err != nil {
			break // the reply says why
		}
	}
	_ = s.CloseSend()
	var seq uint64
	for {
		f, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return head, body, nil
		}
		if err != nil {
			return head, body, err
		}
		if head == nil {
			head = f.GetResponse()
		} else if f.GetResponse() != nil {
			t.Errorf("a later frame has a head: %v", f.GetResponse())
		}
		if p := f.GetPayload(); p != nil {
			if p.GetSeq() != seq {
				t.Errorf("payload number %d says %d", seq, p.GetSeq())
			}
			if len(p.GetData()) > 64<<10 {
				t.Errorf("a frame has %d bytes", len(p.GetData()))
			}
			seq++
			body += string(p.GetData())
		}
	}
}

// readAll replies with what it was sent, or with why it could not read it.
func readAll(_ context.Context, c *Call) (*Reply, error) {
	if c.Body == nil {
		return text(200, "no body"), nil
	}
	b, err := io.ReadAll(c.Body)
	if err != nil {
		return nil, err
	}
	return text(200, string(b)), nil
}

func TestInboundTakesFrames(t *testing.T) {
	post := wireHead(commonv1.HTTPExtension_POST)
	long := strings.Repeat("x", 1<<20)
	for _, tc := range []struct {
		name   string
		frames []*requestFrame
		want   string
	}{
		{"head and body in one frame", []*requestFrame{{Request: post, Payload: piece(0, "ab")}}, "ab"},
		{"body after the head", []*requestFrame{{Request: post}, {Payload: piece(0, "a")}, {Payload: piece(1, "b")}}, "ab"},
		{"empty heads later", []*requestFrame{{Request: post}, {Request: &internalsv1.InternalInvokeRequest{}, Payload: piece(0, "a")}}, "a"},
		{"empty frames", []*requestFrame{{Request: post}, {}, {Payload: piece(0, "a")}, {}}, "a"},
		{"empty payloads count", []*requestFrame{{Request: post, Payload: piece(0, "")}, {Payload: piece(1, "a")}}, "a"},
		{"1 MiB in a frame", []*requestFrame{{Request: post, Payload: piece(0, long)}, {Payload: piece(1, "!")}}, long + "!"},
		{"2 KiB in a frame", []*requestFrame{{Request: post, Payload: piece(0, long[:2048])}, {Payload: piece(1, long[:2048])}}, long[:4096]},
		{"GET that ends with its head", []*requestFrame{{Request: wireHead(commonv1.HTTPExtension_GET)}}, "no body"},
		{"GET with a body", []*requestFrame{{Request: wireHead(commonv1.HTTPExtension_GET)}, {Payload: piece(0, "a")}}, "a"},
		{"POST that ends with its head", []*requestFrame{{Request: post}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			head, body, err := exchangeFrames(t, peerTo(t, HandlerFunc(readAll)), tc.frames...)
			if err != nil {
				t.Fatal(err)
			}
			if body != tc.want {
				t.Errorf("the app got %d bytes %.40q", len(body), body)
			}
			if head.GetStatus().GetCode() != 200 || head.GetMessage().GetContentType() != "text/plain" || len(head.GetHeaders()) == 0 {
				t.Errorf("head %v", head)
			}
		})
	}
}

func TestInboundRefusesFrames(t *testing.T) {
	post := wireHead(commonv1.HTTPExtension_POST)
	change := func(f func(*internalsv1.InternalInvokeRequest)) *internalsv1.InternalInvokeRequest {
		h := wireHead(commonv1.HTTPExtension_POST)
		f(h)
		return h
	}
	lacks := "parsing InternalInvokeRequest error: request does not contain the required fields in the leading chunk"
	for _, tc := range []struct {
		name   string
		frames []*requestFrame
		code   codes.Code
		want   string
	}{
		{"nothing", nil, codes.InvalidArgument, lacks},
		{"no head", []*requestFrame{{Payload: piece(0, "a")}}, codes.InvalidArgument, lacks},
		{"no metadata", []*requestFrame{{Request: change(func(r *internalsv1.InternalInvokeRequest) { r.Metadata = nil })}}, codes.InvalidArgument, lacks},
		{"no message", []*requestFrame{{Request: change(func(r *internalsv1.InternalInvokeRequest) { r.Message = nil })}}, codes.InvalidArgument, lacks},
		{"another version", []*requestFrame{{Request: change(func(r *internalsv1.InternalInvokeRequest) { r.Ver = 0 })}}, codes.Internal, "Unsupported spec version"},
		{"no verb", []*requestFrame{{Request: wireHead(commonv1.HTTPExtension_NONE)}}, codes.Internal, "invalid HTTP verb"},
		{"a verb that cannot be", []*requestFrame{{Request: wireHead(99)}}, codes.Internal, "invalid HTTP verb"},
		{"a path with a query", []*requestFrame{{Request: change(func(r *internalsv1.InternalInvokeRequest) { r.Message.Method = "a?b" })}}, codes.Internal, "invalid method"},
		{"a head too late", []*requestFrame{{Request: post}, {Request: post, Payload: piece(0, "a")}}, codes.Internal, "request metadata found in non-leading chunk"},
		{"numbers from 1", []*requestFrame{{Request: post, Payload: piece(1, "a")}}, codes.Internal, "invalid sequence number received: 1 (expected: 0)"},
		{"a number twice", []*requestFrame{{Request: post, Payload: piece(0, "a")}, {Payload: piece(0, "b")}}, codes.Internal, "invalid sequence number received: 0 (expected: 1)"},
		{"a number left out", []*requestFrame{{Request: post, Payload: piece(0, "a")}, {Payload: piece(2, "b")}}, codes.Internal, "invalid sequence number received: 2 (expected: 1)"},
		{"a length that is none", []*requestFrame{{Request: change(func(r *internalsv1.InternalInvokeRequest) { r.Metadata["content-length"] = list("+1") })}}, codes.Internal, "not a valid Content-Length"},
		{"two lengths", []*requestFrame{{Request: change(func(r *internalsv1.InternalInvokeRequest) { r.Metadata["Content-Length"] = list("1", "2") })}}, codes.Internal, "not a valid Content-Length"},
		{"less than the length", []*requestFrame{{Request: change(func(r *internalsv1.InternalInvokeRequest) { r.Metadata["Content-Length"] = list("3") }), Payload: piece(0, "ab")}}, codes.Internal, "before its Content-Length"},
		{"more than the length", []*requestFrame{{Request: change(func(r *internalsv1.InternalInvokeRequest) { r.Metadata["Content-Length"] = list("3") }), Payload: piece(0, "ab")}, {Payload: piece(1, "cd")}}, codes.Internal, "longer than its Content-Length"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := exchangeFrames(t, peerTo(t, HandlerFunc(readAll)), tc.frames...)
			if status.Code(err) != tc.code || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %v %q", err, tc.code, tc.want)
			}
		})
	}
}

func TestInboundGivesTheApp(t *testing.T) {
	seen := make(chan *Call, 1)
	c := peerTo(t, HandlerFunc(func(_ context.Context, c *Call) (*Reply, error) {
		seen <- c
		return text(200, ""), nil
	}))
	head := wireHead(commonv1.HTTPExtension_PATCH)
	head.Message.Method, head.Message.ContentType = "/a//b/../c/", "text/csv"
	head.Message.HttpExtension.Querystring = "x=%20"
	head.Metadata = map[string]*internalsv1.ListStringValue{
		"X-One": list("1", "2"), "x-two": list("3"), "Connection": list("X-Three, close"), "X-Three": list("4"),
		"Te": list("trailers"), "Content-Type": list("application/wrong"), "dapr-caller-app-id": list("caller"), "Content-Length": list("0"),
	}
	if _, _, err := exchangeFrames(t, c, &requestFrame{Request: head}); err != nil {
		t.Fatal(err)
	}
	got := <-seen
	if got.AppID != "callee" || got.Verb != "PATCH" || got.Path != "a/c" || got.Query != "x=%20" || got.Body != nil || got.Length != 0 {
		t.Errorf("call %+v", got)
	}
	want := http.Header{"X-One": {"1", "2"}, "X-Two": {"3"}, "Content-Type": {"text/csv"}, "Dapr-Caller-App-Id": {"caller"}}
	if fmt.Sprint(got.Header) != fmt.Sprint(want) {
		t.Errorf("headers %v", got.Header)
	}
}

func TestInboundReports(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code codes.Code
	}{
		{errors.New("connection refused"), codes.Internal},
		{status.Error(codes.Unimplemented, "meant for someone else"), codes.Internal},
		{status.Error(codes.PermissionDenied, "not you"), codes.PermissionDenied},
		{fmt.Errorf("waiting: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
	} {
		c := peerTo(t, HandlerFunc(func(context.Context, *Call) (*Reply, error) { return nil, tc.err }))
		_, _, err := exchangeFrames(t, c, &requestFrame{Request: wireHead(commonv1.HTTPExtension_GET)})
		if status.Code(err) != tc.code || !strings.Contains(err.Error(), "error invoking app channel: ") {
			t.Errorf("%v became %v", tc.err, err)
		}
	}
}

func TestInboundSendsTheHeadFirst(t *testing.T) {
	release := make(chan struct{})
	c := peerTo(t, HandlerFunc(func(context.Context, *Call) (*Reply, error) {
		pr, pw := io.Pipe()
		go func() {
			<-release
			_, _ = io.WriteString(pw, "late")
			_ = pw.Close()
		}()
		return &Reply{Status: 201, Header: http.Header{}, Length: -1, Body: pr}, nil
	}))
	s, err := c.CallLocalStream(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&requestFrame{Request: wireHead(commonv1.HTTPExtension_POST)}); err != nil {
		t.Fatal(err)
	}
	f, err := s.Recv() // though the request has not ended and the app is silent
	if err != nil || f.GetResponse().GetStatus().GetCode() != 201 || f.GetPayload() != nil {
		t.Fatalf("frame %v, %v", f, err)
	}
	close(release)
	_ = s.CloseSend()
	f, err = s.Recv()
	if err != nil || string(f.GetPayload().GetData()) != "late" {
		t.Errorf("frame %v, %v", f, err)
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("end %v", err)
	}
}

func TestInboundServesUnary(t *testing.T) {
	c := peerTo(t, HandlerFunc(readAll))
	req := wireHead(commonv1.HTTPExtension_PUT)
	req.Message.Data = &anypb.Any{Value: []byte("whole")}
	res, err := c.CallLocal(within(t), req)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(res.GetMessage().GetData().GetValue()); got != "whole" || res.GetStatus().GetCode() != 200 {
		t.Errorf("%d %q", res.GetStatus().GetCode(), got)
	}
	if _, err := c.CallLocal(within(t), &internalsv1.InternalInvokeRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("an empty request got %v", err)
	}
}
