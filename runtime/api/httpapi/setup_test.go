package httpapi

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mesh/runtime/api"
	"mesh/runtime/appchan"
	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// wait is how long a test waits for what must happen.
const wait = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sidecar is the HTTP API of an app called "me" that reaches one app, "b".
type sidecar struct {
	addr string
	rec  *flow.Recorder
	app  *appchan.App
}

func (s sidecar) url(path string) string { return "http://" + s.addr + path }

// start serves the API in front of an app and stops both after the test.
func start(tb testing.TB, app http.Handler, change func(*Options, *api.Options)) sidecar {
	tb.Helper()
	srv := httptest.NewUnstartedServer(app)
	srv.Start()
	tb.Cleanup(srv.Close)
	return startAt(tb, srv.Listener.Addr().String(), change)
}

// startAt is start for an app that listens already.
func startAt(tb testing.TB, addr string, change func(*Options, *api.Options)) sidecar {
	tb.Helper()
	a, err := appchan.New(appchan.Options{Addr: addr, MaxHeld: 10, Hold: time.Minute})
	if err != nil {
		tb.Fatal(err)
	}
	a.Open()
	s := sidecar{rec: flow.NewRecorder(), app: a}
	ao := api.Options{AppID: "me", Version: "1.0", Invoke: stream.HandlerFunc(func(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
		if c.AppID != "b" {
			return nil, io.ErrUnexpectedEOF
		}
		return a.Handle(ctx, c)
	})}
	o := Options{Recorder: s.rec, Grace: wait}
	if change != nil {
		change(&o, &ao)
	}
	o.API = api.New(ao)
	ln, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.addr = ln.Addr().String()
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	ended := make(chan error, 1)
	go func() { ended <- New(o).Serve(ctx, ln) }()
	tb.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			tb.Errorf("the server ended with: %v", err)
		}
		a.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), wait)
		defer cancel()
		if err := a.Drain(ctx); err != nil {
			tb.Errorf("calls are left behind: %v", err)
		}
	})
	return s
}

// echo answers what it is asked: how it was called, in headers, and the body.
func echo(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex()
	h := w.Header()
	h.Set("X-Uri", r.RequestURI)
	h.Set("X-Verb", r.Method)
	h.Set("X-Host", r.Host)
	for key, values := range r.Header {
		h["X-Saw-"+key] = values
	}
	if n := r.Header.Get("Content-Length"); n != "" {
		h.Set("Content-Length", n)
	}
	if r.ContentLength < 0 {
		_ = http.NewResponseController(w).Flush()
	}
	_, _ = io.Copy(flushing{w}, r.Body)
}

type flushing struct{ http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		err = http.NewResponseController(f.ResponseWriter).Flush()
	}
	return n, err
}

// answer is what came back, whole.
type answer struct {
	*http.Response

	text string
}

// do sends a request and gives the reply with its body read.
func do(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{Response: res, text: string(b)}
}
