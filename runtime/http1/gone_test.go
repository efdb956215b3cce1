package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"mesh/runtime/socket"
)

func TestClientGoneEndsTheRequest(t *testing.T) {
	type way struct {
		request string
		leave   func(*net.TCPConn) error
	}
	ways := map[string]way{
		"closed":         {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", (*net.TCPConn).Close},
		"after the body": {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", (*net.TCPConn).Close},
		"reset": {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n", func(c *net.TCPConn) error {
			return errors.Join(c.SetLinger(0), c.Close())
		}},
	}
	if farEndIsKnown(t) {
		ways["with all of a body unread"] = way{"POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", (*net.TCPConn).Close}
		ways["with half of a body unread"] = way{"POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nhi", (*net.TCPConn).Close}
		ways["with a chunk unread"] = way{"POST /unread HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", (*net.TCPConn).Close}
	}
	for name, tc := range ways {
		t.Run(name, func(t *testing.T) {
			fastest := time.Hour // a machine that has other things to do may be late once
			for try := 0; try < 5 && fastest > 100*time.Millisecond; try++ {
				fastest = min(fastest, leaving(t, tc.request, tc.leave))
			}
			if fastest > 100*time.Millisecond {
				t.Errorf("it took %v at best", fastest)
			}
		})
	}
}

// farEndIsKnown says whether this kernel tells who has closed one half of a
// connection from who has closed both.
func farEndIsKnown(t *testing.T) bool {
	t.Helper()
	far := make(chan socket.FarEnd, 1)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		nc := w.(*Response).c //nolint:errcheck // that is what it is
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for !nc.hungUp.Load() {
			<-tick.C
		}
		far <- nc.nc.FarEnd()
	})
	c := s.dial(t)
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if err := c.tcp().CloseWrite(); err != nil {
		t.Fatal(err)
	}
	known := <-far != socket.FarUnknown
	t.Logf("the far end of a connection is known: %v", known)
	return known
}

// leaving gives how long it takes until a request has ended that its client leaves.
func leaving(t *testing.T, request string, leave func(*net.TCPConn) error) time.Duration {
	t.Helper()
	began, ended := make(chan struct{}), make(chan error, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		if r.URL.Path != "/unread" {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
	})
	c := s.dial(t)
	c.send("%s", request)
	<-began
	left := time.Now()
	if err := leave(c.tcp()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, errGone) {
		t.Errorf("it ends with %v", err)
	}
	return time.Since(left)
}

// TestHalfClosed: a client that sends no more still gets its reply, as long as it
// is there to read it.
func TestHalfClosed(t *testing.T) {
	if !farEndIsKnown(t) {
		return
	}
	for name, request := range map[string]string{
		"GET": "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
		"chunked": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			reply, ended := make(chan struct{}), make(chan error, 1)
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-reply:
				case <-r.Context().Done():
					ended <- context.Cause(r.Context())
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, "late")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					ended <- context.Cause(r.Context())
				case <-time.After(wait):
					ended <- nil
				}
			})
			c := s.dial(t)
			c.send("%s", request)
			if err := c.tcp().CloseWrite(); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				t.Fatalf("its call has ended: %v", err)
			case <-time.After(5 * lookAgain):
			}
			close(reply)
			if _, err := c.r.ReadString('\n'); err != nil {
				t.Errorf("it gets no reply: %v", err)
			}
			left := time.Now()
			_ = c.Close()
			if err := <-ended; !errors.Is(err, errGone) || time.Since(left) > wait/2 {
				t.Errorf("the call ends with %v after %v", err, time.Since(left))
			}
		})
	}
}
