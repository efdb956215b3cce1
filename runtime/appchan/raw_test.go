package appchan

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mesh/runtime/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a connection as the app sees it, byte for byte.
type peer struct {
	net.Conn
	*bufio.Reader
	t *testing.T
}

func (p *peer) Read(b []byte) (int, error) { return p.Reader.Read(b) }

// head reads a request's head and gives it.
func (p *peer) head() string {
	var s strings.Builder
	for {
		line, err := p.ReadString('\n')
		s.WriteString(line)
		if err != nil || line == "\r\n" {
			return s.String()
		}
	}
}

func (p *peer) send(format string, args ...any) {
	fmt.Fprintf(p.Conn, format, args...)
}

// script runs serve for each connection to a new server and gives its address.
// The connection is closed when serve returns.
func script(t *testing.T, serve func(*peer)) string {
	t.Helper()
	ln := listen(t, "127.0.0.1:0")
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
					t.Error(err)
				}
				serve(&peer{Conn: c, Reader: bufio.NewReader(c), t: t})
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(wait); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestReplyShapes(t *testing.T) {
	for _, tc := range []struct {
		name, verb, reply string
		status            int
		body              string
		length            int64
		says              string // in the error instead
	}{
		{"fixed", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 5, ""},
		{"no reason", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", 0, ""},
		{"bare line feeds", "GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", 200, "hi", 2, ""},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n02;x=y\r\nlo\r\n0\r\n\r\n", 200, "hello", -1, ""},
		{"CR in a chunk extension", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;\r\r\nhi\r\n0\r\n\r\n", 200, "", -1, "control character"},
		{"until close", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", -1, ""},
		{"http/1.0", "GET", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello", -1, ""},
		{"early hints", "GET", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", 1, ""},
		{"no content", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", 0, ""},
		{"not modified", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, "", 7, ""},
		{"head", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 200, "", 7, ""},
		{"head chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", -1, ""},
		{"repeated length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 200, "x", 1, ""},
		{"both framings", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 200, "x", -1, ""},

		{"two lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 0, "", 0, "two different content lengths"},
		{"list of lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx", 0, "", 0, "content length"},
		{"signed length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", 0, "", 0, "content length"},
		{"negative length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx", 0, "", 0, "content length"},
		{"folded header", "GET", "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\n\r\n", 0, "", 0, "second line"},
		{"space before colon", "GET", "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx", 0, "", 0, "is not a header"},
		{"carriage return", "GET", "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", 0, "", 0, "control character"},
		{"gzip coding", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 0, "", 0, "transfer encoding"},
		{"not http", "GET", "SSH-2.0-OpenSSH\r\n\r\n", 0, "", 0, "status line"},
		{"switching", "GET", "HTTP/1.1 101 Switching Protocols\r\n\r\n", 0, "", 0, "switched protocols"},
		{"nothing", "POST", "", 0, "", 0, "without a reply"},
		{"half a head", "GET", "HTTP/1.1 200 OK\r\nX-A:", 0, "", 0, "unexpected EOF"},
		{"large head", "GET", "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", maxHead+2), 0, "", 0, "larger than 1048576 bytes"},

		{"short body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", 200, "", 6, "in the middle of its reply"},
		{"short chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello", 200, "", -1, "in the middle of its reply"},
		{"no last chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 200, "", -1, "in the middle of its reply"},
		{"long chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhello\r\n0\r\n\r\n", 200, "", -1, "longer than announced"},
		{"chunk size", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 200, "", -1, "chunk size"},
		{"signed chunk size", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", 200, "", -1, "chunk size"},
		{"empty chunk size", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n;\r\nhello\r\n0\r\n\r\n", 200, "", -1, "chunk size"},
		{"bare line feed in a chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 200, "", -1, "CR LF"},
		{"endless chunk line", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("0", 3*maxChunkLine), 200, "", -1, "longer than 4096 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			addr := script(t, func(p *peer) {
				p.head()
				p.send("%s", tc.reply)
			})
			a := ready(t, Options{Addr: addr})
			for _, way := range []string{"read", "write to", "byte by byte"} {
				r, err := a.Handle(t.Context(), &stream.Call{Verb: tc.verb})
				if tc.status == 0 {
					if err == nil || !strings.Contains(err.Error(), tc.says) {
						t.Fatalf("the error is %v, want %q in it", err, tc.says)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				body, err := readAll(r.Body, way)
				r.Body.Close()
				if r.Status != tc.status || r.Length != tc.length {
					t.Errorf("status %d length %d, want %d and %d", r.Status, r.Length, tc.status, tc.length)
				}
				if tc.says == "" && (err != nil || body != tc.body) {
					t.Errorf("%s: body %q, %v; want %q", way, body, err, tc.body)
				}
				if tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
					t.Errorf("%s: the body ends with %v, want %q in it", way, err, tc.says)
				}
				if _, ok := r.Header["Transfer-Encoding"]; ok {
					t.Error("a header of the connection was passed on")
				}
			}
		})
	}
}

func readAll(r io.Reader, way string) (string, error) {
	var b strings.Builder
	var err error
	switch way {
	case "write to":
		_, err = r.(io.WriterTo).WriteTo(&b) //nolint:errcheck // a panic is a failure
	case "byte by byte":
		_, err = io.CopyBuffer(struct{ io.Writer }{&b}, struct{ io.Reader }{r}, make([]byte, 1))
	default:
		_, err = io.Copy(&b, struct{ io.Reader }{r})
	}
	return b.String(), err
}

func TestReplyHeadersOfTheConnectionAreDropped(t *testing.T) {
	addr := script(t, func(p *peer) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nConnection: x-private, close\r\nX-Private: 1\r\nKeep-Alive: 1\r\nUpgrade: h2c\r\ncontent-length: 0\r\nX-Kept: 1\r\n\r\n")
	})
	r, _ := call(t, ready(t, Options{Addr: addr}), &stream.Call{Verb: "GET"})
	if len(r.Header) != 2 || r.Header.Get("X-Kept") != "1" || r.Header.Get("Content-Length") != "0" {
		t.Errorf("headers are %v", r.Header)
	}
}

func TestRequestCannotBeSmuggled(t *testing.T) {
	addr := script(t, func(p *peer) { t.Errorf("the app was called: %q", p.head()) })
	a := ready(t, Options{Addr: addr})
	for name, c := range map[string]*stream.Call{
		"verb":         {Verb: "GET / HTTP/1.1\r\nX:"},
		"empty verb":   {Verb: ""},
		"query":        {Verb: "GET", Query: "a HTTP/1.1\r\nX: y"},
		"header value": {Verb: "GET", Header: http.Header{"X": {"a\r\nY: b"}}},
		"zero byte":    {Verb: "GET", Header: http.Header{"X": {"a\x00"}}},
		"header name":  {Verb: "GET", Header: http.Header{"X: y\r\nZ": {"1"}}},
	} {
		// The connection may be made, but nothing is sent on it.
		if _, err := a.Handle(t.Context(), c); err == nil {
			t.Errorf("%s: the call was sent", name)
		}
	}
	got := make(chan string, 1)
	addr = script(t, func(p *peer) {
		got <- p.head()
		p.send("HTTP/1.1 204 No Content\r\n\r\n")
	})
	call(t, ready(t, Options{Addr: addr}), &stream.Call{
		Verb: "GET", Path: "a\r\nb c?d#e%2F",
		Header: http.Header{"Content-Length": {"7"}, "Transfer-Encoding": {"chunked"}, "Connection": {"close"}, "Host": {"evil"}},
	})
	if want := "GET /a%0D%0Ab%20c%3Fd%23e%2F HTTP/1.1\r\nHost: " + addr + "\r\n\r\n"; <-got != want {
		t.Errorf("the request is not %q", want)
	}
}

func TestIdleConnectionThatTheAppClosed(t *testing.T) {
	closed := make(chan struct{}, 10)
	addr := script(t, func(p *peer) {
		p.head()
		_, _ = p.Discard(1)
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
		p.Close()
		closed <- struct{}{}
	})
	a := ready(t, Options{Addr: addr})
	for range 5 {
		call(t, a, &stream.Call{Verb: "POST", Body: strings.NewReader("1"), Length: 1})
		<-closed
	}
}

func TestConnectionThatBreaksUnderTheNextCall(t *testing.T) {
	// The app reads the second request of a connection and closes it: that is
	// repeated for GET, not for POST, of which it may have done half.
	calls := make(chan string, 10)
	addr := script(t, func(p *peer) {
		for i := range 2 {
			h := p.head()
			if h == "" {
				return
			}
			calls <- h[:strings.Index(h, " ")]
			if i == 0 {
				p.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
	a := ready(t, Options{Addr: addr})
	call(t, a, &stream.Call{Verb: "GET"})
	call(t, a, &stream.Call{Verb: "GET"})
	if len(calls) != 3 {
		t.Errorf("the app was called %d times, want 3", len(calls))
	}
	if _, err := a.Handle(t.Context(), &stream.Call{Verb: "POST"}); !errors.Is(err, errNoReply) {
		t.Errorf("POST gives %v", err)
	}
	if len(calls) != 4 {
		t.Errorf("the app was called %d times, want 4", len(calls))
	}
}

func TestUnreachableAppLeavesTheBodyAlone(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	addr := ln.Addr().String()
	ln.Close()
	for _, o := range []Options{{Addr: addr}, {Addr: addr, Protocol: "h2c"}, {Addr: addr, Protocol: "https"}, {}} {
		body := strings.NewReader("hello")
		_, err := ready(t, o).Handle(t.Context(), &stream.Call{Verb: "POST", Body: body, Length: 5})
		if _, ok := errors.AsType[*stream.UnreachableError](err); !ok || body.Len() != 5 {
			t.Errorf("%+v: %d bytes left, error %v", o, body.Len(), err)
		}
	}
}

// failing is a body that says it is there, and is not.
type failing struct{}

func (failing) Len() int                 { return 5 }
func (failing) Read([]byte) (int, error) { return 0, errUnwanted }

// A request whose body cannot be read is not sent without it.
func TestBodyThatCannotBeReadIsNotSent(t *testing.T) {
	calls := make(chan string, 3)
	addr := script(t, func(p *peer) {
		for {
			h := p.head()
			if h == "" {
				return
			}
			calls <- h
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	a := ready(t, Options{Addr: addr})
	call(t, a, &stream.Call{Verb: "GET"})
	if _, err := a.Handle(t.Context(), &stream.Call{Verb: "POST", Body: failing{}, Length: 5}); !errors.Is(err, errUnwanted) {
		t.Errorf("the error is %v", err)
	}
	if call(t, a, &stream.Call{Verb: "GET"}); len(calls) != 2 {
		t.Errorf("the app was called %d times, want 2", len(calls))
	}
}

// The app that has gone since its last call leaves the body of the next one alone,
// which another app can get then.
func TestAppThatHasGoneLeavesTheBodyAlone(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		ln.Close()
		c.Close()
	}()
	a := ready(t, Options{Addr: ln.Addr().String()})
	call(t, a, &stream.Call{Verb: "GET"})
	<-gone
	idle := a.pool.take(false)
	if err := idle.await(); err != nil { // until the end is known here, too
		t.Fatal(err)
	}
	a.pool.put(idle)
	body := strings.NewReader("hello")
	_, err := a.Handle(t.Context(), &stream.Call{Verb: "POST", Body: body, Length: 5})
	if _, ok := errors.AsType[*stream.UnreachableError](err); !ok || body.Len() != 5 {
		t.Errorf("%d bytes left, error %v", body.Len(), err)
	}
}
