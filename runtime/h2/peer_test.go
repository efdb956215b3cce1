package h2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/mem"
)

// peer is the other end of a connection, frame by frame.
type peer struct {
	*http2.Framer
	t      testing.TB
	nc     net.Conn
	buf    bytes.Buffer
	enc    *hpack.Encoder
	data   map[uint32][]byte // of streams, as far as it has been read
	closed map[uint32]bool   // streams that ended with DATA
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	t.Helper()
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	p := &peer{Framer: http2.NewFramer(nc, nc), t: t, nc: nc, data: map[uint32][]byte{}, closed: map[uint32]bool{}}
	p.AllowIllegalWrites = true
	p.SetMaxReadFrameSize(1 << 20)
	p.ReadMetaHeaders = hpack.NewDecoder(defaultTable, nil)
	p.enc = hpack.NewEncoder(&p.buf)
	return p
}

// closeWrite ends what the peer sends on a socket.
func (p *peer) closeWrite() {
	p.t.Helper()
	tcp, ok := p.nc.(*net.TCPConn)
	if !ok {
		p.t.Fatalf("a %T has no half", p.nc)
	}
	p.must(tcp.CloseWrite())
}

// must fails the test: p.must(p.WriteX(…)).
func (p *peer) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// block encodes fields, given as names and values in turn.
func (p *peer) block(fields ...string) []byte {
	p.buf.Reset()
	for f := range slices.Chunk(fields, 2) {
		_ = p.enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return bytes.Clone(p.buf.Bytes())
}

func (p *peer) headers(id uint32, last bool, fields ...string) {
	p.t.Helper()
	p.must(p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(fields...), EndStream: last, EndHeaders: true}))
}

// reply begins a reply.
func (p *peer) reply(id uint32) {
	p.t.Helper()
	p.headers(id, false, ":status", "200", "content-type", "application/grpc+proto")
}

// ok ends a reply.
func (p *peer) ok(id uint32) {
	p.t.Helper()
	p.headers(id, true, "grpc-status", "0")
}

// call begins a call.
func (p *peer) call(id uint32, more ...string) {
	p.t.Helper()
	p.headers(id, false, append([]string{":method", "POST", ":scheme", "http", ":path", testMethod, "content-type", "application/grpc", "te", "trailers"}, more...)...)
}

func (p *peer) text(id uint32, last bool, text string) {
	p.t.Helper()
	p.must(p.WriteData(id, last, wire(text)))
}

// wire gives a message as it lies in DATA.
func wire(text string) []byte {
	var m mem.BufferSlice
	n := len(text)
	m = append(m, mem.SliceBuffer([]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), mem.SliceBuffer(text))
	return m.Materialize()
}

// await reads until there is a frame of a type and gives it.
func await[F http2.Frame](p *peer, what string) F {
	p.t.Helper()
	for {
		f, err := p.ReadFrame()
		if err != nil {
			p.t.Fatalf("no %s: %v", what, err)
		}
		if d, ok := f.(*http2.DataFrame); ok {
			p.data[d.StreamID] = append(p.data[d.StreamID], d.Data()...)
			p.closed[d.StreamID] = d.StreamEnded()
		}
		if f, ok := f.(F); ok {
			return f
		}
	}
}

// awaitData reads until there are n bytes of a stream, and forgets them.
func (p *peer) awaitData(id uint32, n int) []byte {
	p.t.Helper()
	for len(p.data[id]) < n {
		await[*http2.DataFrame](p, "data")
	}
	b := p.data[id][:n]
	p.data[id] = p.data[id][n:]
	return b
}

func (p *peer) awaitText(id uint32, want string) {
	p.t.Helper()
	if got := p.awaitData(id, prefixLen+len(want)); string(got[prefixLen:]) != want {
		p.t.Fatalf("%.40q came, want %.40q", got[prefixLen:], want)
	}
}

func (p *peer) awaitReset(id uint32, code http2.ErrCode) {
	p.t.Helper()
	if f := await[*http2.RSTStreamFrame](p, "reset"); f.StreamID != id || f.ErrCode != code {
		p.t.Fatalf("a reset of %d with %v, want %d with %v", f.StreamID, f.ErrCode, id, code)
	}
}

// awaitTrailers reads until a stream ends with a status.
func (p *peer) awaitTrailers(id uint32, code, message string) *http2.MetaHeadersFrame {
	p.t.Helper()
	for {
		f := await[*http2.MetaHeadersFrame](p, "headers")
		if f.StreamID != id || !f.StreamEnded() {
			continue
		}
		if field(f, "grpc-status") != code || field(f, "grpc-message") != message {
			p.t.Fatalf("trailers %v, want status %s and message %q", f.Fields, code, message)
		}
		return f
	}
}

func field(f *http2.MetaHeadersFrame, name string) string {
	for _, h := range f.Fields {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// awaitEnd reads until the connection ends, and gives the last GOAWAY, or nil.
func (p *peer) awaitEnd() *http2.GoAwayFrame {
	p.t.Helper()
	var last *http2.GoAwayFrame
	for {
		f, err := p.ReadFrame()
		if err != nil {
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				p.t.Fatal("the connection does not end")
			}
			return last
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			last = &http2.GoAwayFrame{FrameHeader: g.FrameHeader, LastStreamID: g.LastStreamID, ErrCode: g.ErrCode}
		}
	}
}

// settled sends a PING and waits for its answer: all before it has been taken in.
func (p *peer) settled() {
	p.t.Helper()
	p.must(p.WritePing(false, [8]byte{'s'}))
	for acked := false; !acked; {
		acked = await[*http2.PingFrame](p, "answer to a ping").IsAck()
	}
}

// far is a peer by hand that a Client connects to.
type far struct {
	*Client
	t  testing.TB
	ln net.Listener
}

func newFar(t testing.TB, on carrier) *far {
	t.Helper()
	ln, dial := on.listen(t)
	t.Cleanup(func() { _ = ln.Close() })
	return &far{newClient(t, dial), t, ln}
}

// accept takes the next connection and what it begins with.
func (f *far) accept() *peer {
	f.t.Helper()
	nc, err := f.ln.Accept()
	if err != nil {
		f.t.Fatal(err)
	}
	p := newPeer(f.t, nc)
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(nc, preface); err != nil || string(preface) != http2.ClientPreface {
		f.t.Fatalf("the connection begins with %q, %v", preface, err)
	}
	first, err := p.ReadFrame()
	if err != nil {
		f.t.Fatal(err)
	}
	if s, ok := first.(*http2.SettingsFrame); !ok || s.IsAck() {
		f.t.Fatalf("the first frame is %v", first)
	}
	return p
}

// open opens a stream on a new connection, whose peer has these settings.
func (f *far) open(settings ...http2.Setting) (*Stream, *peer) {
	f.t.Helper()
	type result struct {
		s   *Stream
		err error
	}
	got := make(chan result, 1)
	go func() {
		s, err := f.Open(f.t.Context())
		got <- result{s, err}
	}()
	p := f.accept()
	p.must(p.WriteSettings(settings...))
	p.must(p.WriteSettingsAck())
	r := soon(f.t, got, "stream")
	if r.err != nil {
		f.t.Fatal(r.err)
	}
	f.t.Cleanup(func() { r.s.Close(errTest) })
	return r.s, p
}

// near gives a peer by hand that is connected to a Server, as a Client is.
func near(t testing.TB, dial dialer, settings ...http2.Setting) *peer {
	t.Helper()
	nc, err := dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, nc)
	_, err = io.WriteString(nc, http2.ClientPreface)
	p.must(err)
	p.must(p.WriteSettings(append([]http2.Setting{{ID: settingOurs, Val: 1}}, settings...)...))
	for acked := true; acked; {
		acked = await[*http2.SettingsFrame](p, "settings").IsAck()
	}
	p.must(p.WriteSettingsAck())
	return p
}
