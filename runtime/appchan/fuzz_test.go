package appchan

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mesh/runtime/stream"
)

// FuzzReply gives arbitrary bytes as an app's reply. What we take for a whole
// reply, net/http must take for the same reply: otherwise someone could make
// the two disagree about where it ends.
func FuzzReply(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\nx-a:  c \r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.0 404 Not Found\nConnection: keep-alive\n\nuntil the end",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;\r\r\nhi\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: close, X-B\r\nX-B: 1\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(s), "GET")
		f.Add([]byte(s), "HEAD")
	}
	f.Fuzz(func(t *testing.T, reply []byte, verb string) {
		if verb != http.MethodHead {
			verb = http.MethodGet
		}
		c := &conn{Conn: readOnly{Reader: bytes.NewReader(reply)}, raw: alwaysReadable{}, bufs: &buffers{size: 64}}
		x := &exchange{conn: c, call: &stream.Call{Verb: verb}}
		if err := x.readHead(); err != nil {
			return
		}
		body, err := io.ReadAll(struct{ io.Reader }{x})
		if err != nil {
			return
		}
		want, err := readReply(reply, verb)
		if err != nil {
			t.Fatalf("we take it for %d %q, net/http says %v", x.head.status, body, err)
		}
		defer want.Body.Close()
		theirs, err := io.ReadAll(want.Body)
		if err != nil || !bytes.Equal(body, theirs) || x.head.status != want.StatusCode {
			t.Fatalf("we read %d %q, net/http %d %q, %v", x.head.status, body, want.StatusCode, theirs, err)
		}
		if x.head.reuse && want.Close {
			t.Error("we reuse a connection that net/http closes")
		}
		stream.StripHopByHop(want.Header)
		delete(want.Header, "Content-Length")
		delete(x.head.header, "Content-Length")
		if bytes.Contains(bytes.ToLower(reply), []byte("connection")) {
			return // net/http drops the header that names others
		}
		if !maps.EqualFunc(x.head.header, want.Header, slices.Equal) {
			t.Errorf("our headers %q, net/http's %q", x.head.header, want.Header)
		}
	})
}

// readReply reads the first final reply with net/http.
func readReply(b []byte, verb string) (*http.Response, error) {
	r := bufio.NewReader(bytes.NewReader(b))
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: verb})
		if err != nil || res.StatusCode >= 200 {
			return res, err
		}
	}
}

// readOnly is a connection from which only a reader is used.
type readOnly struct {
	net.Conn
	io.Reader
}

func (r readOnly) Read(p []byte) (int, error) { return r.Reader.Read(p) }

// alwaysReadable is a raw connection that never has to be waited for.
type alwaysReadable struct{ syscall.RawConn }

func (alwaysReadable) Read(func(uintptr) bool) error { return nil }

func (readOnly) Close() error { return nil }

// FuzzRequest builds request heads of arbitrary parts. What is built must be
// one request, with those parts, and nothing after it.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "a b/ü%", "x=1&y=%20", "X-A", "1")
	f.Add("POST", "a\r\nb", "", "grpc-timeout", "é")
	f.Add("G T", "", "a b", "X\n", "a\r\nb")
	f.Add("PUT", "a%A0%2fb", "0", "X-A", "")
	f.Fuzz(func(t *testing.T, verb, path, query, key, value string) {
		a := &App{o: Options{Addr: "127.0.0.1:80"}}
		c := &stream.Call{Verb: verb, Path: path, Query: query, Header: http.Header{key: {value}}}
		b, err := a.appendHead(nil, c)
		if err != nil {
			return
		}
		r := bufio.NewReader(bytes.NewReader(b))
		req, err := http.ReadRequest(r)
		if err != nil {
			if strings.Contains(err.Error(), "malformed Host") || verb == http.MethodConnect {
				return
			}
			t.Fatalf("%q is no request: %v", b, err)
		}
		// An escape in the path is passed on as the escape it is.
		whole, err := url.PathUnescape("/" + path)
		if err != nil || req.Method != verb || req.URL.Path != whole || req.URL.RawQuery != query {
			t.Errorf("%q is a request for %s %q ? %q", b, req.Method, req.URL.Path, req.URL.RawQuery)
		}
		delete(req.Header, "Content-Length")
		if len(req.Header) > 1 || req.Host != "127.0.0.1:80" || req.ContentLength != 0 {
			t.Errorf("%q has headers %v, host %q, length %d", b, req.Header, req.Host, req.ContentLength)
		}
		if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("something follows the request %q", b)
		}
	})
}
