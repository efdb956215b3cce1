package runtime

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"mesh/runtime/stream"
)

// TestRPCConformance holds the ways that gRPC calls take to one table: an app
// and its client see the same as if they were connected.
func TestRPCConformance(t *testing.T) {
	for _, row := range []struct {
		name string
		run  func(t *testing.T, m *mesh)
	}{
		{"unary", rpcUnary},
		{"server stream", rpcDown},
		{"client stream", rpcUp},
		{"early end", rpcEarlyEnd},
		{"3,000 messages to and fro", rpcPingPong},
		{"headers before any message", rpcHeadersFirst},
		{"status details and trailers", rpcStatus},
		{"metadata", rpcMetadata},
		{"deadline", rpcDeadline},
		{"client cancels", rpcClientCancels},
		{"app goes", rpcAppGoes},
		{"large messages", rpcLarge},
		{"limit of messages", rpcLimit},
		{"compressed messages", rpcCompressed},
		{"back-pressure", rpcBackPressure},
		{"many streams at once", rpcMany},
		{"trace context", rpcTrace},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, transport := range []stream.Transport{stream.Auto, stream.GRPC} {
				t.Run(string(transport), func(t *testing.T) { row.run(t, newMesh(t, transport)) })
			}
		})
	}
}

func rpcUnary(t *testing.T, m *mesh) {
	m.rpcApp("back", &rpcApp{unary: func(_ context.Context, req *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		return &pb.SimpleResponse{Payload: req.GetPayload(), Username: "echo"}, nil
	}})
	client := pb.NewTestServiceClient(m.dial())
	for _, body := range []string{"", "hello", strings.Repeat("x", 100_000)} {
		res, err := client.UnaryCall(m.to("back"), &pb.SimpleRequest{Payload: payload(body)})
		if err != nil || string(res.GetPayload().GetBody()) != body || res.GetUsername() != "echo" {
			t.Errorf("%d bytes: %d came back, %v", len(body), len(res.GetPayload().GetBody()), err)
		}
	}
	if res, err := client.UnaryCall(m.to("nobody", "dapr-callee-app-id", "back"), &pb.SimpleRequest{}); err != nil || res.GetUsername() != "echo" {
		t.Errorf("dapr-callee-app-id does not count more than dapr-app-id: %v", err)
	}
	if _, err := client.EmptyCall(m.to("back"), &pb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a method that the app does not have: %v", err)
	}
}

func rpcDown(t *testing.T, m *mesh) {
	m.rpcApp("back", &rpcApp{down: func(req *pb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
		for _, p := range req.GetResponseParameters() {
			if err := s.Send(&pb.StreamingOutputCallResponse{Payload: payload(int(p.GetSize()))}); err != nil {
				return err
			}
		}
		return nil
	}})
	sizes := []int32{0, 1, 5000, 0, 70_000}
	req := &pb.StreamingOutputCallRequest{}
	for _, n := range sizes {
		req.ResponseParameters = append(req.ResponseParameters, &pb.ResponseParameters{Size: n})
	}
	s, err := pb.NewTestServiceClient(m.dial()).StreamingOutputCall(m.to("back"), req)
	must(t, err)
	var got []int32
	for {
		res, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, int32(len(res.GetPayload().GetBody())))
	}
	if !slices.Equal(got, sizes) {
		t.Errorf("messages of %v bytes came, want %v", got, sizes)
	}
}

// counts says how many bytes came.
func counts(s grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
	var sum int32
	for {
		req, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return s.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: sum})
		}
		if err != nil {
			return err
		}
		sum += int32(len(req.GetPayload().GetBody()))
	}
}

func rpcUp(t *testing.T, m *mesh) {
	m.rpcApp("back", &rpcApp{up: counts})
	s, err := pb.NewTestServiceClient(m.dial()).StreamingInputCall(m.to("back"))
	must(t, err)
	for _, n := range []int{1, 0, 20_000, 300} {
		must(t, s.Send(&pb.StreamingInputCallRequest{Payload: payload(n)}))
	}
	if res, err := s.CloseAndRecv(); err != nil || res.GetAggregatedPayloadSize() != 20_301 {
		t.Errorf("the app counted %d bytes, %v", res.GetAggregatedPayloadSize(), err)
	}
}

// rpcEarlyEnd has an app that answers before the client has sent all.
func rpcEarlyEnd(t *testing.T, m *mesh) {
	m.rpcApp("back", &rpcApp{up: func(s grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		return status.Error(codes.ResourceExhausted, "enough")
	}})
	s, err := pb.NewTestServiceClient(m.dial()).StreamingInputCall(m.to("back"))
	must(t, err)
	for err == nil {
		err = s.Send(&pb.StreamingInputCallRequest{Payload: payload(1000)})
	}
	if err := s.RecvMsg(&pb.StreamingInputCallResponse{}); status.Code(err) != codes.ResourceExhausted || status.Convert(err).Message() != "enough" {
		t.Errorf("the client sees %v", err)
	}
}

func rpcPingPong(t *testing.T, m *mesh) {
	t.Cleanup(m.flows.Watch())
	m.rpcApp("back", &rpcApp{duplex: echoes})
	s, err := pb.NewTestServiceClient(m.dial()).FullDuplexCall(m.to("back"))
	must(t, err)
	const n = 3_000
	for i := range n {
		want := strconv.Itoa(i)
		if err := s.Send(&pb.StreamingOutputCallRequest{Payload: payload(want)}); err != nil {
			t.Fatal(err)
		}
		if res, err := s.Recv(); err != nil || string(res.GetPayload().GetBody()) != want {
			t.Fatalf("message %d: %v, %v", i, res, err)
		}
	}
	must(t, s.CloseSend())
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the client's end: %v", err)
	}
	v := m.ended(1)[0]
	for _, l := range v.Lanes {
		if l.Chunks != n {
			t.Errorf("lane %v %v counts %d messages", l.Dir, l.Hop, l.Chunks)
		}
	}
}

func rpcHeadersFirst(t *testing.T, m *mesh) {
	m.rpcApp("back", &rpcApp{duplex: func(s duplex) error {
		must(t, s.SendHeader(metadata.Pairs("x-first", "1", "x-raw-bin", "\x00\xff")))
		return echoes(s)
	}})
	s, err := pb.NewTestServiceClient(m.dial()).FullDuplexCall(m.to("back"))
	must(t, err)
	md, err := s.Header()
	if err != nil || strings.Join(md["x-first"], " ") != "1" || strings.Join(md["x-raw-bin"], " ") != "\x00\xff" {
		t.Errorf("headers %v, %v", md, err)
	}
	must(t, s.CloseSend())
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
}

func rpcStatus(t *testing.T, m *mesh) {
	t.Cleanup(m.flows.Watch())
	m.rpcApp("back", &rpcApp{unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		must(t, grpc.SetHeader(ctx, metadata.Pairs("x-head", "h")))
		must(t, grpc.SetTrailer(ctx, metadata.Pairs("x-trail", "t", "x-trail", "u", "x-trail-bin", "\x01")))
		st, err := status.New(codes.NotFound, "no such order: µ").WithDetails(&errdetails.ErrorInfo{Reason: "GONE", Domain: "orders"})
		must(t, err)
		return nil, st.Err()
	}})
	var header, trailer metadata.MD
	_, err := pb.NewTestServiceClient(m.dial()).UnaryCall(m.to("back"), &pb.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
	st := status.Convert(err)
	if st.Code() != codes.NotFound || st.Message() != "no such order: µ" || len(st.Details()) != 1 {
		t.Fatalf("the client sees %v with %v", err, st.Details())
	}
	if info, ok := st.Details()[0].(*errdetails.ErrorInfo); !ok || info.GetReason() != "GONE" {
		t.Errorf("the details are %v", st.Details()[0])
	}
	if strings.Join(trailer["x-trail"], " ") != "t u" || strings.Join(trailer["x-trail-bin"], " ") != "\x01" {
		t.Errorf("the trailers are %v", trailer)
	}
	if v := m.ended(1)[0]; v.Status != 404 || v.Err != "NotFound: no such order: µ" || v.Broken() {
		t.Errorf("recorded as %d %q", v.Status, v.Err)
	}
}

// rpcMetadata looks at what travels with a call and what is meant for sidecars.
func rpcMetadata(t *testing.T, m *mesh) {
	var seen metadata.MD
	a := &rpcApp{unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		seen, _ = metadata.FromIncomingContext(ctx)
		return &pb.SimpleResponse{}, nil
	}}
	_, addr := a.listen(t, "")
	o := rpcOptions("back", "back", addr)
	o.App.Token = "for-the-app"
	m.sidecar(o)
	t.Cleanup(m.flows.Watch())
	ctx := m.to("back", "x-two", "a", "x-two", "b", "x-raw-bin", "\x00\xff", "dapr-api-token", "secret",
		"dapr-caller-app-id", "forged", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if _, err := pb.NewTestServiceClient(m.dial()).UnaryCall(ctx, &pb.SimpleRequest{}); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"x-two": "a b", "x-raw-bin": "\x00\xff", "dapr-api-token": "for-the-app", "dapr-app-id": "", "mesh-flow": "",
		"dapr-caller-app-id": "front", "dapr-callee-app-id": "back",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		if got := strings.Join(seen[key], " "); got != want {
			t.Errorf("the app sees %s: %q, want %q", key, got, want)
		}
	}
}

func rpcDeadline(t *testing.T, m *mesh) {
	told, gone := make(chan time.Duration, 10), make(chan struct{}, 10)
	m.rpcApp("back", &rpcApp{unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		if at, ok := ctx.Deadline(); ok {
			told <- time.Until(at)
		}
		<-ctx.Done()
		gone <- struct{}{}
		return nil, ctx.Err()
	}})
	for limit := 500 * time.Millisecond; ; limit *= 2 {
		ctx, cancel := context.WithTimeout(m.to("back"), limit)
		_, err := pb.NewTestServiceClient(m.dial()).UnaryCall(ctx, &pb.SimpleRequest{})
		cancel()
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("the client sees %v", err)
		}
		if len(told) == 0 && limit < patience {
			continue // on a busy machine the call may be over before it gets to the app
		}
		if left := soon(t, "the app to learn the deadline", told); left > limit {
			t.Errorf("of %v the app is told to have %v", limit, left)
		}
		soon(t, "the app to see the deadline pass", gone)
		return
	}
}

func rpcClientCancels(t *testing.T, m *mesh) {
	promptly(t, m, func(m *mesh) time.Duration {
		left := make(chan struct{})
		m.rpcApp("back", &rpcApp{duplex: func(s duplex) error {
			defer close(left)
			if err := s.Send(&pb.StreamingOutputCallResponse{}); err != nil {
				return err
			}
			<-s.Context().Done()
			return s.Context().Err()
		}})
		ctx, cancel := context.WithCancel(m.to("back"))
		defer cancel()
		s, err := pb.NewTestServiceClient(m.dial()).FullDuplexCall(ctx)
		must(t, err)
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		since := time.Now()
		cancel()
		soon(t, "the app to be told", left)
		return time.Since(since)
	})
}

func rpcAppGoes(t *testing.T, m *mesh) {
	promptly(t, m, func(m *mesh) time.Duration {
		a := &rpcApp{duplex: func(s duplex) error {
			must(t, s.Send(&pb.StreamingOutputCallResponse{}))
			<-s.Context().Done()
			return nil
		}}
		srv, addr := a.listen(t, "")
		m.sidecar(rpcOptions("back", "back", addr))
		s, err := pb.NewTestServiceClient(m.dial()).FullDuplexCall(m.to("back"))
		must(t, err)
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := s.Recv()
			ended <- err
		}()
		since := time.Now()
		srv.Stop()
		if err := soon(t, "the client to be told", ended); status.Code(err) != codes.Unavailable {
			t.Errorf("the client sees %v", err)
		}
		return time.Since(since)
	})
}

func rpcLarge(t *testing.T, m *mesh) {
	m.rpcApp("back", &rpcApp{duplex: echoes})
	s, err := pb.NewTestServiceClient(m.dial()).FullDuplexCall(m.to("back"), grpc.MaxCallSendMsgSize(1<<30))
	must(t, err)
	body := strings.Repeat("0123456789abcdef", 1<<19) // 8 MiB
	for range 2 {
		must(t, s.Send(&pb.StreamingOutputCallRequest{Payload: payload(body)}))
		if res, err := s.Recv(); err != nil || string(res.GetPayload().GetBody()) != body {
			t.Fatalf("%d bytes came back, %v", len(res.GetPayload().GetBody()), err)
		}
	}
	must(t, s.Send(&pb.StreamingOutputCallRequest{Payload: payload(65 << 20)}))
	if _, err := s.Recv(); status.Code(err) != codes.ResourceExhausted || !strings.Contains(status.Convert(err).Message(), "67108864") {
		t.Errorf("a message beyond the limit: %v", err)
	}
}

func rpcCompressed(t *testing.T, m *mesh) {
	m.rpcApp("back", &rpcApp{duplex: echoes})
	s, err := pb.NewTestServiceClient(m.dial()).FullDuplexCall(m.to("back"), grpc.UseCompressor(gzip.Name))
	must(t, err)
	body := strings.Repeat("again ", 50_000)
	must(t, s.Send(&pb.StreamingOutputCallRequest{Payload: payload(body)}))
	if res, err := s.Recv(); err != nil || string(res.GetPayload().GetBody()) != body {
		t.Errorf("%d bytes came back, %v", len(res.GetPayload().GetBody()), err)
	}
	must(t, s.CloseSend())
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
}

// rpcBackPressure has an app that does not read until the client cannot send.
func rpcBackPressure(t *testing.T, m *mesh) {
	t.Cleanup(m.flows.Watch())
	read := make(chan struct{})
	m.rpcApp("back", &rpcApp{up: func(s grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
		<-read
		var n int32
		for {
			_, err := s.Recv()
			if errors.Is(err, io.EOF) {
				return s.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: n})
			}
			if err != nil {
				return err
			}
			n++
		}
	}})
	s, err := pb.NewTestServiceClient(m.dial()).StreamingInputCall(m.to("back"))
	must(t, err)
	const messages = 1000 // of 64 KiB
	sent := make(chan error, 1)
	go func() {
		var err error
		for range messages {
			if err = s.Send(&pb.StreamingInputCallRequest{Payload: payload(64 << 10)}); err != nil {
				break
			}
		}
		sent <- err
	}()
	eventually(t, "a write that waits for the app", func() bool {
		for _, v := range m.flows.Views(1) {
			for _, l := range v.Lanes {
				if l.Blocked > 0 && v.Age-l.Blocked > 300*time.Millisecond {
					return true
				}
			}
		}
		return false
	})
	for _, l := range m.flows.Views(1)[0].Lanes {
		if l.Bytes > 8<<20 {
			t.Errorf("%v %v took %d bytes for an app that reads nothing", l.Dir, l.Hop, l.Bytes)
		}
	}
	close(read)
	must(t, soon(t, "the rest to be sent", sent))
	if res, err := s.CloseAndRecv(); err != nil || res.GetAggregatedPayloadSize() != messages {
		t.Errorf("the app read %d messages, %v", res.GetAggregatedPayloadSize(), err)
	}
}

// rpcMany has more streams open at once, on one connection, than an app takes on
// one, as many servers are set up.
func rpcMany(t *testing.T, m *mesh) {
	_, addr := (&rpcApp{duplex: echoes}).listen(t, "", grpc.MaxConcurrentStreams(100))
	m.sidecar(rpcOptions("back", "back", addr))
	client := pb.NewTestServiceClient(m.dial())
	const n = 500
	var streams []grpc.BidiStreamingClient[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]
	for i := range n { // all of them are open at once, on one connection
		s, err := client.FullDuplexCall(m.to("back"))
		must(t, err)
		must(t, s.Send(&pb.StreamingOutputCallRequest{Payload: payload(strconv.Itoa(i))}))
		streams = append(streams, s)
		if res, err := s.Recv(); err != nil || string(res.GetPayload().GetBody()) != strconv.Itoa(i) {
			t.Fatalf("stream %d: %v, %v", i, res, err)
		}
	}
	for i, s := range streams {
		must(t, s.CloseSend())
		if _, err := s.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("stream %d: %v", i, err)
		}
	}
}
