package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mesh/runtime/api"
	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

const invokeX = "POST /v1.0/invoke/b/method/x HTTP/1.1\r\nHost: x\r\n"

func TestBothDirectionsAtOnce(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.WriteString(flushing{w}, "begin")
		_, _ = io.Copy(flushing{w}, r.Body)
	}), nil)
	for _, framing := range []string{"Transfer-Encoding: chunked", "Content-Length: 6"} {
		c := dial(t, s)
		c.send(invokeX+"%s\r\n\r\n", framing)
		// The reply begins before the request's body does.
		if h := c.head(); !strings.Contains(h, "Transfer-Encoding: chunked") {
			t.Errorf("the head is %q", h)
		}
		c.expect("5\r\nbegin\r\n")
		for _, piece := range []string{"one", "two"} {
			if framing[0] == 'T' {
				c.send("3\r\n%s\r\n", piece)
			} else {
				c.send("%s", piece)
			}
			c.expect("3\r\n" + piece + "\r\n")
		}
		if framing[0] == 'T' {
			c.send("0\r\n\r\n")
		}
		c.expect("0\r\n\r\n")
		// The connection goes on.
		c.send("GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 204 ") {
			t.Errorf("the next reply is %q", h)
		}
	}
}

func TestHeadIsNotHeldBack(t *testing.T) {
	release := make(chan struct{})
	for _, length := range []string{"", "5"} {
		s := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			w.WriteHeader(http.StatusAccepted)
			_ = http.NewResponseController(w).Flush()
			<-release
			_, _ = io.WriteString(w, "hello")
		}), nil)
		c := dial(t, s)
		c.send(invokeX + "Content-Length: 0\r\n\r\n")
		if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 202 ") || length != "" && !strings.Contains(h, "Content-Length: 5\r\n") {
			t.Errorf("the head is %q", h)
		}
		release <- struct{}{}
		if length == "" {
			c.expect("5\r\nhello\r\n0\r\n\r\n")
		} else {
			c.expect("hello")
		}
	}
}

func TestExpectContinue(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	}), nil)
	c := dial(t, s)
	c.send(invokeX + "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	c.expect("HTTP/1.1 100 Continue\r\n\r\n")
	c.send("hello")
	if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 200 ") {
		t.Errorf("the head is %q", h)
	}
	c.expect("hello")
	text := raw(t, s, strings.Replace(invokeX, "/x ", "/refuse ", 1)+"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if !strings.HasPrefix(text, "HTTP/1.1 403 ") {
		t.Errorf("a refused body gives %q", text)
	}
}

func TestSmuggling(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), nil)
	get := "GET /v1.0/invoke/b/method/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, request := range map[string]string{
		"two lengths":           invokeX + "Content-Length: 0\r\nContent-Length: 54\r\n\r\n" + get,
		"length list":           invokeX + "Content-Length: 0, 54\r\n\r\n" + get,
		"signed length":         invokeX + "Content-Length: +5\r\n\r\nhello" + get,
		"unknown coding":        invokeX + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + get,
		"coding twice":          invokeX + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + get,
		"folded header":         invokeX + " Content-Length: 5\r\n\r\nhello" + get,
		"space before colon":    invokeX + "Content-Length : 5\r\n\r\nhello" + get,
		"chunk size":            invokeX + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n" + get,
		"behind a broken chunk": invokeX + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + get,
		"bare LF in the chunk":  invokeX + "Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n" + get,
		"no host":               "GET /v1.0/invoke/b/method/x HTTP/1.1\r\n\r\n" + get,
	} {
		text := raw(t, s, request)
		if strings.Contains(text, "X-Uri: /hidden") {
			t.Errorf("%s: the hidden request was served: %q", name, text)
		}
		if n := strings.Count(text, "HTTP/1.1 "); n > 1 {
			t.Errorf("%s: %d replies: %q", name, n, text)
		}
	}
	// Both framings: the coding decides, and the app must see only that.
	text := raw(t, s, invokeX+"Connection: close\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	if strings.Contains(text, "X-Saw-Content-Length") || !strings.Contains(text, "5\r\nhello\r\n") {
		t.Errorf("both framings: %q", text)
	}
}

func TestHeaderRules(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), func(o *Options, _ *api.Options) { o.Token = "secret" })
	res := do(t, "POST", s.url("/x"), "hello",
		"dapr-app-id", "b", "dapr-api-token", "secret", "X-Two", "a", "X-Two", "b", "Connection", "X-Private", "X-Private", "1",
		"Te", "trailers", "Upgrade", "websocket", "Keep-Alive", "5", "Proxy-Authorization", "x", "Grpc-Timeout", "1S",
		"Destination-App-Id", "evil", "X-Data-Bin", "AA", "Authorization", "Bearer x", "Content-Type", "text/x; charset=y",
		"Mesh-Client", "a tool")
	for key, want := range map[string]string{
		"X-Two": "a|b", "Authorization": "Bearer x", "Content-Type": "text/x; charset=y", "Dapr-Grpc-Timeout": "1S",
		"Content-Length": "5", "User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip",
		"Dapr-App-Id": "", "Dapr-Api-Token": "", "X-Private": "", "Te": "", "Upgrade": "", "Keep-Alive": "", "Proxy-Authorization": "",
		"Mesh-Client": "", "Grpc-Timeout": "", "Destination-App-Id": "", "X-Data-Bin": "", "Connection": "",
	} {
		if got := strings.Join(res.Header["X-Saw-"+key], "|"); got != want {
			t.Errorf("the app sees %s: %q, want %q", key, got, want)
		}
	}
	if res.Header.Get("X-Host") == s.addr {
		t.Error("the sidecar's host name reached the app")
	}
}

func TestReplyPassesVerbatim(t *testing.T) {
	for _, tc := range []struct {
		name    string
		app     http.HandlerFunc
		method  string
		want    []string // in the head
		not     []string
		body    string
		trailer string
	}{
		{"length is kept", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-y")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "broken")
		}, "GET", []string{"HTTP/1.1 502 ", "Content-Length: 6\r\n", "Content-Type: application/x-y\r\n"}, []string{"chunked"}, "broken", ""},
		{"no type is guessed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "<html>")
		}, "GET", []string{"HTTP/1.1 200 "}, []string{"Content-Type"}, "<html>", ""},
		{"head keeps the length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1234")
		}, "HEAD", []string{"HTTP/1.1 200 ", "Content-Length: 1234\r\n"}, nil, "", ""},
		{"not modified", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", "x")
			w.WriteHeader(http.StatusNotModified)
		}, "GET", []string{"HTTP/1.1 304 ", "Etag: x\r\n"}, []string{"chunked"}, "", ""},
		{"no content", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}, "GET", []string{"HTTP/1.1 204 "}, []string{"chunked", "Content-Length"}, "", ""},
		{"redirect is not followed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusFound)
		}, "GET", []string{"HTTP/1.1 302 ", "Location: /elsewhere\r\n"}, nil, "", ""},
		{"trailers", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(flushing{w}, "sum me")
			w.Header().Set(http.TrailerPrefix+"X-Sum", "42")
		}, "GET", []string{"HTTP/1.1 200 ", "chunked"}, nil, "6\r\nsum me\r\n", "0\r\nX-Sum: 42\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := start(t, tc.app, nil)
			text := raw(t, s, tc.method+" /v1.0/invoke/b/method/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			head, body, _ := strings.Cut(text, "\r\n\r\n")
			head += "\r\n"
			for _, want := range tc.want {
				if !strings.Contains(head, want) {
					t.Errorf("the head is %q, want %q in it", head, want)
				}
			}
			for _, not := range tc.not {
				if strings.Contains(head, not) {
					t.Errorf("the head is %q, with %q in it", head, not)
				}
			}
			if body != tc.body+tc.trailer {
				t.Errorf("the body is %q, want %q", body, tc.body+tc.trailer)
			}
		})
	}
}

func TestRequestTrailers(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "sum "+r.Trailer.Get("X-Sum"))
	}), nil)
	text := raw(t, s, invokeX+"Connection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n")
	if !strings.HasSuffix(text, "sum 42") {
		t.Errorf("the reply is %q", text)
	}
}

func TestLargeBodies(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), nil)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // 8 MiB
	for name, body := range map[string]io.Reader{"known length": bytes.NewReader(data), "chunked": io.MultiReader(bytes.NewReader(data))} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url("/v1.0/invoke/b/method/x"), body)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if !bytes.Equal(got, data) || err != nil || (name == "known length") != (res.ContentLength == int64(len(data))) {
			t.Errorf("%s: %d bytes of length %d, %v", name, len(got), res.ContentLength, err)
		}
	}
}

func TestBrokenReplyIsBrokenForTheClient(t *testing.T) {
	for _, length := range []string{"", "100"} {
		s := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			_, _ = io.WriteString(flushing{w}, "half")
			panic(http.ErrAbortHandler)
		}), nil)
		rec := s.rec
		defer rec.Watch()()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("/v1.0/invoke/b/method/x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if string(b) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("length %q: the client reads %q, %v", length, b, err)
		}
		eventually(t, "the flow has ended", func() bool { return len(rec.Live(nil)) == 0 })
		if v := rec.Views(1); len(v) != 1 || !strings.Contains(v[0].Err, "in the middle of its reply") {
			t.Errorf("recorded: %+v", v)
		}
	}
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

func TestMarks(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), nil)
	defer s.rec.Watch()()
	c := dial(t, s)
	c.send(invokeX + "Transfer-Encoding: chunked\r\n\r\n")
	c.head()
	for _, piece := range []string{"one", "three"} {
		c.send("%x\r\n%s\r\n", len(piece), piece)
		c.expect(map[string]string{"one": "3\r\none\r\n", "three": "5\r\nthree\r\n"}[piece])
	}
	live := s.rec.Views(0)
	if len(live) != 1 || live[0].Caller != "me" || live[0].Callee != "b" || live[0].Verb != "POST" || live[0].Path != "/x" ||
		live[0].Kind != "http" || live[0].Status != 200 {
		t.Fatalf("recorded: %+v", live)
	}
	c.send("0\r\n\r\n")
	c.expect("0\r\n\r\n")
	eventually(t, "the flow has ended", func() bool { return len(s.rec.Live(nil)) == 0 })
	v := s.rec.Views(1)[0]
	for _, at := range []struct {
		dir flow.Dir
		hop flow.Hop
	}{{flow.Request, flow.CallerIn}, {flow.Request, flow.CalleeOut}, {flow.Reply, flow.CalleeIn}, {flow.Reply, flow.CallerOut}} {
		if l, _ := v.Lane(at.dir, at.hop); l.Chunks != 2 || l.Bytes != 8 {
			t.Errorf("%v %v: %+v", at.dir, at.hop, l)
		}
	}
	if v.Err != "" {
		t.Errorf("it ended with %q", v.Err)
	}
}

func TestHTTP2Client(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), nil)
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url("/v1.0/invoke/b/method/x"), pr)
	if err != nil {
		t.Fatal(err)
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	for _, line := range []string{"one\n", "two\n"} {
		_, _ = io.WriteString(pw, line)
		if got, err := r.ReadString('\n'); got != line || err != nil {
			t.Errorf("%q comes back as %q, %v", line, got, err)
		}
	}
	pw.Close()
	if b, err := io.ReadAll(r); len(b) > 0 || err != nil || res.ProtoMajor != 2 {
		t.Errorf("%s ends with %q, %v", res.Proto, b, err)
	}
}

func TestHTTP2EarlyReply(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "no")
	}), nil)
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	pr, pw := io.Pipe() // never written to
	defer pw.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url("/v1.0/invoke/b/method/x"), pr)
	if err != nil {
		t.Fatal(err)
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); string(b) != "no" || res.StatusCode != http.StatusForbidden || err != nil {
		t.Errorf("status %d %q, %v", res.StatusCode, b, err)
	}
}

func TestReplyWithoutAStatus(t *testing.T) {
	s := startAt(t, "", func(_ *Options, ao *api.Options) {
		ao.Invoke = stream.HandlerFunc(func(context.Context, *stream.Call) (*stream.Reply, error) {
			return &stream.Reply{Status: 101, Body: io.NopCloser(strings.NewReader("")), Header: http.Header{}}, nil
		})
	})
	if res := do(t, "GET", s.url("/v1.0/invoke/b/method/x"), ""); res.StatusCode != http.StatusInternalServerError || !strings.Contains(res.text, "101 is not the status") {
		t.Errorf("status %d %s", res.StatusCode, res.text)
	}
}
