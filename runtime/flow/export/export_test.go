package export_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/flow/export"
)

// recorded makes a call with these bodies and gives what is known of it.
func recorded(t *testing.T, capture int, request, reply []byte) export.Record {
	t.Helper()
	rec := flow.NewRecorder()
	t.Cleanup(rec.Watch())
	rec.Capture(capture)
	f := rec.Begin(flow.Head{Caller: "web", Callee: "orders", Verb: "POST", Path: "/new order", Kind: "http"})
	f.Headers(flow.Request, http.Header{"Content-Type": {"text/plain; it's"}, "Authorization": {"x"}, "Content-Length": {"7"}}, "a=1&b=2")
	f.Route(&flow.Peer{Instance: "orders-2", Transport: "local"})
	f.Pass(flow.Request, flow.CallerIn, request)
	f.Mark(flow.Request, flow.CalleeOut, len(request))
	f.Headers(flow.Reply, http.Header{"Content-Type": {"text/event-stream"}, "Set-Cookie": {"x"}}, "")
	f.Replied(201)
	for rest := reply; len(rest) > 0; {
		n := min(len(rest), 10)
		f.Pass(flow.Reply, flow.CalleeIn, rest[:n])
		f.Mark(flow.Reply, flow.CallerOut, n)
		rest = rest[n:]
	}
	f.End(nil)
	r, ok := export.Read(rec, f.ID().String(), "http://127.0.0.1:4711/")
	if !ok {
		t.Fatal("the flow is not remembered")
	}
	return r
}

// must are the fields that version 1.2 of the format demands, with their kinds.
func must() map[string]string {
	return map[string]string{
		"log.version": "string", "log.creator.name": "string", "log.creator.version": "string", "log.entries": "list",
		"startedDateTime": "string", "time": "number", "cache": "object",
		"request.method": "string", "request.url": "string", "request.httpVersion": "string", "request.cookies": "list", "request.headers": "list",
		"request.queryString": "list", "request.headersSize": "number", "request.bodySize": "number",
		"request.postData.mimeType": "string", "request.postData.params": "list", "request.postData.text": "string",
		"response.status": "number", "response.statusText": "string", "response.httpVersion": "string", "response.cookies": "list",
		"response.headers": "list", "response.redirectURL": "string", "response.headersSize": "number", "response.bodySize": "number",
		"response.content.size": "number", "response.content.mimeType": "string",
		"timings.send": "number", "timings.wait": "number", "timings.receive": "number",
	}
}

func field(t *testing.T, v any, path string) any {
	t.Helper()
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok || m[key] == nil {
			t.Errorf("there is no %s", path)
			return nil
		}
		v = m[key]
	}
	return v
}

func TestHARIsValid(t *testing.T) {
	r := recorded(t, 1000, []byte("an order"), []byte("data: one\n\ndata: two\n\n"))
	var out bytes.Buffer
	if err := export.HAR(&out, "1.0", r, r); err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(out.Bytes(), &file); err != nil {
		t.Fatal(err)
	}
	entries, _ := field(t, file, "log.entries").([]any)
	if len(entries) != 2 {
		t.Fatalf("%d entries, want two", len(entries))
	}
	for path, kind := range must() {
		from := entries[0]
		if strings.HasPrefix(path, "log.") {
			from = file
		}
		is := ""
		switch field(t, from, path).(type) {
		case string:
			is = "string"
		case float64:
			is = "number"
		case []any:
			is = "list"
		case map[string]any:
			is = "object"
		}
		if is != kind {
			t.Errorf("%s is a %s, want a %s", path, is, kind)
		}
	}
	if v := field(t, file, "log.version"); v != "1.2" {
		t.Errorf("version %v", v)
	}
	e := entries[0]
	started, _ := field(t, e, "startedDateTime").(string)
	if _, err := time.Parse(time.RFC3339, started); err != nil {
		t.Error(err)
	}
	sum := 0.0
	for _, part := range []string{"blocked", "send", "wait", "receive"} {
		n, _ := field(t, e, "timings."+part).(float64)
		if n < 0 {
			t.Errorf("%s took %v", part, n)
		}
		sum += n
	}
	if total, _ := field(t, e, "time").(float64); math.Abs(sum-total) > 0.01 {
		t.Errorf("the parts take %v ms, the whole %v", sum, total)
	}
	for path, want := range map[string]any{
		"request.url":           "http://127.0.0.1:4711/v1.0/invoke/orders/method/new%20order?a=1&b=2",
		"request.postData.text": "an order", "response.content.text": "data: one\n\ndata: two\n\n",
		"response.content.mimeType": "text/event-stream", "response.status": 201.0, "response.bodySize": 22.0, "_from": "web",
	} {
		if got := field(t, e, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if chunks, _ := field(t, e, "_chunks").([]any); len(chunks) != 8 {
		t.Errorf("%d chunks, want 8", len(chunks))
	}
}

func TestHARSaysWhatIsMissing(t *testing.T) {
	for limit, want := range map[int]string{0: "were not captured", 8: "8 of the 100 bytes of the reply were captured"} {
		r := recorded(t, limit, nil, bytes.Repeat([]byte("0123456789"), 10))
		var out bytes.Buffer
		if err := export.HAR(&out, "1.0", r); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("capture of %d bytes: no %q in %s", limit, want, &out)
		}
	}
}

// TestBytesSurvive checks that any body can be had back from each form.
func TestBytesSurvive(t *testing.T) {
	check := func(request, reply []byte) bool {
		r := recorded(t, 1<<20, request, reply)
		var out bytes.Buffer
		if export.HAR(&out, "1.0", r) != nil {
			return false
		}
		var file struct {
			Log struct {
				Entries []struct {
					Response struct {
						Content struct{ Text, Encoding string }
					}
				}
			}
		}
		if json.Unmarshal(out.Bytes(), &file) != nil {
			return false
		}
		c := file.Log.Entries[0].Response.Content
		got := []byte(c.Text)
		if c.Encoding == "base64" {
			got, _ = base64.StdEncoding.DecodeString(c.Text)
		}
		if !bytes.Equal(got, reply) {
			return false
		}
		out.Reset()
		if export.NDJSON(&out, &r) != nil {
			return false
		}
		var in, from []byte
		for d := json.NewDecoder(&out); ; {
			var l export.Line
			if d.Decode(&l) != nil {
				break
			}
			piece := append([]byte(l.Text), l.Data...)
			switch l.Dir + " " + l.Hop {
			case "reply caller.out":
				in = append(in, piece...)
			case "request caller.in":
				from = append(from, piece...)
			}
		}
		return bytes.Equal(in, reply) && bytes.Equal(from, request)
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 100}); err != nil {
		t.Error(err)
	}
}

// TestCurlMakesTheCallAgain runs what Curl writes, by a real shell and curl.
func TestCurlMakesTheCallAgain(t *testing.T) {
	type call struct {
		path, body string
		header     http.Header
	}
	calls := make(chan call, 1)
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		calls <- call{r.URL.String(), string(got), r.Header}
	}))
	defer app.Close()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("this test needs curl: ", err)
	}
	for _, body := range []string{"", "it's \"quoted\" $HOME `x`\n\n", "@file", "\x00\xff binary", "grüße"} {
		r := recorded(t, 1000, []byte(body), nil)
		r.Base = app.URL
		line, err := export.Curl(&r)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		out, err := exec.CommandContext(ctx, "sh", "-c", line).CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("%v: %s\n%s", err, out, line)
		}
		if got := <-calls; got.body != body || got.path != "/v1.0/invoke/orders/method/new%20order?a=1&b=2" || got.header.Get("Content-Type") != "text/plain; it's" {
			t.Errorf("%q came as %+v\n%s", body, got, line)
		}
	}
	r := recorded(t, 0, []byte("unknown"), nil)
	if line, _ := export.Curl(&r); !strings.Contains(line, "# the 7 bytes of the request were not captured") {
		t.Errorf("nothing is said of the missing body:\n%s", line)
	}
	r.Kind = "state"
	if _, err := export.Curl(&r); err == nil {
		t.Error("there is a command line for the call of a component")
	}
	r.Kind, r.Path = "grpc", "/shop.Orders/Watch"
	if _, err := export.Curl(&r); err == nil || !strings.Contains(err.Error(), "grpcurl") || !strings.Contains(err.Error(), "dapr-app-id: "+r.Callee) {
		t.Errorf("of a call of a gRPC service it says %v", err)
	}
}
