package h2

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
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
