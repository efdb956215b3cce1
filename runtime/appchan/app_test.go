package appchan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mesh/runtime/stream"
)

// wait is how long a test waits for what must happen.
const wait = 30 * time.Second

// ready gives an App for a server, with its gate open.
func ready(t *testing.T, o Options) *App {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	a.Open()
	t.Cleanup(func() {
		a.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), wait)
		defer cancel()
		if err := a.Drain(ctx); err != nil {
			t.Errorf("calls are left behind: %v", err)
		}
	})
	return a
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// call sends a call and reads its reply whole; of the headers it gives a copy.
func call(t *testing.T, a *App, c *stream.Call) (*stream.Reply, string) {
	t.Helper()
	r, err := a.Handle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = r.Header.Clone()
	r.Body.Close()
	return r, string(b)
}

func TestRequestAsTheAppSeesIt(t *testing.T) {
	var seen *http.Request
	var body string
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		seen, body = r, string(b)
		w.Header()["X-Reply"] = []string{"1", "2"}
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	})
	a := ready(t, Options{Addr: addr, Token: "secret"})
	for _, tc := range []struct {
		name   string
		body   io.Reader
		length int64
	}{
		{"ready", strings.NewReader("hello"), 5},
		{"known length", io.MultiReader(strings.NewReader("he"), strings.NewReader("llo")), 5},
		{"unknown length", io.MultiReader(strings.NewReader("he"), strings.NewReader("llo")), -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, got := call(t, a, &stream.Call{
				Verb: "PUT", Path: "a b/ü/c'd", Query: "x=%20&y", Body: tc.body, Length: tc.length,
				Header: http.Header{
					"X-Two": {"a", "b"}, "Destination-App-Id": {"me"}, "Grpc-Timeout": {"1S"},
					"X-Bin": {"1"}, "Dapr-Api-Token": {"theirs"}, "Content-Type": {"text/plain"},
				},
			})
			if r.Status != http.StatusTeapot || got != "short and stout" || len(r.Header["X-Reply"]) != 2 || r.Length != 15 {
				t.Errorf("reply %d %q %v length %d", r.Status, got, r.Header, r.Length)
			}
			if seen.Method != http.MethodPut || seen.RequestURI != "/a%20b/%C3%BC/c'd?x=%20&y" || seen.Host != addr || body != "hello" {
				t.Errorf("request %s %s host %s body %q", seen.Method, seen.RequestURI, seen.Host, body)
			}
			if seen.ContentLength != tc.length {
				t.Errorf("content length %d, want %d", seen.ContentLength, tc.length)
			}
			for name, want := range map[string]string{
				"X-Two": "a|b", "Dapr-Grpc-Timeout": "1S", "Dapr-Api-Token": "secret", "Content-Type": "text/plain",
				"Destination-App-Id": "", "X-Bin": "", "Grpc-Timeout": "", "User-Agent": "", "Accept-Encoding": "",
			} {
				if got := strings.Join(seen.Header[name], "|"); got != want {
					t.Errorf("the app sees %s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestConnectionsAreReused(t *testing.T) {
	remotes := map[string]int{}
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		remotes[r.RemoteAddr]++
		if r.URL.Path == "/chunked" {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "x")
		}
	})
	a := ready(t, Options{Addr: addr})
	for range 3 {
		call(t, a, &stream.Call{Verb: "GET", Path: "empty"})
		call(t, a, &stream.Call{Verb: "HEAD", Path: "chunked"})
		call(t, a, &stream.Call{Verb: "POST", Path: "chunked", Body: strings.NewReader("1"), Length: 1})
		call(t, a, &stream.Call{Verb: "POST", Path: "chunked", Body: io.MultiReader(strings.NewReader("1")), Length: -1})
		call(t, a, &stream.Call{Verb: "POST", Path: "chunked", Body: io.MultiReader(strings.NewReader("1")), Length: 1})
	}
	if len(remotes) != 1 {
		t.Errorf("%d connections were used, want 1: %v", len(remotes), remotes)
	}
}

// TestHeadersOfAReplyAreItsOwn: one map serves the replies of a connection.
func TestHeadersOfAReplyAreItsOwn(t *testing.T) {
	remotes := map[string]bool{}
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		remotes[r.RemoteAddr] = true
		w.Header()["X-Two"] = []string{r.URL.Path + "1", r.URL.Path + "2"}
		for i := range 40 { // more than there is room for from reply to reply
			if r.URL.Path == "/many" {
				w.Header().Set(fmt.Sprint("X-", i), r.URL.Path)
			}
		}
		w.Header().Set("X-Path"+strings.ReplaceAll(r.URL.Path, "/", "-"), r.URL.Path)
	})
	a := ready(t, Options{Addr: addr})
	for _, path := range []string{"a", "b", "many", "c", "a"} {
		r, err := a.Handle(t.Context(), &stream.Call{Verb: "GET", Path: path})
		if err != nil {
			t.Fatal(err)
		}
		want := 4 // with Date and Content-Length
		if path == "many" {
			want += 40
		}
		if h := r.Header; len(h) != want || h.Get("X-Path-"+path) != "/"+path || !slices.Equal(h["X-Two"], []string{"/" + path + "1", "/" + path + "2"}) {
			t.Errorf("/%s has the headers %v", path, h)
		}
		r.Body.Close()
	}
	if len(remotes) != 1 {
		t.Errorf("%d connections were used, want 1", len(remotes))
	}
}

func TestLargeBodies(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", r.Header.Get("X-Length"))
		}
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	})
	a := ready(t, Options{Addr: addr})
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	for _, path := range []string{"known", "chunked"} {
		for _, length := range []int64{int64(len(data)), -1} {
			_, got := call(t, a, &stream.Call{
				Verb: "POST", Path: path, Body: bytes.NewReader(data), Length: length,
				Header: http.Header{"X-Length": {"4194304"}},
			})
			if got != string(data) {
				t.Errorf("%s, length %d: %d bytes came back, want %d", path, length, len(got), len(data))
			}
		}
	}
}

// serveProtocol is serve for an app that speaks HTTP/2.
func serveProtocol(t *testing.T, protocol string, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	if protocol == "https" {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
