package appchan

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mesh/runtime/stream"
)

// TestReplyThatEndsWithASplicedPiece has exactly one piece left when splicing
// begins. Its end must be seen although the app keeps the connection open.
func TestReplyThatEndsWithASplicedPiece(t *testing.T) {
	const early = spliceFlow + smallBuffer
	passed := make(chan struct{}) // the first part has left the mesh
	leave := make(chan struct{})
	app := script(t, func(p *peer) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", early+splicePiece)
		_, _ = p.Write(bytes.Repeat([]byte("a"), early))
		<-passed
		_, _ = p.Write(bytes.Repeat([]byte("b"), splicePiece))
		<-leave
	})
	defer close(leave)
	a := ready(t, Options{Addr: app})
	r, err := a.Handle(t.Context(), &stream.Call{AppID: "app", Verb: "GET", Path: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()

	from, to := tcpPair(t)
	var got atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() { // reads what the client would
		buf := make([]byte, 64<<10)
		for {
			n, err := to.Read(buf)
			if was := got.Add(int64(n)) - int64(n); was < early && was+int64(n) >= early {
				close(passed)
			}
			if err != nil {
				return
			}
		}
	})
	done := make(chan error, 1)
	go func() { // joined below
		_, err := r.Body.(io.WriterTo).WriteTo(from) //nolint:errcheck // a panic is a failure
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("the reply ends with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the end of the reply was not seen")
		_ = r.Body.Close()
		if err := <-done; err == nil {
			t.Error("closing it did not end it")
		}
	}
	_ = from.Close()
	wg.Wait()
	if n := got.Load(); n != early+splicePiece {
		t.Errorf("%d bytes came, want %d", n, early+splicePiece)
	}
}

func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln := listen(t, "127.0.0.1:0")
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	return near, far
}

// TestAPostIsNotDeliveredTwice has an app that reads the head of a request on a
// connection it knows already and then dies with the rest unread, which the
// other side sees as a reset.
func TestAPostIsNotDeliveredTwice(t *testing.T) {
	var posts atomic.Int32
	app := script(t, func(p *peer) {
		p.head()
		p.send("HTTP/1.1 204 No Content\r\n\r\n")
		if _, err := p.Peek(1); err != nil {
			return
		}
		posts.Add(1) // it has come, and stays unread
		if tcp, ok := p.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // closes with a reset
		}
	})
	a := ready(t, Options{Addr: app})
	if r, err := a.Handle(t.Context(), &stream.Call{AppID: "app", Verb: "GET", Path: "first"}); err != nil {
		t.Fatal(err)
	} else if err := r.Body.Close(); err != nil {
		t.Fatal(err)
	}
	body := strings.NewReader(strings.Repeat("x", 1000))
	r, err := a.Handle(t.Context(), &stream.Call{AppID: "app", Verb: "POST", Path: "pay", Body: body, Length: 1000})
	if err == nil {
		_ = r.Body.Close()
		t.Errorf("a POST that broke is answered with %d", r.Status)
	}
	if u := (*stream.UnreachableError)(nil); errors.As(err, &u) {
		t.Errorf("a POST that the app has seen counts as not sent: %v", err)
	}
	if n := posts.Load(); n != 1 {
		t.Errorf("the app has seen the POST %d times", n)
	}
}
