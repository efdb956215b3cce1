package h2

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// resize has the peer's table of header fields have another size from now on.
func (p *peer) resize(n uint32) {
	p.t.Helper()
	p.must(p.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: n}))
	for acked := false; !acked; {
		acked = await[*http2.SettingsFrame](p, "acknowledgement").IsAck()
	}
	p.ReadMetaHeaders.SetMaxDynamicTableSize(min(n, defaultTable))
	p.ReadMetaHeaders.SetAllowedMaxDynamicTableSize(n)
}

var tables = []uint32{0, 1, 50, 100, 150, 200, 250, 300, 350, 1000, defaultTable - 1, defaultTable, 1 << 20, 70}

func TestHeaderTableOfServer(t *testing.T) {
	f := newFar(t, sockets)
	s, p := f.open()
	p.settled()
	s.Close(errTest)
	id := uint32(1)
	for i, n := range tables {
		p.resize(n)
		for range 4 {
			id += 2
			s := opened(t, f.Client)
			sendText(t, s, "x", Last)
			h := await[*http2.MetaHeadersFrame](p, "headers")
			if len(h.Fields) != 6 || field(h, ":path") != testMethod || field(h, ":authority") != "peer:1" || field(h, "content-type") != "application/grpc" || field(h, "te") != "trailers" {
				t.Fatalf("after %d: %v", tables[:i+1], h.Fields)
			}
			s.Close(errTest)
		}
	}
}

func TestHeaderTableOfClient(t *testing.T) {
	_, dial := serve(t, sockets, func(s *Stream) error {
		text, err := recvText(s)
		switch {
		case err != nil:
			return err
		case text == "fail":
			return status.Error(codes.NotFound, "no")
		}
		return s.Send(pieces([]byte(text)), 0)
	})
	p := near(t, dial)
	id := uint32(1)
	for i, n := range tables {
		p.resize(n)
		for j := range 8 {
			p.call(id)
			if j%3 == 1 {
				p.text(id, true, "fail")
				h := p.awaitTrailers(id, "5", "no")
				if len(h.Fields) != 4 || field(h, ":status") != "200" {
					t.Fatalf("after %d: %v", tables[:i+1], h.Fields)
				}
			} else {
				p.text(id, true, "fine")
				if h := await[*http2.MetaHeadersFrame](p, "headers"); len(h.Fields) != 2 || field(h, ":status") != "200" || field(h, "content-type") != "application/grpc" {
					t.Fatalf("after %d: %v", tables[:i+1], h.Fields)
				}
				if h := p.awaitTrailers(id, "0", ""); len(h.Fields) != 1 {
					t.Fatalf("after %d: %v", tables[:i+1], h.Fields)
				}
				p.awaitText(id, "fine")
			}
			id += 2
		}
	}
}

// The window of a stream may be wider, narrower and less than nothing while a
// message waits for it.
func TestInitialWindow(t *testing.T) {
	window := func(n uint32) http2.Setting { return http2.Setting{ID: http2.SettingInitialWindowSize, Val: n} }
	s, p := newFar(t, sockets).open(window(0))
	want := wire(string(random(1000, 1)))
	sent := make(chan error, 1)
	go func() { sent <- s.Send(pieces(want[prefixLen:]), Last) }()
	var got []byte
	have := func(n int) {
		t.Helper()
		got = append(got, p.awaitData(1, n)...)
		p.settled()
		if more := len(p.data[1]); more > 0 {
			t.Fatalf("%d bytes more than the window lets through", more)
		}
	}
	await[*http2.MetaHeadersFrame](p, "headers") // the call is heard of even so
	have(0)
	p.must(p.WriteSettings(window(10)))
	have(10)
	p.must(p.WriteSettings(window(3))) // 7 less than nothing
	have(0)
	p.must(p.WriteWindowUpdate(1, 7))
	have(0)
	p.must(p.WriteWindowUpdate(1, 1))
	have(1)
	p.must(p.WriteSettings(window(0), window(203)))
	have(200)
	p.must(p.WriteWindowUpdate(1, 10_000))
	have(len(want) - len(got))
	if !bytes.Equal(got, want) || !p.closed[1] {
		t.Errorf("%d other bytes came, ended: %v", len(got), p.closed[1])
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// Streams that wait for the window of the connection go on when it grows.
func TestConnectionWindow(t *testing.T) {
	const n = 5
	f := newFar(t, sockets)
	s, p := f.open(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	sent := make(chan error, n)
	want := wire(string(random(40_000, 1)))
	all := []*Stream{s}
	for len(all) < n {
		all = append(all, opened(t, f.Client))
	}
	for _, s := range all {
		go func() { sent <- s.Send(pieces(want[prefixLen:]), Last) }()
	}
	count := func() (sum int) {
		for _, b := range p.data {
			sum += len(b)
		}
		return sum
	}
	have := defaultWindow
	for count() < have {
		await[*http2.DataFrame](p, "data")
	}
	for _, more := range []int{1, 10, 2000, n*len(want) - defaultWindow - 2011} {
		p.settled()
		if count() != have {
			t.Fatalf("%d bytes came in a window of %d", count(), have)
		}
		p.must(p.WriteWindowUpdate(0, uint32(more)))
		for have += more; count() < have; {
			await[*http2.DataFrame](p, "data")
		}
	}
	for i := range n {
		if id := uint32(1 + 2*i); !bytes.Equal(p.data[id], want) || !p.closed[id] {
			t.Errorf("stream %d: %d bytes, ended: %v", id, len(p.data[id]), p.closed[id])
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
}

// A stream that has no window of its own is told of it only when there is some, of
// which the connection may then have none.
func TestWindowsOneAfterTheOther(t *testing.T) {
	f := newFar(t, sockets)
	s, p := f.open(http2.Setting{ID: http2.SettingInitialWindowSize, Val: defaultWindow})
	sent := make(chan error, 1)
	want := wire(string(random(2*defaultWindow, 1)))
	go func() { sent <- s.Send(pieces(want[prefixLen:]), Last) }()
	got := bytes.Clone(p.awaitData(1, defaultWindow)) // both windows are used up
	for len(got) < len(want) {
		p.must(p.WriteWindowUpdate(1, 5))
		p.must(p.WriteWindowUpdate(1, 5))
		p.settled()
		p.must(p.WriteWindowUpdate(0, 10))
		n := min(10, len(want)-len(got))
		got = append(got, p.awaitData(1, n)...)
		if len(got) < len(want) && len(got) > defaultWindow+100 { // it is understood
			p.must(p.WriteWindowUpdate(0, 1<<20))
			p.settled()
			p.must(p.WriteWindowUpdate(1, 1<<20))
			got = append(got, p.awaitData(1, len(want)-len(got))...)
		}
	}
	if !bytes.Equal(got, want) {
		t.Error("other bytes came")
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	c := f.conns[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.short) > 1 {
		t.Errorf("one stream waits %d times", len(c.short))
	}
}

func TestMaxFrameSize(t *testing.T) {
	for _, size := range []uint32{defaultFrame, defaultFrame + 1, 100_000, 1 << 20} {
		t.Run(strconv.Itoa(int(size)), func(t *testing.T) {
			wide := http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}
			s, p := newFar(t, sockets).open(wide, http2.Setting{ID: http2.SettingMaxFrameSize, Val: size})
			p.must(p.WriteWindowUpdate(0, 1<<20))
			p.settled()
			want := wire(string(random(600_000, 1)))
			sent := make(chan error, 1)
			go func() { sent <- s.Send(pieces(want[prefixLen:]), Last) }()
			longest := 0
			for len(p.data[1]) < len(want) {
				longest = max(longest, len(await[*http2.DataFrame](p, "data").Data()))
			}
			if longest != min(int(size), maxFrame) {
				t.Errorf("the longest frame has %d bytes", longest)
			}
			if !bytes.Equal(p.data[1], want) {
				t.Error("other bytes came")
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

// What a peer has wide windows for and does not read waits at the sender.
func TestSlowPeerWithWideWindows(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		const n = 3*maxQueued + 1
		s, p := newFar(t, on).open(http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxStreamID}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
		p.must(p.WriteWindowUpdate(0, maxStreamID-defaultWindow))
		p.settled()
		want := random(n, 1)
		sent := make(chan error, 1)
		go func() { sent <- s.Send(pieces(want), Last) }()
		for !s.c.out.full.Load() && len(sent) == 0 { // sockets may take all of it, memory does not
			<-time.After(time.Millisecond)
		}
		s.c.out.mu.Lock()
		waiting := s.c.out.fill.len()
		s.c.out.mu.Unlock()
		if waiting > maxAhead+maxFrame {
			t.Errorf("%d bytes wait to be written", waiting)
		}
		got := p.awaitData(1, prefixLen+n)
		if !bytes.Equal(got[prefixLen:], want) {
			t.Error("other bytes came")
		}
		if err := soon(t, sent, "end of sending"); err != nil {
			t.Error(err)
		}
	})
}
