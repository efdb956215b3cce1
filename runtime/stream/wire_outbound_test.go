package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"mesh/runtime/flow"
)

// plainPeer is a callee made of generated types.
type plainPeer struct {
	internalsv1.UnimplementedServiceInvocationServer

	stream  func(internalsv1.ServiceInvocation_CallLocalStreamServer) error
	unary   func(context.Context, *internalsv1.InternalInvokeRequest) (*internalsv1.InternalInvokeResponse, error)
	streams atomic.Int32 // times that a stream was asked for
}

func (p *plainPeer) CallLocalStream(s internalsv1.ServiceInvocation_CallLocalStreamServer) error {
	p.streams.Add(1)
	if p.stream == nil {
		return status.Error(codes.Unimplemented, "unknown method CallLocalStream")
	}
	return p.stream(s)
}

func (p *plainPeer) CallLocal(ctx context.Context, r *internalsv1.InternalInvokeRequest) (*internalsv1.InternalInvokeResponse, error) {
	return p.unary(ctx, r)
}

func (p *plainPeer) outbound(t testing.TB, unary bool) *Outbound {
	t.Helper()
	s := grpc.NewServer()
	internalsv1.RegisterServiceInvocationServer(s, p)
	return outboundTo(t, unary, serve(t, s))
}

// answering is a peer that reads the request and answers with these frames.
func answering(frames ...*replyFrame) *plainPeer {
	return &plainPeer{stream: func(s internalsv1.ServiceInvocation_CallLocalStreamServer) error {
		for {
			if _, err := s.Recv(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return err
			}
		}
		for _, f := range frames {
			if err := s.Send(f); err != nil {
				return err
			}
		}
		return nil
	}}
}

func okHead() *internalsv1.InternalInvokeResponse {
	return &internalsv1.InternalInvokeResponse{
		Status:  &internalsv1.Status{Code: 200},
		Headers: map[string]*internalsv1.ListStringValue{"x-one": list("1"), "Connection": list("close")},
		Message: &commonv1.InvokeResponse{ContentType: "text/csv"},
	}
}

func TestOutboundTakesFrames(t *testing.T) {
	sse := &internalsv1.InternalInvokeResponse{Status: &internalsv1.Status{}, Headers: map[string]*internalsv1.ListStringValue{"X-One": list("1")}}
	empty := &internalsv1.InternalInvokeResponse{}
	failure := okHead()
	failure.Status = &internalsv1.Status{Code: int32(codes.NotFound), Message: "no such order"}
	grpcOK := okHead()
	grpcOK.Status = &internalsv1.Status{}
	long := strings.Repeat("x", 1<<20)
	for _, tc := range []struct {
		name       string
		frames     []*replyFrame
		code       int
		body, kind string
	}{
		{"head and body in one frame", []*replyFrame{{Response: okHead(), Payload: piece(0, "ab")}}, 200, "ab", "text/csv"},
		{"body after the head", []*replyFrame{{Response: okHead()}, {Payload: piece(0, "a")}, {Payload: piece(1, "b")}}, 200, "ab", "text/csv"},
		{"head only", []*replyFrame{{Response: okHead()}}, 200, "", "text/csv"},
		{"large frames", []*replyFrame{{Response: okHead(), Payload: piece(0, long)}, {Payload: piece(1, long)}}, 200, long + long, "text/csv"},
		{"server-sent events", []*replyFrame{{Response: sse, Payload: piece(0, "a")}, {Response: empty, Payload: piece(1, "b")}}, 200, "ab", "text/event-stream"},
		{"a gRPC code of OK", []*replyFrame{{Response: grpcOK, Payload: piece(0, "a")}}, 200, "a", "text/csv"},
		{"a gRPC code of failure", []*replyFrame{{Response: failure, Payload: piece(0, "a")}}, 404, `{"code":5,"message":"no such order"}`, "application/json"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := answering(tc.frames...).outbound(t, false).Handle(within(t), get("m"))
			if err != nil {
				t.Fatal(err)
			}
			if r.Status != tc.code || r.Header.Get("Content-Type") != tc.kind || r.Header.Get("X-One") != "1" || r.Header.Get("Connection") != "" {
				t.Errorf("%d %v", r.Status, r.Header)
			}
			if got := strings.ReplaceAll(all(t, r), ": ", ":"); strings.ReplaceAll(got, ", ", ",") != tc.body {
				t.Errorf("body %.60q", got)
			}
		})
	}
}

func TestOutboundRefusesFrames(t *testing.T) {
	noStatus := okHead()
	noStatus.Status = nil
	odd := okHead()
	odd.Status.Code = 1000
	for _, tc := range []struct {
		name   string
		frames []*replyFrame
		want   string
	}{
		{"no frame", nil, "EOF"},
		{"no head", []*replyFrame{{Payload: piece(0, "a")}}, "response does not contain the required fields in the leading chunk"},
		{"no status", []*replyFrame{{Response: noStatus}}, "response does not contain the required fields in the leading chunk"},
		{"no status at all", []*replyFrame{{Response: odd}}, "1000 is not a status"},
		{"a head too late", []*replyFrame{{Response: okHead()}, {Response: okHead(), Payload: piece(0, "a")}}, "response metadata found in non-leading chunk"},
		{"numbers from 1", []*replyFrame{{Response: okHead(), Payload: piece(1, "a")}}, "invalid sequence number received: 1 (expected: 0)"},
		{"a number left out", []*replyFrame{{Response: okHead(), Payload: piece(0, "a")}, {Payload: piece(2, "a")}}, "invalid sequence number received: 2 (expected: 1)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := answering(tc.frames...).outbound(t, false).Handle(within(t), get("m"))
			if err == nil {
				_, err = io.ReadAll(r.Body)
				_ = r.Body.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestOutboundSends(t *testing.T) {
	frames := make(chan *requestFrame, 100)
	o := (&plainPeer{stream: func(s internalsv1.ServiceInvocation_CallLocalStreamServer) error {
		defer close(frames)
		for {
			f, err := s.Recv()
			if errors.Is(err, io.EOF) {
				return s.Send(&replyFrame{Response: okHead()})
			}
			if err != nil {
				return err
			}
			frames <- f
		}
	}}).outbound(t, false)
	rec := flow.NewRecorder()
	defer rec.Watch()()
	want := strings.Repeat("0123456789", 20_000)
	c := post(io.MultiReader(strings.NewReader(want)), -1)
	c.Verb, c.Query = "PROPFIND", "q=1"
	c.Header = http.Header{"Accept": {"text/event-stream"}, "X-Forwarded-For": {"10.0.0.1"}}
	c = c.StampedBy(Caller{AppID: "caller", Namespace: "default", Addr: "127.0.0.1", Host: "here"}.Stamp(), "callee")
	c.Flow = rec.Begin(flow.Head{})
	c.Trailer = func() http.Header { return http.Header{"X-Sum": {"1"}} }
	r, err := o.Handle(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	all(t, r)
	head := (<-frames)
	req := head.GetRequest()
	if req.GetVer() != internalsv1.APIVersion_V1 || req.GetMessage().GetMethod() != "m" || req.GetMessage().GetHttpExtension().GetVerb() != commonv1.HTTPExtension_POST || req.GetMessage().GetHttpExtension().GetQuerystring() != "q=1" {
		t.Errorf("head %v", req)
	}
	for key, value := range map[string]string{
		"Accept": "text/event-stream", "destination-app-id": "callee", "dapr-caller-app-id": "caller", "dapr-callee-app-id": "callee",
		"dapr-caller-namespace": "default", "X-Forwarded-For": "10.0.0.1,127.0.0.1", "X-Forwarded-Host": "here", "Forwarded": "for=127.0.0.1;by=127.0.0.1;host=here",
	} {
		if got := strings.Join(req.GetMetadata()[key].GetValues(), ","); got != value {
			t.Errorf("%s is %q, want %q", key, got, value)
		}
	}
	// What only our sidecars know is in fields that Dapr's message does not have.
	num, _, n := protowire.ConsumeTag(req.ProtoReflect().GetUnknown())
	id, _ := protowire.ConsumeVarint(req.ProtoReflect().GetUnknown()[max(n, 0):])
	if num != flowField || flow.ID(id) != c.Flow.ID() {
		t.Errorf("field %d says flow %v, want %v", num, flow.ID(id), c.Flow.ID())
	}
	got, seq := bytes.NewBuffer(head.GetPayload().GetData()), uint64(0)
	if head.GetPayload() != nil {
		seq++
	}
	for f := range frames {
		// What a daprd checks; our trailers must look like nothing to it.
		if f.GetRequest().GetMetadata() != nil || f.GetRequest().GetMessage() != nil {
			t.Errorf("a later frame has a head: %v", f)
		}
		p := f.GetPayload()
		if p == nil {
			continue
		}
		if p.GetSeq() != seq || len(p.GetData()) == 0 || len(p.GetData()) > 64<<10 {
			t.Errorf("payload %d has number %d and %d bytes", seq, p.GetSeq(), len(p.GetData()))
		}
		seq++
		got.Write(p.GetData())
	}
	if got.String() != want {
		t.Errorf("%d bytes arrived", got.Len())
	}
}

func TestOutboundNeverSendsEmptyMetadata(t *testing.T) {
	for _, body := range []io.Reader{nil, strings.NewReader("x")} {
		c := &Call{AppID: "callee", Verb: "POST", Header: http.Header{}, Body: body, Length: -1}
		var head internalsv1.InternalInvokeRequest
		if err := proto.Unmarshal(requestHead(c)[headRoom:], &head); err != nil || len(head.GetMetadata()) == 0 {
			t.Errorf("metadata is empty with body %v", body)
		}
	}
}

func TestFallbackToUnary(t *testing.T) {
	newPeer := func() *plainPeer {
		return &plainPeer{unary: func(_ context.Context, r *internalsv1.InternalInvokeRequest) (*internalsv1.InternalInvokeResponse, error) {
			res := okHead()
			res.Message.Data = &anypb.Any{Value: append([]byte("got "), r.GetMessage().GetData().GetValue()...)}
			return res, nil
		}}
	}
	long := strings.Repeat("x", maxReplay)
	for _, tc := range []struct {
		name   string
		body   io.Reader
		length int64
		want   string
	}{
		{"no body", nil, 0, "got "},
		{"a body in memory", strings.NewReader("abc"), 3, "got abc"},
		{"a body on its way", io.MultiReader(strings.NewReader("a"), strings.NewReader("bc")), 3, "got abc"},
		{"a body as long as can be kept", io.MultiReader(strings.NewReader(long)), maxReplay, "got " + long},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer()
			o := p.outbound(t, false)
			r, err := o.Handle(within(t), post(tc.body, tc.length))
			if err != nil {
				t.Fatal(err)
			}
			if got := all(t, r); got != tc.want {
				t.Errorf("%.40q", got)
			}
			r, err = o.Handle(within(t), get("m"))
			if err != nil {
				t.Fatal(err)
			}
			all(t, r)
			if n := p.streams.Load(); n != 1 {
				t.Errorf("a stream was tried %d times", n)
			}
		})
	}
	t.Run("a body without a length", func(t *testing.T) {
		o := newPeer().outbound(t, false)
		for range 2 {
			_, err := o.Handle(within(t), post(io.MultiReader(strings.NewReader("abc")), -1))
			want := "target app 'callee' is running a version of Dapr that does not support streaming-based service invocation"
			if err == nil || err.Error() != want {
				t.Errorf("error %v", err)
			}
		}
	})
}

func TestOneFlowForBothEnds(t *testing.T) {
	eachWay(t, func(t *testing.T, unary bool) {
		rec := flow.NewRecorder()
		defer rec.Watch()()
		in := NewInbound(HandlerFunc(echo), InboundOptions{AppID: "callee", Flows: rec})
		s := grpc.NewServer(ServerOptions()...)
		in.Register(s)
		o := outboundTo(t, unary, serve(t, s))
		c := post(strings.NewReader("hello"), 5)
		c.Flow = rec.Begin(flow.Head{Caller: "caller"})
		r, err := o.Handle(within(t), c)
		if err != nil {
			t.Fatal(err)
		}
		all(t, r)
		v := c.Flow.View()
		for _, l := range []struct {
			dir flow.Dir
			hop flow.Hop
		}{{flow.Request, flow.CallerOut}, {flow.Request, flow.CalleeIn}, {flow.Reply, flow.CalleeOut}, {flow.Reply, flow.CallerIn}} {
			if lane, _ := v.Lane(l.dir, l.hop); lane.Bytes != 5 || lane.Chunks != 1 {
				t.Errorf("%v %v: %d bytes in %d chunks", l.dir, l.hop, lane.Bytes, lane.Chunks)
			}
		}
		if !v.Live {
			t.Error("the callee ended a flow that it did not begin")
		}
		c.Flow.End(nil)
		// A caller from elsewhere: the callee's end records by itself.
		c = get("m")
		if r, err = o.Handle(within(t), c); err != nil {
			t.Fatal(err)
		}
		all(t, r)
		begun, _ := rec.Totals()
		if begun != 2 {
			t.Errorf("%d flows, want 2", begun)
		}
	})
}
