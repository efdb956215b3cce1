package h2

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestServerReplies(t *testing.T) {
	detailed, err := status.New(codes.DataLoss, "gone").WithDetails(durationpb.New(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		says    string // before the end
		end     error
		code    string
		message string
	}{
		{"nothing", "", nil, "0", ""},
		{"a message", "text", nil, "0", ""},
		{"a failure", "", status.Error(codes.NotFound, "no"), "5", "no"},
		{"a failure after a message", "text", status.Error(codes.NotFound, "no"), "5", "no"},
		{"special characters", "", status.Error(codes.Aborted, "100% ä\n\x00~"), "10", "100%25 %C3%A4%0A%00~"},
		{"no characters at all", "", status.Error(codes.Aborted, "\xff"), "10", "%EF%BF%BD"},
		{"an error of Go", "", io.ErrUnexpectedEOF, "2", "unexpected EOF"},
		{"an end of a context", "", fmt.Errorf("doing it: %w", context.DeadlineExceeded), "4", "doing it: context deadline exceeded"},
		{"details", "", detailed.Err(), "15", "gone"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, dial := serve(t, sockets, func(s *Stream) error {
				if tc.says != "" {
					if err := s.Send(pieces([]byte(tc.says)), Soon); err != nil {
						return err
					}
				}
				return tc.end
			})
			p := near(t, dial)
			for id := uint32(1); id < 6; id += 2 {
				p.call(id)
				p.text(id, true, "hello")
				if tc.says != "" || tc.end == nil {
					h := await[*http2.MetaHeadersFrame](p, "headers")
					if field(h, ":status") != "200" || field(h, "content-type") != "application/grpc" || h.StreamEnded() {
						t.Errorf("the reply begins with %v", h.Fields)
					}
				}
				h := p.awaitTrailers(id, tc.code, tc.message)
				if tc.says != "" {
					p.awaitText(id, tc.says)
				} else if tc.end != nil && (field(h, ":status") != "200" || field(h, "content-type") != "application/grpc") {
					t.Errorf("the reply is %v", h.Fields)
				}
				if tc.name == "details" {
					b, err := base64.RawStdEncoding.DecodeString(field(h, "grpc-status-details-bin"))
					var st rpcstatus.Status
					if err != nil || proto.Unmarshal(b, &st) != nil || !proto.Equal(&st, detailed.Proto()) {
						t.Errorf("the details are %v", &st)
					}
				}
			}
			// And a client of ours makes the same of it again.
			s := opened(t, newClient(t, dial))
			sendText(t, s, "hello", Last)
			if tc.says != "" {
				wantText(t, s, tc.says)
			}
			got, err := recvText(s)
			want := convert(tc.end)
			if tc.end == nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("%q, %v", got, err)
				}
			} else if tc.name != "no characters at all" && !proto.Equal(status.Convert(err).Proto(), want.Proto()) {
				t.Errorf("%v, want %v", status.Convert(err).Proto(), want.Proto())
			}
		})
	}
}

// A status that is longer than headers may be costs its end, not the connection.
func TestLongStatus(t *testing.T) {
	long := strings.Repeat("Ä", testHeader)
	cl := pair(t, sockets, func(s *Stream) error {
		text, err := recvText(s)
		if err != nil || text == "fine" {
			return err
		}
		st, _ := status.New(codes.Aborted, long).WithDetails(&rpcstatus.Status{Message: long})
		return st.Err()
	})
	s := opened(t, cl)
	sendText(t, s, "long", Last)
	_, err := s.Recv()
	if st := status.Convert(err); st.Code() != codes.Aborted || !strings.HasPrefix(long, st.Message()) || len(st.Message()) < 1000 {
		t.Errorf("%.100v", err)
	}
	s = opened(t, cl)
	sendText(t, s, "fine", Last)
	wantEnd(t, s, nil)
}

// What a Server does not serve.
func TestServerRefuses(t *testing.T) {
	served := make(chan struct{}, 100)
	_, dial := serve(t, sockets, func(*Stream) error {
		served <- struct{}{}
		return nil
	})
	p := near(t, dial)
	p.headers(1, true, ":method", "POST", ":path", "/test.Service/Other")
	p.awaitTrailers(1, "12", "unknown method /test.Service/Other")
	p.call(3, "grpc-timeout", "for long")
	p.awaitTrailers(3, "13", `"for long" is not a timeout`)
	var long []string
	for range testHeader/(defaultTable/2) + 1 {
		long = append(long, "x", strings.Repeat("x", defaultTable/2))
	}
	p.call(5, long...)
	p.awaitTrailers(5, "8", fmt.Sprintf("headers of more than %d bytes", testHeader))
	if len(served) > 0 {
		t.Error("a call was served")
	}
	p.call(7)
	p.awaitTrailers(7, "0", "")
	p.call(9)
	p.call(7) // is over
	p.awaitTrailers(9, "0", "")
	p.settled()
	if n := len(served); n != 2 {
		t.Errorf("%d calls were served", n)
	}
	p.call(10)
	// The word why is lost when a handler is just writing.
	if g := p.awaitEnd(); g != nil && (g.ErrCode != http2.ErrCodeProtocol || g.LastStreamID != 9) {
		t.Errorf("%v", g)
	}
}

func TestServerHearsResets(t *testing.T) {
	ends := make(chan error, 1)
	_, dial := serve(t, sockets, waits(ends))
	p := near(t, dial)
	for i, code := range []http2.ErrCode{http2.ErrCodeNo, http2.ErrCodeCancel, http2.ErrCodeInternal} {
		id := uint32(1 + 2*i)
		p.call(id)
		p.awaitText(id, "hello")
		p.must(p.WriteRSTStream(id, code))
		if err := soon(t, ends, "end"); !strings.Contains(err.Error(), "given the call up") {
			t.Error(err)
		}
		p.settled()
	}
	p.call(7)
	p.awaitText(7, "hello")
	p.headers(7, false, "x", "y") // may not be
	if g := p.awaitEnd(); g != nil && g.ErrCode != http2.ErrCodeProtocol {
		t.Errorf("%v", g)
	}
	_ = soon(t, ends, "end")
}

// A call whose time is over ends, whatever its handler waits for and whether or not
// its caller says anything.
func TestDeadlineOfServedCall(t *testing.T) {
	for name, wait := range map[string]func(*Stream) error{
		"receiving": func(s *Stream) error { _, err := recvText(s); return err },
		"sending": func(s *Stream) error {
			for {
				if err := s.Send(pieces(make([]byte, 10_000)), 0); err != nil {
					return context.Cause(s.Context())
				}
			}
		},
		"its context": func(s *Stream) error { <-s.Context().Done(); return s.Context().Err() },
	} {
		t.Run(name, func(t *testing.T) {
			_, dial := serve(t, sockets, func(s *Stream) error {
				if end, ok := s.Context().Deadline(); !ok || time.Until(end) > time.Second {
					return errors.New("there is no deadline")
				}
				return wait(s)
			})
			p := near(t, dial)
			p.call(1, "grpc-timeout", "20m")
			p.awaitTrailers(1, "4", "context deadline exceeded")
		})
	}
}

func TestDeadlineOfCaller(t *testing.T) {
	ends := make(chan error, 1)
	cl := pair(t, sockets, waits(ends))
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer stop()
	s, err := cl.Open(ctx)
	if err != nil {
		return // a machine so slow that it did not begin
	}
	defer s.Close(errTest)
	_ = s.Send(pieces([]byte("hello")), 0)
	for err == nil {
		_, err = recvText(s)
	}
	if !errors.Is(err, context.DeadlineExceeded) && status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
}

// A peer that makes us answer and does not read is left.
func TestAnswersNobodyReads(t *testing.T) {
	broke := make(chan error, 1)
	ln, dial := memory64.listen(t)
	defer ln.Close()
	go func() {
		nc, err := ln.Accept()
		if err == nil {
			var b []byte
			for range 1000 {
				b = appendPing(b, 0, [8]byte{})
			}
			_, err = nc.Write(appendSettings(nil))
			for range 100 + 2*maxQueued/len(b) {
				if err == nil {
					_, err = nc.Write(b)
				}
			}
			_ = nc.Close()
		}
		broke <- err
	}()
	cl := newClient(t, dial)
	s := opened(t, cl)
	wantEnd(t, s, status.Error(codes.Unavailable, "does not read"))
	if err := soon(t, broke, "end of the connection"); err == nil {
		t.Error("the connection did not end")
	}
}

// What is not from a Client is given back as it came.
func TestOthersAreGivenBack(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		s, dial := serve(t, on, echo)
		s.others = make(chan net.Conn)
		preface := tape(t, func(p *peer) {
			_, _ = io.WriteString(p.nc, http2.ClientPreface)
			p.must(p.WriteSettings(http2.Setting{ID: http2.SettingEnablePush}))
			p.must(p.WritePing(false, [8]byte{}))
		})
		for _, text := range []string{
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n", "PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", "\x16\x03\x01", string(preface),
			http2.ClientPreface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", http2.ClientPreface + "\xff\xff\xff\x04\x00\x00\x00\x00\x00x",
			http2.ClientPreface + "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x07!", string(preface[:40]),
		} {
			nc, err := dial(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			sent := make(chan error, 1)
			go func() {
				for i := range len(text) {
					if _, err := nc.Write([]byte{text[i]}); err != nil {
						sent <- err
						return
					}
				}
				if tcp, ok := nc.(*net.TCPConn); ok {
					sent <- tcp.CloseWrite()
				} else {
					sent <- nc.Close()
				}
			}()
			back := soon(t, s.others, "connection")
			got, err := io.ReadAll(back)
			if err != nil || string(got) != text {
				t.Errorf("of %q came %q, %v", text, got, err)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
			_, _ = back.Close(), nc.Close()
		}
	})
}

// gRPC's own client is served by gRPC's own server behind the same listener.
func TestBesideGRPC(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		s, dial := serve(t, on, echo)
		s.others = make(chan net.Conn)
		theirs := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(s)
			return status.Error(codes.Aborted, method)
		}))
		over := make(chan struct{})
		go func() {
			defer close(over)
			_ = theirs.Serve(&accepting{Listener: s.ln, conns: s.others, over: make(chan struct{})})
		}()
		t.Cleanup(func() {
			theirs.Stop()
			<-over
		})
		conn, err := grpc.NewClient("passthrough:///peer", grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		call := opened(t, newClient(t, dial))
		for range 3 {
			err := conn.Invoke(within(t), testMethod, durationpb.New(0), durationpb.New(0))
			if status.Code(err) != codes.Aborted || status.Convert(err).Message() != testMethod {
				t.Error(err)
			}
			sendText(t, call, "ours", 0)
			wantText(t, call, "ours")
		}
	})
}

// accepting is a listener of connections that somebody hands on.
type accepting struct {
	net.Listener
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
}

func (a *accepting) Accept() (net.Conn, error) {
	select {
	case nc := <-a.conns:
		return nc, nil
	case <-a.over:
		return nil, net.ErrClosed
	}
}

func (a *accepting) Close() error {
	a.once.Do(func() { close(a.over) })
	return nil
}

// A Client speaks to gRPC's own server.
func TestClientOfGRPC(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		ln, dial := on.listen(t)
		detailed, err := status.New(codes.DataLoss, "100% gone: ä").WithDetails(durationpb.New(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		sv := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			for {
				var d durationpb.Duration
				if err := s.RecvMsg(&d); err != nil {
					if errors.Is(err, io.EOF) {
						return detailed.Err()
					}
					return err
				}
				if err := s.SendMsg(&d); err != nil {
					return err
				}
			}
		}), grpc.WaitForHandlers(true))
		over := make(chan struct{})
		go func() { defer close(over); _ = sv.Serve(ln) }()
		t.Cleanup(func() {
			sv.Stop()
			<-over
		})
		cl := newClient(t, dial)
		for range 3 {
			s, err := cl.Open(within(t))
			if err != nil {
				t.Fatal(err)
			}
			for i := range int64(100) {
				b, err := proto.Marshal(&durationpb.Duration{Seconds: i})
				if err != nil {
					t.Fatal(err)
				}
				sendText(t, s, string(b), 0)
				wantText(t, s, string(b))
			}
			if err := s.CloseSend(); err != nil {
				t.Error(err)
			}
			_, err = s.Recv()
			if !proto.Equal(status.Convert(err).Proto(), detailed.Proto()) {
				t.Error(err)
			}
			s.Close(errTest)
		}
	})
}

// Streams whose frames come mixed.
func TestMixedStreams(t *testing.T) {
	_, dial := serve(t, sockets, echo)
	p := near(t, dial)
	ids := []uint32{1, 3, 9, 11}
	for _, id := range ids {
		p.call(id)
	}
	want := wire(strings.Repeat("0123456789", 5))
	for part := range slices.Chunk(want, 7) {
		for _, id := range ids {
			p.must(p.WriteData(id, false, part))
		}
	}
	for _, id := range ids {
		p.awaitText(id, string(want[prefixLen:]))
	}
	for _, id := range ids {
		p.must(p.WriteData(id, true, nil))
	}
	for ended := map[uint32]bool{}; len(ended) < len(ids); {
		if h := await[*http2.MetaHeadersFrame](p, "trailers"); h.StreamEnded() {
			ended[h.StreamID] = true
		}
	}
}
