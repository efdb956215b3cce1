package httpapi

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mesh/runtime/api"
)

type served struct {
	method, route string
	status        int
	code          api.Code
}

type witness chan served

func (w witness) Served(method, route string, status int, code api.Code, _ time.Duration) {
	w <- served{method, route, status, code}
}

func TestObserverIsToldOfEveryRequest(t *testing.T) {
	seen := make(witness, 1)
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(b)
	})
	s := start(t, app, func(o *Options, _ *api.Options) { o.Observer = seen })
	for _, c := range []struct {
		method, path string
		want         served
	}{
		{"GET", "/v1.0/healthz", served{"GET", "/v1.0/healthz", 204, ""}},
		{"GET", "/v1.0/healthz?appid=other", served{"GET", "/v1.0/healthz", 500, api.ErrHealthAppIDNotMatch}},
		{"POST", "/v1.0/invoke/b/method/a/long/path/7", served{"POST", "/v1.0/invoke", 418, ""}},
		{"POST", "/v1.0/invoke/nobody/method/x", served{"POST", "/v1.0/invoke", 500, api.ErrDirectInvoke}},
		{"GET", "/typo", served{"GET", "/", 404, api.ErrDirectInvoke}},
	} {
		body := strings.Repeat("x", 100_000)
		req, err := http.NewRequestWithContext(t.Context(), c.method, s.url(c.path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode == http.StatusTeapot && string(got) != body {
			t.Errorf("%s %s: the reply of %d bytes is damaged: %v", c.method, c.path, len(got), err)
		}
		select {
		case is := <-seen:
			if is != c.want {
				t.Errorf("%s %s: the observer is told %+v, want %+v", c.method, c.path, is, c.want)
			}
		case <-time.After(wait):
			t.Fatalf("%s %s: the observer is told nothing", c.method, c.path)
		}
	}
}
