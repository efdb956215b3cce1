package runtime

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mesh/runtime/appchan"
	"mesh/runtime/component"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// middleware starts components of middleware, a name and type, then metadata.
func middleware(t *testing.T, all ...[]string) *component.Live {
	t.Helper()
	live := component.New(component.Options{Dir: t.TempDir()})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- live.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
	})
	var want component.Desired
	for _, one := range all {
		c := resource.Component{Name: one[0], Type: "middleware.http." + one[1], Version: "v1"}
		for i := 2; i < len(one); i += 2 {
			c.Metadata = append(c.Metadata, resource.Property{Name: one[i], Value: one[i+1]})
		}
		want.Components = append(want.Components, c)
	}
	must(t, live.Apply(ctx, want))
	return live
}

func handlers(names ...string) (all []resource.Handler) {
	for _, name := range names {
		all = append(all, resource.Handler{Name: name})
	}
	return all
}

// at calls a path of a sidecar's HTTP API.
func (m *mesh) at(s *Sidecar, path string, header ...string) (int, string) {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", s.Ports().HTTP, path), http.NoBody)
	must(m.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res := m.do(req)
	return res.StatusCode, m.read(res)
}

// TestHTTPPipeline: requests to a sidecar's API pass the middleware that is
// declared, in its order, after the token was shown.
func TestHTTPPipeline(t *testing.T) {
	m := newMesh(t, stream.Auto)
	live := middleware(t,
		[]string{"alias", "routeralias", "routes", `{"/friendly/{n}": "/v1.0/invoke/back/method/real"}`},
		[]string{"gate", "routerchecker", "rule", "^/(v1.0|friendly)/.*$"},
		[]string{"limit", "ratelimit", "maxRequestsPerSecond", "1"},
		[]string{"broken", "ratelimit", "maxRequestsPerSecond", "-1"})
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		must(t, err)
		_, err = fmt.Fprint(w, r.RequestURI, string(b), r.Trailer.Get("X-Sum"))
		must(t, err)
	})
	s := m.sidecar(Options{AppID: "edge", Components: live, APIToken: "secret"})
	other := m.sidecar(Options{AppID: "other", Components: live})
	token := []string{"dapr-api-token", "secret"}
	s.Declare(Declared{HTTPPipeline: handlers("gate", "alias")})
	for _, tc := range []struct {
		path   string
		header []string
		status int
		want   string
	}{
		{"/v1.0/invoke/back/method/direct?a=1", token, 200, "/direct?a=1"},
		{"/friendly/7", token, 200, "/real?n=7"},
		{"/friendly/7", nil, 401, "invalid api token"},
		{"/elsewhere", token, 400, "invalid router"},
	} {
		if status, body := m.at(s, tc.path, tc.header...); status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s gives %d %s, want %d with %s", tc.path, status, body, tc.status, tc.want)
		}
	}

	// A copy of the request, which an alias makes, has the trailers, too.
	req := m.request("POST", "back", "", io.MultiReader(strings.NewReader(" body ")))
	req.URL.Host, req.URL.Path = fmt.Sprintf("127.0.0.1:%d", s.Ports().HTTP), "/friendly/7"
	req.Header.Set(token[0], token[1])
	req.Trailer = http.Header{"X-Sum": {"42"}}
	if got := m.read(m.do(req)); got != "/real?n=7 body 42" {
		t.Errorf("a stream through an alias: the app got %q", got)
	}

	// A limit counts what comes to one sidecar.
	s.Declare(Declared{HTTPPipeline: handlers("limit")})
	other.Declare(Declared{HTTPPipeline: handlers("limit")})
	refused := 0
	for range 20 {
		if status, _ := m.at(s, "/v1.0/metadata", token...); status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused == 0 {
		t.Error("a rate limit refuses nothing")
	}
	if status, body := m.at(other, "/v1.0/metadata"); status != http.StatusOK {
		t.Errorf("the limit of one sidecar counts for another: %d %s", status, body)
	}

	// What does not work lets nobody through.
	for _, name := range []string{"broken", "absent"} {
		s.Declare(Declared{HTTPPipeline: handlers(name)})
		if status, body := m.at(s, "/v1.0/metadata", token...); status != http.StatusInternalServerError || !strings.Contains(body, "middleware "+name) {
			t.Errorf("with the middleware %s: %d %s", name, status, body)
		}
	}
	s.Declare(Declared{})
	if status, _ := m.at(s, "/v1.0/metadata", token...); status != http.StatusOK {
		t.Errorf("without a pipeline: %d", status)
	}
}

// TestAppPipeline: calls to an app pass the middleware around it, however they
// come, and still flow in both directions.
func TestAppPipeline(t *testing.T) {
	for _, transport := range []stream.Transport{stream.Auto, stream.GRPC} {
		t.Run(string(transport), func(t *testing.T) {
			m := newMesh(t, transport)
			live := middleware(t,
				[]string{"gate", "routerchecker", "rule", "^/open"},
				[]string{"alias", "routeralias", "routes", `{"/open/old": "/open/new"}`})
			o := m.appOptions("back", "back", func(w http.ResponseWriter, r *http.Request) {
				must(t, http.NewResponseController(w).EnableFullDuplex())
				w.Header().Set("X-Path", r.URL.Path)
				buf := make([]byte, 1)
				for {
					n, end := r.Body.Read(buf)
					_, err := w.Write(bytes.ToUpper(buf[:n]))
					must(t, err)
					must(t, http.NewResponseController(w).Flush())
					if end != nil {
						return
					}
				}
			})
			o.Components = live
			m.sidecar(o).Declare(Declared{AppPipeline: handlers("gate", "alias")})
			if res, body := m.call("GET", "back", "shut", ""); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "invalid router") {
				t.Errorf("what the middleware refuses: %d %s", res.StatusCode, body)
			}
			if res, body := m.call("POST", "back", "open/old", "x"); res.StatusCode != http.StatusOK || body != "X" || res.Header.Get("X-Path") != "/open/new" {
				t.Errorf("what the middleware changes: %d %s %s", res.StatusCode, body, res.Header.Get("X-Path"))
			}
			read, write := io.Pipe()
			go func() { _, _ = write.Write([]byte("a")) }() // the reply shows that it came
			res := m.do(m.request("POST", "back", "open/stream", read))
			defer res.Body.Close()
			for _, c := range "bc" { // each letter is answered before the next is sent
				got := make([]byte, 1)
				if _, err := io.ReadFull(res.Body, got); err != nil || got[0] != byte(c-1)-'a'+'A' {
					t.Fatalf("%q, %v", got, err)
				}
				_, err := write.Write([]byte{byte(c)})
				must(t, err)
			}
			must(t, write.Close())
			if rest := m.read(res); rest != "C" {
				t.Errorf("the end is %q", rest)
			}
		})
	}
}

// TestMiddlewareThatCollectsReplies: what comes by way of a writer that middleware
// has put in front keeps its headers when the app's connection serves other calls.
func TestMiddlewareThatCollectsReplies(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Path", r.URL.Path)
		_, _ = io.WriteString(w, "hello")
	}))
	defer srv.Close()
	app, err := appchan.New(appchan.Options{Addr: srv.Listener.Addr().String()})
	must(t, err)
	defer app.Close()
	app.Open()
	collect := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		})
	}
	call := func(path string) *stream.Reply {
		r, err := throughMiddleware(t.Context(), &stream.Call{Verb: http.MethodGet, Path: path, Header: http.Header{}}, collect, app)
		must(t, err)
		return r
	}
	first, second := call("first"), call("second")
	for path, r := range map[string]*stream.Reply{"/first": first, "/second": second} {
		b, err := io.ReadAll(r.Body)
		must(t, err)
		must(t, r.Body.Close())
		if got := r.Header.Get("X-Path"); got != path || string(b) != "hello" {
			t.Errorf("%q with X-Path %q, want %q", b, got, path)
		}
	}
}
