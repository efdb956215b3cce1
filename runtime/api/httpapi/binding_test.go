package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"mesh/runtime/api"
	"mesh/runtime/api/apitest"
	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// large is more than anything may hold in memory.
const large = 64 << 20

// mirror answers with the body that it gets, while it gets it, or breaks off.
func mirror(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex()
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.Header().Set("X-Verb", r.Method)
	switch r.URL.Path {
	case "/break":
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(flushing{w}, "half")
		panic(http.ErrAbortHandler)
	case "/refuse":
		w.WriteHeader(http.StatusTeapot)
		return
	}
	_, _ = io.Copy(flushing{w}, r.Body)
}

// withBindings serves the API with a folder, a server on the web and a Redis
// that is not there as bindings.
func withBindings(t *testing.T, change func(*Options, *api.Options)) sidecar {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(mirror))
	t.Cleanup(web.Close)
	app := apitest.Start(t, fmt.Sprintf("kind: Component\nmetadata: { name: web }\nspec: { type: bindings.http, metadata: [ { name: url, value: %q } ] }", web.URL))
	return start(t, http.NotFoundHandler(), func(o *Options, a *api.Options) {
		a.Components, a.Flows = app, o.Recorder
		if change != nil {
			change(o, a)
		}
	})
}

// zeros is a body that has no length of its own.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	n := int(min(z.left, int64(len(p))))
	if n == 0 {
		return 0, io.EOF
	}
	clear(p[:n])
	z.left -= int64(n)
	return n, nil
}

// TestBindingStreams: payloads larger than any limit go into bindings that can
// take them and come out, and nobody holds them in memory.
func TestBindingStreams(t *testing.T) {
	s := withBindings(t, nil)
	defer s.rec.Watch()()
	for _, c := range []struct {
		name, path string
		in, out    int64
	}{
		{"to a file", "files?operation=create&metadata.fileName=large", large, int64(len(`{"fileName":"large"}`))},
		{"from a file", "files?operation=get&metadata.fileName=large", 0, large},
		{"through a server", "web?operation=post", large, large},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url("/v1.0/bindings/"+c.path), &zeros{left: c.in})
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-zeros")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			n, err := io.Copy(io.Discard, res.Body)
			if err != nil || res.StatusCode != http.StatusOK || n != c.out {
				t.Errorf("%s with %d bytes of %d, %v", res.Status, n, c.out, err)
			}
			runtime.ReadMemStats(&after)
			// All that was ever allocated, on both sides and at the server: far
			// less than a copy of the payload.
			if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
				t.Errorf("%d MiB made us allocate %d MiB", max(c.in, c.out)>>20, used>>20)
			}
			if got, want := res.Header.Get("Content-Type"), map[bool]string{true: "application/x-zeros"}[strings.HasPrefix(c.path, "web")]; want != "" && got != want {
				t.Errorf("the answer is %s", got)
			}
		})
	}
	v := s.rec.Views(1)[0]
	up, _ := v.Lane(flow.Request, flow.CallerIn)
	down, _ := v.Lane(flow.Reply, flow.CallerOut)
	if v.Kind != "binding" || v.Callee != "web" || up.Bytes != large || down.Bytes != large || up.Chunks < 100 {
		t.Errorf("the flow is a %s to %s with %d bytes up in %d chunks, %d down", v.Kind, v.Callee, up.Bytes, up.Chunks, down.Bytes)
	}
}

// TestBindingForms: the payload alone and Dapr's JSON mean the same.
func TestBindingForms(t *testing.T) {
	s := withBindings(t, func(o *Options, a *api.Options) {
		o.Limits = &stream.Limits{}
		o.Limits.Set(1<<20, 0)
		a.MaxBody = o.Limits.Body
	})
	base := s.url("/v1.0/bindings/")
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		path, body string
		status     int
		want       string // of the body
		says       string // in the body
	}{
		{"files", `{"operation":"create","data":"some text","metadata":{"fileName":"a"}}`, 200, "", "fileName"},
		{"files", `{"operation":"get","metadata":{"fileName":"a"}}`, 200, "some text", ""},
		{"files", `{"operation":"create","data":"aGVsbG8=","metadata":{"fileName":"b"}}`, 200, "", "b"},
		{"files?operation=get&metadata.fileName=b", "", 200, "hello", ""},
		{"files?operation=create&metadata.fileName=c", "aGVsbG8=", 200, `{"fileName":"c"}`, ""},
		{"files", `{"operation":"get","metadata":{"fileName":"c"}}`, 200, "aGVsbG8=", ""},
		{"files?operation=get&metadata.fileName=none", "", 500, "", "file not found"},
		{"files?operation=create&metadata.fileName=empty", "", 200, `{"fileName":"empty"}`, ""},
		{"files?operation=get&metadata.fileName=empty", "", 204, "", ""},
		{"files?operation=delete&metadata.fileName=a", "", 204, "", ""},
		{"web", `{"operation":"post","data":{"n":1}}`, 200, `{"n":1}`, ""},
		{"web?operation=put", "plain", 200, "plain", ""},
		{"web?operation=get&metadata.path=refuse", "", 500, "", "received status code 418"},
		{"web", `{"data":"x"}`, 400, "", "operation field is missing"},
		{"nope?operation=get", "", 500, "", "couldn't find output binding nope"},
		{"files", `{"operation":"create","data":"` + long + `"}`, 413, "", "larger than 1048576 bytes (the limit); the app's max_body"},
		{"files?operation=create&metadata.fileName=long", long + "x", 200, `{"fileName":"long"}`, ""},
	} {
		got := do(t, http.MethodPost, base+c.path, c.body)
		if got.StatusCode != c.status || c.want != "" && got.text != c.want || !strings.Contains(got.text, c.says) {
			t.Errorf("%s %.60s gives %d %.200s, want %d %s", c.path, c.body, got.StatusCode, got.text, c.status, c.want+c.says)
		}
	}
}

// TestBindingErrorsTellOfTheAnswer: what a binding tells of an answer that is an
// error comes with the error.
func TestBindingErrorsTellOfTheAnswer(t *testing.T) {
	s := withBindings(t, nil)
	for _, form := range []struct{ query, body string }{{"?operation=get&metadata.path=refuse", ""}, {"", `{"operation":"get","metadata":{"path":"refuse"}}`}} {
		got := do(t, http.MethodPost, s.url("/v1.0/bindings/web"+form.query), form.body)
		if got.StatusCode != http.StatusInternalServerError || got.Header.Get("metadata.statusCode") != "418" || got.Header.Get("metadata.X-Verb") != "GET" {
			t.Errorf("%s%s gives %d with %v", form.query, form.body, got.StatusCode, got.Header)
		}
	}
}

// TestBindingBreaksOff: an answer that ends early is not taken for the whole.
func TestBindingBreaksOff(t *testing.T) {
	s := withBindings(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url("/v1.0/bindings/web?operation=get&metadata.path=break"), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the client sees %v", err)
	}
	eventually(t, "the flow has ended", func() bool { return len(s.rec.Live(nil)) == 0 })
}
