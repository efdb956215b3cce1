package h2

import (
	"bytes"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/mem"

	"mesh/runtime/socket"
)

// filledPipe gives a part of a message that the kernel has: as many of these bytes
// as it likes to hold.
func filledPipe(t *testing.T, s *Stream, b []byte) *Pipe {
	t.Helper()
	ln, dial := sockets.listen(t)
	defer ln.Close()
	w, err := dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = w.Write(b)
		_ = w.Close()
	}()
	r, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tcp, ok := r.(*net.TCPConn)
	if !ok {
		t.Fatalf("a %T", r)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	p, err := socket.NewPipe()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := p.Fill(raw, len(b)); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	return s.Piped(p)
}

// What the kernel has is sent as what lies in memory is, also when somebody has
// looked at it, or nothing can be moved.
func TestPipesAreSent(t *testing.T) {
	probe, err := socket.NewPipe()
	if err != nil {
		t.Log("there are no pipes here:", err)
		return
	}
	probe.Close()
	onBoth(t, func(t *testing.T, on carrier) {
		cl := pair(t, on, echo)
		for _, n := range []int{1, 1000, 60_000, PipePiece} {
			for _, seen := range []bool{false, true} {
				s := opened(t, cl)
				want := random(n, 1)
				p := filledPipe(t, s, want)
				want = want[:p.Len()]
				if seen && !bytes.Equal(p.ReadOnlyData(), want) {
					t.Error("the pipe holds something else")
				}
				if err := s.Send(mem.BufferSlice{mem.SliceBuffer("front"), p, mem.SliceBuffer("back")}, Last); err != nil {
					t.Fatal(err)
				}
				wantText(t, s, "front"+string(want)+"back")
				wantEnd(t, s, nil)
			}
		}
	})
}

// A part of a message that the kernel has and the window cuts in pieces.
func TestPipesInASmallWindow(t *testing.T) {
	s, p := newFar(t, sockets).open(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
	probe, err := socket.NewPipe()
	if err != nil {
		t.Log("there are no pipes here:", err)
		return
	}
	probe.Close()
	want := random(PipePiece, 3)
	full := filledPipe(t, s, want)
	want = want[:full.Len()]
	sent := make(chan error, 1)
	go func() { sent <- s.Send(mem.BufferSlice{full}, Last) }()
	got := bytes.Clone(p.awaitData(1, min(1000, prefixLen+len(want))))
	p.must(p.WriteWindowUpdate(0, 1<<20))
	for len(got) < prefixLen+len(want) {
		n := min(4000, prefixLen+len(want)-len(got))
		p.must(p.WriteWindowUpdate(1, uint32(n)))
		got = append(got, p.awaitData(1, n)...)
	}
	if !bytes.Equal(got[prefixLen:], want) {
		t.Error("other bytes came")
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// A frame that comes little by little takes hardly a pipe, however long it waits.
func TestSlowFrameTakesNoPipes(t *testing.T) {
	called, read := make(chan *Stream, 1), make(chan struct{})
	_, dial := serve(t, sockets, func(s *Stream) error {
		s.Moves(true)
		called <- s
		<-read
		return echo(s)
	})
	p := near(t, dial, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	p.must(p.WriteWindowUpdate(0, 1<<20))
	p.call(1)
	s := soon(t, called, "call")
	want := wire(string(random(100_000, 1)))
	frame := append(appendHead(nil, len(want), http2.FrameData, http2.FlagDataEndStream, 1), want...)
	for len(frame) > 0 {
		n := min(1000, len(frame))
		before := s.c.reads.Load()
		_, err := p.nc.Write(frame[:n])
		p.must(err)
		frame = frame[n:]
		for s.c.reads.Load() == before {
			<-time.After(100 * time.Microsecond)
		}
	}
	s.mu.Lock()
	pipes := 0
	for _, b := range s.in {
		if _, ok := b.(*Pipe); ok {
			pipes++
		}
	}
	s.mu.Unlock()
	if pipes > 1 {
		t.Errorf("%d pipes", pipes)
	}
	close(read)
	p.awaitText(1, string(want[prefixLen:]))
}
