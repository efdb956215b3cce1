package httpapi

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"mesh/runtime/flow"
)

// flood is an app that sends pieces until it has sent enough or nobody reads.
func flood(announced string, pieces int, gone chan<- time.Time) http.Handler {
	piece := make([]byte, 1<<20)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", announced)
		for range pieces {
			if _, err := w.Write(piece); err != nil {
				gone <- time.Now()
				return
			}
		}
		panic(http.ErrAbortHandler)
	})
}

func TestLargeReplyThatBreaksOff(t *testing.T) {
	s := start(t, flood("104857600", 20, nil), nil)
	defer s.rec.Watch()()
	text, err := readToEnd(t, s)
	if err == nil || len(text) > 20<<20 {
		t.Errorf("the client reads %d bytes and %v", len(text), err)
	}
	eventually(t, "the flow has ended", func() bool { return len(s.rec.Live(nil)) == 0 })
	v := s.rec.Views(1)[0]
	in, _ := v.Lane(flow.Reply, flow.CalleeIn)
	out, _ := v.Lane(flow.Reply, flow.CallerOut)
	if in.Bytes != 20<<20 || out.Bytes != in.Bytes || !strings.Contains(v.Err, "in the middle of its reply") {
		t.Errorf("in %d, out %d bytes, ended with %q", in.Bytes, out.Bytes, v.Err)
	}
}

func TestLargeReplyThatTheClientLeaves(t *testing.T) {
	gone := make(chan time.Time, 1)
	s := start(t, flood("1099511627776", 1<<20, gone), nil)
	c := dial(t, s)
	c.send("GET /v1.0/invoke/b/method/x HTTP/1.1\r\nHost: x\r\n\r\n")
	c.head()
	if _, err := io.CopyN(io.Discard, c.r, 50<<20); err != nil {
		t.Fatal(err)
	}
	left := time.Now()
	c.Close()
	select {
	case at := <-gone:
		if d := at.Sub(left); d > 100*time.Millisecond {
			t.Errorf("the app sees it after %v", d)
		}
	case <-time.After(wait):
		t.Error("the app does not see it")
	}
}

func TestAbortedCallsLeaveNothing(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		for range 3 {
			_, _ = io.WriteString(flushing{w}, "tick")
			_, _ = io.CopyN(io.Discard, r.Body, 1)
		}
	}), nil)
	defer s.rec.Watch()()
	request := invokeX + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(c, request[:rand.IntN(len(request)+1)])
				if rand.IntN(2) == 0 {
					_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
					_, _ = io.CopyN(io.Discard, c, rand.Int64N(200))
				}
				if tcp, ok := c.(*net.TCPConn); ok && rand.IntN(2) == 0 {
					_ = tcp.SetLinger(0)
				}
				c.Close()
			}
		})
	}
	wg.Wait()
	eventually(t, "all calls have ended", func() bool {
		return s.app.Stats().Calls == 0 && len(s.rec.Live(nil)) == 0
	})
}
