package http1

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRequestsAreReadAsTheyAreMeant(t *testing.T) {
	s := serve(t, echo)
	for name, tc := range map[string]struct{ request, want string }{
		"get":             {"GET /a?b=%20c&d HTTP/1.1\r\nHost: h\r\n\r\n", `GET /a?b=%20c&d host=h "" `},
		"escaped":         {"GET /a%2Fb%20c HTTP/1.1\r\nHost: h\r\n\r\n", `GET /a%2Fb%20c host=h "" `},
		"empty query":     {"GET /a? HTTP/1.1\r\nHost: h\r\n\r\n", `GET /a? host=h "" `},
		"absolute form":   {"GET http://other/a HTTP/1.1\r\nHost: h\r\n\r\n", `GET http://other/a host=other "" `},
		"asterisk":        {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", `OPTIONS * host=h "" `},
		"length":          {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", `POST / host=h "hello" `},
		"length twice":    {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", `POST / host=h "hello" `},
		"chunked":         {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhe\r\n03 ;x=y\r\nllo\r\n0\r\n\r\n", `POST / host=h "hello" `},
		"trailers":        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nContent-Length: 7\r\n\r\n", `POST / host=h "hi" X-Sum=1`},
		"unusual verb":    {"BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n", `BREW /pot host=h "" `},
		"empty host":      {"GET / HTTP/1.1\r\nHost:\r\n\r\n", `GET / host= "" `},
		"zero length":     {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", `POST / host=h "" `},
		"long header":     {"GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 100_000) + "\r\n\r\n", `GET / host=h "" `},
		"HTTP/1.0 stays":  {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", `GET / host= "" `},
		"many in a chunk": {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 3000) + "0\r\n\r\n", `POST / host=h "` + strings.Repeat("x", 3000) + `" `},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial(t)
			for range 2 { // the second time the connection has been used
				c.send("%s", tc.request)
				if res, got := c.reply("GET"); got != tc.want || res.StatusCode != http.StatusOK {
					t.Errorf("status %d %q, want %q", res.StatusCode, got, tc.want)
				}
			}
		})
	}
}

// TestLengthBesideChunksIsForgotten: nobody further on is to believe it, and what
// follows on the connection is not trusted.
func TestLengthBesideChunksIsForgotten(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%q %v %d %v", b, err, r.ContentLength, r.Header)
	})
	const chunks = "\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
	for _, heads := range []string{"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "Content-Length: 0\r\ntransfer-encoding: CHUNKED\r\ncontent-length: 0\r\n"} {
		c := s.dial(t)
		c.send("%s", "POST / HTTP/1.1\r\nHost: h\r\nX: y\r\n"+heads+chunks)
		if res, got := c.reply("POST"); got != `"hello" <nil> -1 map[X:[y]]` || !res.Close {
			t.Errorf("%q: the handler sees %s, the connection ends: %v", heads, got, res.Close)
		}
	}
}

func TestWhatIsNoRequestIsRefused(t *testing.T) {
	s := start(t, Options{Handler: http.HandlerFunc(echo), MaxHeader: func() int { return 1000 }})
	const post = "POST / HTTP/1.1\r\nHost: h\r\n"
	for name, tc := range map[string]struct {
		request string
		status  int
		why     string
	}{
		"two lengths":       {post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, "two different content lengths"},
		"length list":       {post + "Content-Length: 1, 1\r\n\r\na", 400, "is not a number"},
		"signed length":     {post + "Content-Length: +1\r\n\r\na", 400, "is not a number"},
		"empty length":      {post + "Content-Length:\r\n\r\n", 400, "is not a number"},
		"huge length":       {post + "Content-Length: 9223372036854775808\r\n\r\n", 400, "is not a number"},
		"coding":            {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "not supported"},
		"empty coding":      {post + "Transfer-Encoding:\r\n\r\n0\r\n\r\n", 501, "not supported"},
		"coding, HTTP/1.0":  {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "cannot be chunked"},
		"folded":            {post + "X: a\r\n b\r\n\r\n", 400, "obsolete"},
		"LF in the head":    {post + "X: a\nY: b\r\n\r\n", 400, "control character"},
		"only LF":           {"GET / HTTP/1.1\nHost: h\n\n", 400, "does not end with CR LF"},
		"LF at the end":     {post + "X: a\r\n\n", 400, "does not end with CR LF"},
		"CR in a value":     {post + "X: a\rY: b\r\n\r\n", 400, "control character"},
		"NUL in a value":    {post + "X: a\x00b\r\n\r\n", 400, "control character"},
		"space before :":    {post + "Content-Length : 1\r\n\r\na", 400, "is not a header"},
		"no colon":          {post + "nonsense\r\n\r\n", 400, "is not a header"},
		"no name":           {post + ": x\r\n\r\n", 400, "is not a header"},
		"no host":           {"GET / HTTP/1.1\r\n\r\n", 400, "one Host header"},
		"two hosts":         {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "one Host header"},
		"bad host":          {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "is not a host"},
		"no target":         {"GET  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "is not a request target"},
		"space in a target": {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "is not a request line"},
		"bad escape":        {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "is not a request target"},
		"HTTP/2.0":          {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version"},
		"no version":        {"GET /\r\nHost: a\r\n\r\n", 400, "is not a request line"},
		"expectation":       {post + "Expect: tea\r\n\r\n", 417, "100-continue"},
		"large head":        {post + "X: " + strings.Repeat("x", 1000) + "\r\n\r\n", 431, "larger than 1000 bytes (the limit)"},
		"endless head":      {post + "X: " + strings.Repeat("x", 100_000), 431, "larger than 1000 bytes (the limit)"},
		"TLS":               {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "is not a request line"},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial(t)
			c.send("%s", tc.request)
			res, body := c.reply("GET")
			if res.StatusCode != tc.status || !strings.Contains(body, tc.why) || !res.Close {
				t.Errorf("%d %q, close %v; want %d with %q", res.StatusCode, body, res.Close, tc.status, tc.why)
			}
			if more := c.rest(); more != "" {
				t.Errorf("then comes %q", more)
			}
		})
	}
}

func TestBrokenBodiesAreNoBodies(t *testing.T) {
	s := serve(t, echo)
	const head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	const hidden = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, tc := range map[string]struct{ body, why string }{
		"size":           {"0x1\r\na\r\n0\r\n\r\n", "not a hexadecimal number"},
		"no size":        {"\r\n0\r\n\r\n", "not a hexadecimal number"},
		"signed size":    {"+1\r\na\r\n0\r\n\r\n", "not a hexadecimal number"},
		"huge size":      {"8000000000000000\r\na\r\n0\r\n\r\n", "not a hexadecimal number"},
		"LF":             {"1\na\n0\n\n", "does not end with CR LF"},
		"longer":         {"1\r\nabc\r\n0\r\n\r\n", "longer than announced"},
		"extension":      {"1;a\rb\r\nc\r\n0\r\n\r\n", "control character"},
		"long extension": {"1;" + strings.Repeat("x", 10_000) + "\r\na\r\n0\r\n\r\n", "longer than 4096 bytes"},
		"bad trailer":    {"0\r\nnonsense\r\n\r\n", "is not a header"},
		"folded trailer": {"0\r\nX: a\r\n b\r\n\r\n", "obsolete"},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial(t)
			c.send("%s", head+tc.body+hidden)
			res, body := c.reply("POST")
			if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, tc.why) {
				t.Errorf("%d %q, want %q", res.StatusCode, body, tc.why)
			}
			if more := c.rest(); more != "" {
				t.Errorf("then comes %q", more)
			}
		})
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	s := serve(t, echo)
	c := s.dial(t)
	c.send("POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none" +
		"POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n" +
		"GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" +
		"GET /4 HTTP/1.1\r\nHost: h\r\n\r\n")
	for _, want := range []string{`POST /1 host=h "one" `, `POST /2 host=h "two" `, `GET /3 host=h "" `} {
		if _, got := c.reply("GET"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if more := c.rest(); more != "" {
		t.Errorf("after the last reply comes %q", more)
	}
}

func TestRepliesAreFramed(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunks":
			for _, piece := range []string{"one", "two"} {
				_, _ = io.WriteString(w, piece)
				_ = http.NewResponseController(w).Flush()
			}
			w.Header().Set(http.TrailerPrefix+"X-Sum", "6")
		case "/long":
			_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/short":
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
		case "/hints":
			w.Header().Set("Link", "</a.css>")
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "page")
		default:
			_, _ = io.WriteString(w, "hello")
		}
	})
	for name, tc := range map[string]struct{ request, want, not string }{
		"whole":         {"GET / HTTP/1.1\r\nHost: h\r\n", "Content-Length: 5\r\nConnection: close\r\n\r\nhello", "chunked"},
		"type":          {"GET / HTTP/1.1\r\nHost: h\r\n", "Content-Type: text/plain; charset=utf-8\r\n", "chunked"},
		"date":          {"GET / HTTP/1.1\r\nHost: h\r\n", "Date: ", "chunked"},
		"head":          {"HEAD / HTTP/1.1\r\nHost: h\r\n", "Content-Length: 5\r\nConnection: close\r\n\r\n", "hello"},
		"chunks":        {"GET /chunks HTTP/1.1\r\nHost: h\r\n", "\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\nX-Sum: 6\r\n\r\n", "Content-Length"},
		"long":          {"GET /long HTTP/1.1\r\nHost: h\r\n", "\r\n2710\r\n" + strings.Repeat("x", 10_000) + "\r\n0\r\n\r\n", "Content-Length"},
		"no content":    {"GET /none HTTP/1.1\r\nHost: h\r\n", "HTTP/1.1 204 No Content\r\n", "Content-Length"},
		"old":           {"GET / HTTP/1.0\r\n", "Content-Length: 5\r\nConnection: close\r\n\r\nhello", "chunked"},
		"chunks, old":   {"GET /chunks HTTP/1.0\r\n", "Connection: close\r\n\r\nonetwo", "chunked"},
		"head, chunked": {"HEAD /chunks HTTP/1.1\r\nHost: h\r\n", "Connection: close\r\n\r\n", "one"},
		"broken off":    {"GET /short HTTP/1.1\r\nHost: h\r\n", "Content-Length: 10\r\nConnection: close\r\n\r\nhalf", "chunked"},
		"early hints":   {"GET /hints HTTP/1.1\r\nHost: h\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n", "chunked"},
		"no hints, old": {"GET /hints HTTP/1.0\r\n", "HTTP/1.1 200 OK\r\n", "103"},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial(t)
			c.send("%s", tc.request+"Connection: close\r\n\r\n")
			if got := c.rest(); !strings.Contains(got, tc.want) || strings.Contains(got, tc.not) {
				t.Errorf("%q; want %q in it and not %q", got, tc.want, tc.not)
			}
		})
	}
}

func TestRequestsBeforeTheEndAreServed(t *testing.T) {
	s := serve(t, echo)
	c := s.dial(t)
	c.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
	if err := c.tcp().CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := c.rest(); strings.Count(got, "HTTP/1.1 200 OK") != 2 {
		t.Errorf("a client that says no more gets %q", got)
	}
}

func TestContinue(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			echo(w, r)
			return
		}
		w.WriteHeader(http.StatusForbidden)
	})
	c := s.dial(t)
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n")
	if line, err := c.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = c.r.ReadString('\n')
	c.send("hi")
	if _, got := c.reply("POST"); got != `POST / host=h "hi" ` {
		t.Errorf("got %q", got)
	}
	c.send("POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	if res, _ := c.reply("POST"); res.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", res.StatusCode)
	}
	// Whether the body follows all the same is for the client to decide: it does.
	c.send("hiGET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, got := c.reply("GET"); got != `GET / host=h "" ` {
		t.Errorf("got %q", got)
	}
}

func TestStop(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) {
		close(began)
		<-release
	})
	quiet, working := s.dial(t), s.dial(t)
	working.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-began
	s.stop()
	if got := quiet.rest(); got != "" { // closed while the other is served
		t.Errorf("the idle connection gets %q", got)
	}
	close(release)
	if res, _ := working.reply("GET"); res.StatusCode != http.StatusOK || !res.Close {
		t.Errorf("status %d, close %v", res.StatusCode, res.Close)
	}
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

func TestStopCancelsAfterTheGrace(t *testing.T) {
	began := make(chan struct{})
	s := start(t, Options{Grace: time.Millisecond, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	})})
	c := s.dial(t)
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-began
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

func TestPanicEndsTheConnection(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		panic("oops")
	})
	for _, path := range []string{"/abort", "/"} {
		c := s.dial(t)
		c.send("GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path)
		if got := c.rest(); got != "" {
			t.Errorf("%s gives %q", path, got)
		}
	}
}
