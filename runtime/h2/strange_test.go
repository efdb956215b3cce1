package h2

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

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
