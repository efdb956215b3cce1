package http1

import (
	"bufio"
	"bytes"
	"maps"
	"net/http"
	"reflect"
	"testing"

	"mesh/runtime/field"
)

// FuzzRequestHead holds the reading of heads to net/http's: what is accepted
// here is accepted there, and means the same.
func FuzzRequestHead(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /a%20b?c=d HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
		"POST //a/../b HTTP/1.1\r\nHost: h:80\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
		"GET http://u:p@h/x HTTP/1.0\r\nX: \t a \r\nx: b\r\nConnection: keep-alive, close\r\n\r\n",
		"CONNECT h:1 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost:\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n",
		"GET / HTTP/1.0\r\nX:\nY\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\nContent-Length: 0x5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nX: a\r\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := field.HeadEnd(b, 0)
		if n == 0 {
			return
		}
		r := &Response{c: &conn{}}
		r.body.c = r.c
		if r.parse(b[:n], new(http.Request)) != nil {
			return
		}
		got := &r.req
		if _, ok := got.Header["Trailer"]; ok {
			return // announced names are checked when the trailers come
		}
		want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[:n])))
		if err != nil {
			t.Fatalf("%q is accepted, but %v", b[:n], err)
		}
		if got.Method != want.Method || got.RequestURI != want.RequestURI || got.Host != want.Host || got.Proto != want.Proto ||
			got.ContentLength != want.ContentLength || !reflect.DeepEqual(got.URL, want.URL) || (got.Body == http.NoBody) != (want.Body == http.NoBody) {
			t.Errorf("%q is read as\n%+v\nwant\n%+v", b[:n], got, want)
		}
		// net/http adds a header for caches, and keeps those of a connection's end.
		if got.Header["Cache-Control"] == nil {
			delete(want.Header, "Cache-Control")
		}
		if !maps.EqualFunc(got.Header, want.Header, func(a, b []string) bool { return reflect.DeepEqual(a, b) }) {
			t.Errorf("%q has the headers\n%q\nwant\n%q", b[:n], got.Header, want.Header)
		}
	})
}
