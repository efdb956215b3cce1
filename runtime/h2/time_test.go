package h2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// inTime runs a test in which time passes only when nothing else happens.
func inTime(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// after wants that so much time has passed since a moment.
func after(t *testing.T, since time.Time, least, most time.Duration) {
	t.Helper()
	if d := time.Since(since); d < least || d > most {
		t.Errorf("it took %v, want %v to %v", d, least, most)
	}
}

// stays has a peer by hand read, and answer pings if it is to, until the end; it
// counts the pings.
func stays(p *peer, answers bool) <-chan int {
	p.must(p.nc.SetDeadline(time.Time{}))
	pings := make(chan int, 1)
	go func() {
		n := 0
		for {
			f, err := p.ReadFrame()
			if err != nil {
				pings <- n
				return
			}
			if f, ok := f.(*http2.PingFrame); ok && !f.IsAck() {
				if n++; answers {
					_ = p.WritePing(true, f.Data)
				}
			}
		}
	}()
	return pings
}

func TestSilentPeer(t *testing.T) {
	inTime(t, func(t *testing.T) {
		s, p := newFar(t, memory64).open()
		sendText(t, s, "hello", 0)
		begin := time.Now()
		pings := stays(p, false)
		wantEnd(t, s, status.Error(codes.Unavailable, "has not answered"))
		after(t, begin, pingEvery+pingTimeout, pingEvery+pingTimeout)
		if n := <-pings; n != 1 {
			t.Errorf("%d pings", n)
		}
	})
}

// A peer that answers is pinged seldom enough, and a call may be silent for ever.
func TestQuietCall(t *testing.T) {
	inTime(t, func(t *testing.T) {
		s, p := newFar(t, memory64).open()
		sendText(t, s, "hello", 0)
		pings := stays(p, true)
		<-time.After(time.Hour)
		synctest.Wait()
		p.reply(1)
		p.text(1, false, "at last")
		wantText(t, s, "at last")
		s.c.end(errTest)
		if n := <-pings; n > int(time.Hour/(8*time.Second)) || n < 100 {
			t.Errorf("%d pings in an hour", n)
		}
	})
}

func TestIdleConnection(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFar(t, memory64)
		s, p := f.open()
		pings := stays(p, true)
		<-time.After(time.Hour)
		s.Close(errTest)
		begin := time.Now()
		<-pings // it ends
		after(t, begin, idleTimeout, idleTimeout+pingEvery+pingTimeout)
		s, p = f.open()
		sendText(t, s, "hello", 0)
		p.awaitText(1, "hello")
	})
}

func TestPeerThatDoesNotGreet(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFar(t, memory64)
		begin := time.Now()
		got := make(chan error, 2)
		for range 2 { // wait for the same
			go func() {
				_, err := f.Open(t.Context())
				got <- err
			}()
		}
		p := f.accept()
		for range 2 {
			if err := <-got; err == nil || !strings.Contains(err.Error(), "did not greet") {
				t.Error(err)
			}
		}
		after(t, begin, dialTimeout, dialTimeout)
		p.awaitEnd()
	})
}

func TestDialTimeout(t *testing.T) {
	inTime(t, func(t *testing.T) {
		cl := newClient(t, func(ctx context.Context, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		begin := time.Now()
		if _, err := cl.Open(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		after(t, begin, dialTimeout, dialTimeout)
		ctx, stop := context.WithTimeout(t.Context(), time.Second) // one's own time is shorter
		defer stop()
		begin = time.Now()
		if _, err := cl.Open(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		after(t, begin, time.Second, time.Second)
	})
}

// A connection that does not say who it is holds nothing for long.
func TestSilentConnection(t *testing.T) {
	for _, begins := range []string{"", "PRI", http2.ClientPreface + "\x00"} {
		inTime(t, func(t *testing.T) {
			_, dial := serve(t, memory64, echo)
			nc, err := dial(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			begin := time.Now()
			_, _ = io.WriteString(nc, begins)
			if b, err := io.ReadAll(nc); len(b) > 0 {
				t.Errorf("%q, %v", b, err)
			}
			after(t, begin, sniffTimeout, sniffTimeout)
		})
	}
}

// A client that does not hear of the shutdown is waited for as long as it is to be.
func TestShutdownWithDeafClient(t *testing.T) {
	inTime(t, func(t *testing.T) {
		ends := make(chan error, 1)
		s, dial := serve(t, memory64, waits(ends))
		p := near(t, dial)
		p.call(1)
		p.awaitText(1, "hello")
		begin := time.Now()
		s.Shutdown(7 * time.Second)
		after(t, begin, 7*time.Second, 7*time.Second)
		_ = soon(t, ends, "end")
		if g := p.awaitEnd(); g == nil || g.ErrCode != http2.ErrCodeNo || g.LastStreamID != maxStreamID {
			t.Errorf("%v", g)
		}
	})
}

// A client that hears of it is told which of its calls are taken.
func TestShutdownByHand(t *testing.T) {
	inTime(t, func(t *testing.T) {
		s, dial := serve(t, memory64, echo)
		p := near(t, dial)
		p.call(1)
		down := make(chan struct{})
		go func() { s.Shutdown(time.Hour); close(down) }()
		if g := await[*http2.GoAwayFrame](p, "GOAWAY"); g.LastStreamID != maxStreamID {
			t.Errorf("%v", g)
		}
		ping := await[*http2.PingFrame](p, "ping")
		p.call(3) // it was on its way
		p.must(p.WritePing(true, ping.Data))
		if g := await[*http2.GoAwayFrame](p, "GOAWAY"); g.LastStreamID != 3 || g.ErrCode != http2.ErrCodeNo {
			t.Errorf("%v", g)
		}
		p.call(5)
		p.awaitReset(5, http2.ErrCodeRefusedStream)
		for _, id := range []uint32{1, 3} {
			p.text(id, true, "still served")
			p.awaitText(id, "still served")
			p.awaitTrailers(id, "0", "")
		}
		select {
		case <-down:
			t.Error("it did not wait for the client to go")
		default:
		}
		_ = p.nc.Close()
		<-down
	})
}

// A call's time is the same at both ends.
func TestDeadlineTravels(t *testing.T) {
	for _, limit := range []time.Duration{time.Millisecond, 99 * time.Second, 101*time.Second + time.Microsecond, 1000 * time.Hour} {
		inTime(t, func(t *testing.T) {
			got := make(chan time.Duration, 1)
			cl := pair(t, memory64, func(s *Stream) error {
				end, _ := s.Context().Deadline()
				got <- time.Until(end)
				<-s.Context().Done()
				return s.Context().Err()
			})
			ctx, stop := context.WithTimeout(t.Context(), limit)
			defer stop()
			s, err := cl.Open(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close(errTest)
			sendText(t, s, "hello", Last)
			if d := <-got; d < limit || d > limit+time.Second {
				t.Errorf("of %v the far end knows %v", limit, d)
			}
			if limit > time.Hour {
				return
			}
			begin := time.Now()
			_, err = s.Recv()
			if !errors.Is(err, context.DeadlineExceeded) && status.Code(err) != codes.DeadlineExceeded {
				t.Error(err)
			}
			after(t, begin, limit, limit)
		})
	}
}

func TestTimeouts(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1n": 1, "99999999n": 99999999, "20u": 20 * time.Microsecond, "20m": 20 * time.Millisecond, "3S": 3 * time.Second, "4M": 4 * time.Minute,
		"5H": 5 * time.Hour, "0S": 0, "1000000H": 1000000 * time.Hour, "99999999H": (1 << 62) - (1<<62)%time.Hour,
	} {
		if d, err := parseTimeout(text); err != nil || d != want {
			t.Errorf("%s is %v, %v, want %v", text, d, err, want)
		}
	}
	for _, text := range []string{"", "1", "S", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S", "x1S"} {
		if d, err := parseTimeout(text); err == nil {
			t.Errorf("%q is %v", text, d)
		}
	}
	inTime(t, func(t *testing.T) {
		if s := timeoutOf(t.Context()); s != "" {
			t.Error(s)
		}
		for _, limit := range []time.Duration{-1, 1, time.Microsecond, time.Second, 99999999 * time.Microsecond, 100 * time.Second, 1 << 62} {
			ctx, stop := context.WithTimeout(t.Context(), limit)
			text := timeoutOf(ctx)
			d, err := parseTimeout(text)
			if err != nil || d < min(limit, 99999999*time.Second) || d > max(limit, 0)+time.Second {
				t.Errorf("%v is %s, %v, %v", limit, text, d, err)
			}
			stop()
		}
	})
}

func TestNotProcessedErrorIsUnavailable(t *testing.T) {
	err := fmt.Errorf("calling: %w", &NotProcessedError{"it is leaving"})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "it is leaving") {
		t.Error(err)
	}
}
