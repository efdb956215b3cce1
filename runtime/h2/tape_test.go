package h2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// tape makes the bytes that a peer sends.
func tape(t testing.TB, write func(p *peer)) []byte {
	t.Helper()
	var b bytes.Buffer
	p := newPeer(t, taping{&b})
	write(p)
	return b.Bytes()
}

// taping is a connection that keeps what is written.
type taping struct{ *bytes.Buffer }

func (taping) Close() error                     { return nil }
func (taping) SetDeadline(time.Time) error      { return nil }
func (taping) SetReadDeadline(time.Time) error  { return nil }
func (taping) SetWriteDeadline(time.Time) error { return nil }
func (taping) LocalAddr() net.Addr              { return nil }
func (taping) RemoteAddr() net.Addr             { return nil }

// played is what became of the streams of a tape.
type played map[uint32]string

// hear notes what comes on a stream, to its end.
func hear(s *Stream) string {
	var b strings.Builder
	for {
		text, err := recvText(s)
		if err != nil {
			return b.String() + err.Error()
		}
		fmt.Fprintf(&b, "%q\n", text)
	}
}

// playing is a connection that gives the parts of a tape, one by one, and takes
// everything.
type playing struct {
	taping
	begin  chan struct{} // what comes after the first part is not given before it is closed; nil: it is
	parts  [][]byte
	closed chan struct{}
	once   sync.Once
}

func newPlaying(parts [][]byte) *playing {
	return &playing{parts: parts, closed: make(chan struct{})}
}

func (p *playing) Read(b []byte) (int, error) {
	if len(p.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.parts[0])
	if p.parts[0] = p.parts[0][n:]; len(p.parts[0]) > 0 {
		return n, nil
	}
	p.parts = p.parts[1:]
	if p.begin != nil && n == 0 {
		select {
		case <-p.begin:
		case <-p.closed:
			return 0, net.ErrClosed
		}
		p.begin = nil
	}
	return n, nil
}

func (p *playing) Write(b []byte) (int, error) { return len(b), nil }

func (p *playing) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *playing) RemoteAddr() net.Addr { return &net.UnixAddr{Name: "a tape"} }

// toClient has a Client with one stream hear a tape that comes in these parts.
func toClient(t testing.TB, parts [][]byte) played {
	t.Helper()
	nc := newPlaying(append([][]byte{appendSettings(nil), nil}, parts...))
	begin := make(chan struct{})
	nc.begin = begin
	pool := &checkedPool{}
	cl := NewClient(ClientOptions{
		Addr: "peer:1", Method: testMethod, Pool: pool, MaxHeader: 4 << 10,
		Dial: func(context.Context, string) (net.Conn, error) { return nc, nil },
	})
	s, err := cl.Open(t.Context())
	close(begin)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	go func() { heard <- hear(s) }()
	what := soon(t, heard, "end of the stream")
	s.Close(errTest)
	cl.Close()
	if n := pool.out.Load(); n != 0 {
		t.Errorf("%d buffers were not given back", n)
	}
	return played{s.id: what}
}

// toServer has a Server hear a tape that comes in these parts.
func toServer(t testing.TB, parts [][]byte) played {
	t.Helper()
	pool := &checkedPool{}
	var mu sync.Mutex
	got := played{}
	sv := NewServer(ServerOptions{Method: testMethod, Pool: pool, MaxHeader: 4 << 10, Serve: func(s *Stream) error {
		what := hear(s)
		if _, ok := s.Context().Deadline(); ok {
			what = "had a time"
		}
		mu.Lock()
		defer mu.Unlock()
		got[s.id] = what
		return errors.Join(s.Send(pieces([]byte(what)), 0), errTest)
	}})
	over := make(chan struct{})
	go func() {
		_, _, _ = sv.Take(newPlaying(parts))
		sv.Shutdown(0)
		close(over)
	}()
	soon(t, over, "end of the connection")
	if n := pool.out.Load(); n != 0 {
		t.Errorf("%d buffers were not given back", n)
	}
	return got
}

// greetingTape is what a Client's connection begins with.
func greetingTape(p *peer) {
	_, err := io.WriteString(p.nc, http2.ClientPreface)
	p.must(err)
	p.must(p.WriteSettings(http2.Setting{ID: settingOurs, Val: 1}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20}))
}

// everything uses all that frames can do, on a stream whose headers begin with
// head and end, at a server, with tail.
func everything(p *peer, id uint32, head, tail []string) {
	p.must(p.WriteSettingsAck())
	p.must(p.WritePing(false, [8]byte{1, 2, 3}))
	p.must(p.WritePing(true, [8]byte{1, 2, 3}))
	p.must(p.WriteWindowUpdate(0, 100))
	p.must(p.WritePriority(id, http2.PriorityParam{StreamDep: 0, Weight: 3}))
	block := p.block(append(head, "x-long", strings.Repeat("long", 10))...)
	p.must(p.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: block[:3], PadLength: 7, Priority: http2.PriorityParam{StreamDep: 5, Exclusive: true, Weight: 1},
	}))
	p.must(p.WriteContinuation(id, false, block[3:5]))
	p.must(p.WriteContinuation(id, false, nil))
	p.must(p.WriteContinuation(id, true, block[5:]))
	p.must(p.WriteWindowUpdate(id, 100))
	p.must(p.WriteRawFrame(0x77, 0xff, id, []byte("of later times")))
	first := append(append(append(wire("first"), wire("")...), wire("second")...), wire("third")[:4]...)
	p.must(p.WriteDataPadded(id, false, first[:2], []byte{0, 0, 0}))
	p.must(p.WriteDataPadded(id, false, nil, make([]byte, 40)))
	p.must(p.WriteData(id, false, nil))
	p.must(p.WriteDataPadded(id, false, first[2:], nil))
	p.must(p.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, id, []byte{0}))
	p.must(p.WriteData(id, false, wire("third")[4:]))
	p.must(p.WriteData(id+100, false, wire("nobody's")))
	p.must(p.WriteRSTStream(id+100, http2.ErrCodeCancel))
	if tail == nil {
		p.must(p.WriteDataPadded(id, true, wire("last"), []byte{0}))
		return
	}
	p.must(p.WriteData(id, false, wire("last")))
	block = p.block(tail...)
	p.must(p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:1], EndStream: true}))
	p.must(p.WriteContinuation(id, true, block[1:]))
}

func replyTape(t testing.TB) []byte {
	t.Helper()
	return tape(t, func(p *peer) {
		everything(p, 1, []string{":status", "200", "content-type", "application/grpc"}, []string{"grpc-status", "7", "grpc-message", "may not"})
		p.must(p.WriteGoAway(1, http2.ErrCodeNo, []byte("bye")))
	})
}

var requestHead = []string{":method", "POST", ":scheme", "http", ":path", testMethod, "content-type", "application/grpc"}

func requestTape(t testing.TB) []byte {
	t.Helper()
	return tape(t, func(p *peer) {
		greetingTape(p)
		everything(p, 1, requestHead, nil)
		everything(p, 5, requestHead, []string{"x", "trailers of a request"})
		p.must(p.WriteGoAway(0, http2.ErrCodeNo, nil))
	})
}

const heard = "\"first\"\n\"\"\n\"second\"\n\"third\"\n\"last\"\n"

func wantPlayed(t testing.TB, got, want played, how string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Fatalf("%s:\n%v\nwant\n%v", how, got, want)
	}
}

// inTwo cuts bytes at each place in turn; and in the end at all of them.
func inTwo(b []byte, play func(parts [][]byte, how string)) {
	for at := range b {
		play([][]byte{b[:at], b[at:]}, fmt.Sprint("cut at ", at))
	}
	play(slices.Collect(slices.Chunk(b, 1)), "byte by byte")
}

func TestFramesToClient(t *testing.T) {
	want := played{1: heard + "rpc error: code = PermissionDenied desc = may not"}
	inTwo(replyTape(t), func(parts [][]byte, how string) { wantPlayed(t, toClient(t, parts), want, how) })
}

func TestFramesToServer(t *testing.T) {
	want := played{1: heard + "EOF", 5: heard + "EOF"}
	inTwo(requestTape(t), func(parts [][]byte, how string) { wantPlayed(t, toServer(t, parts), want, how) })
}

// Wherever the connection breaks off, what was whole has come.
func TestBrokenOff(t *testing.T) {
	b := replyTape(t)
	whole := toClient(t, [][]byte{b})[1]
	for n := range b {
		got := toClient(t, [][]byte{b[:n]})[1]
		texts, _, off := strings.Cut(got, "rpc error: code = Unavailable")
		if got != whole && (!off || !strings.HasPrefix(heard, texts)) {
			t.Fatalf("after %d bytes: %q", n, got)
		}
	}
	b = requestTape(t)
	for n := range b {
		for id, got := range toServer(t, [][]byte{b[:n]}) {
			texts, end := got[:strings.LastIndexByte(got, '\n')+1], got[strings.LastIndexByte(got, '\n')+1:]
			if !strings.HasPrefix(heard, texts) || end != "EOF" && !strings.Contains(end, "broke off") || end == "EOF" && texts != heard {
				t.Fatalf("stream %d after %d bytes: %q", id, n, got)
			}
		}
	}
}
