package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func meshWith(transport string) string {
	return `
[mesh]
transport = "` + transport + `"
[apps.client]
command = "APP wait SELF"
[apps.web]
command = "APP server SELF"
port = "auto"
`
}

func TestInvocationFormsOnEveryTransport(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"auto", "grpc", "unary"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			r := newProject(t, meshWith(transport)).up()
			r.ready("web", "client")
			base := fmt.Sprintf("http://127.0.0.1:%d", r.instance("client").HTTPPort)
			for name, prepare := range map[string]func(*http.Request){
				"/v1.0/invoke/web/method/see?a=%20b&c": func(*http.Request) {},
				"/see?a=%20b&c#header":                 func(q *http.Request) { q.Header.Set("dapr-app-id", "web") },
				"/see?a=%20b&c#basic":                  func(q *http.Request) { q.SetBasicAuth("dapr-app-id", "web") },
			} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base+name, strings.NewReader("body"))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Test", "passed")
				prepare(req)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusTeapot || string(b) != "PUT /see?a=%20b&c passed" || resp.Header.Get("X-App") != "yes" {
					t.Errorf("%s: %d %q", name, resp.StatusCode, b)
				}
			}
			for path, want := range map[string]int{"/v1.0/healthz": 204, "/v1.0/healthz/outbound": 204, "/v1.0/metadata": 200, "/nothing": 404} {
				if code, body, err := get(t.Context(), base+path); code != want || err != nil {
					t.Errorf("%s: %d %s %v, want %d", path, code, body, err, want)
				}
			}
		})
	}
}

// TestStreamsFlowThroughTheMesh talks and listens at the same time: every line
// must come back before the next one is sent.
func TestStreamsFlowThroughTheMesh(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"auto", "grpc"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			r := newProject(t, meshWith(transport)).up()
			r.ready("web", "client")
			body, w := io.Pipe()
			resp := r.open(t.Context(), http.MethodPost, "client", "v1.0/invoke/web/method/echo", body)
			back := bufio.NewReader(resp.Body)
			for i := range 20 {
				line := fmt.Sprintf("line %d\n", i)
				if _, err := io.WriteString(w, line); err != nil {
					t.Fatal(err)
				}
				if got, err := back.ReadString('\n'); got != line {
					t.Fatalf("line %d comes back as %q, %v", i, got, err)
				}
			}
			w.Close()
			if rest, err := io.ReadAll(back); len(rest) != 0 || err != nil {
				t.Errorf("the stream ends with %q, %v", rest, err)
			}
		})
	}
}

func TestCancellationReachesTheApp(t *testing.T) {
	for _, transport := range []string{"auto", "grpc"} {
		t.Run(transport, func(t *testing.T) {
			r := newProject(t, meshWith(transport)).up()
			r.ready("web", "client")
			ctx, cancel := context.WithCancel(t.Context())
			resp := r.open(ctx, http.MethodGet, "client", "v1.0/invoke/web/method/ticks", http.NoBody)
			if _, err := resp.Body.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			cancel()
			resp.Body.Close()
			r.await("the app to notice", func() bool { return strings.Contains(r.out.String(), "caller gone") })
		})
	}
}

func TestCrashInTheMiddleOfAReplyIsNoCleanEnd(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"auto", "grpc"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			r := newProject(t, meshWith(transport)).up()
			r.ready("web", "client")
			base := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/web/method/", r.instance("client").HTTPPort)
			resp := r.open(t.Context(), http.MethodGet, "client", "v1.0/invoke/web/method/ticks", http.NoBody)
			_, _, _ = get(t.Context(), base+"die")
			if _, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Error("the reply of an app that crashed ends as if it were complete")
			}
			r.ready("web") // and is up again
			r.await("web to answer again", func() bool { code, _, _ := get(t.Context(), base+"who"); return code == http.StatusOK })
		})
	}
}

// TestTwoMeshesFindEachOther runs two meshes on this host: they call each
// other's apps by name, and a mesh that stops takes its names with it.
func TestTwoMeshesFindEachOther(t *testing.T) {
	id := fmt.Sprintf("far%d", time.Now().UnixNano()%1_000_000_000) // not known to any other run of the tests
	near := newProject(t, "[apps.near]\ncommand = \"APP server SELF\"\nport = \"auto\"\n").up()
	farMesh := newProject(t, "[apps."+id+"]\ncommand = \"APP server SELF\"\nport = \"auto\"\n").up()
	near.ready("near")
	farMesh.ready(id)
	near.await("the other mesh's app to answer", func() bool {
		code, who, _ := near.get("near", "v1.0/invoke/"+id+"/method/who")
		return code == http.StatusOK && strings.HasPrefix(who, id)
	})
	if v := near.client.Views(1); len(v) == 0 || v[0].Transport != "grpc" {
		t.Errorf("the call between meshes went %+v", v)
	}
	if _, errs, code := farMesh.p.mesh("down"); code != 0 {
		t.Fatalf("mesh down: %s", errs)
	}
	<-farMesh.exited
	began := time.Now()
	code, body, err := near.get("near", "v1.0/invoke/"+id+"/method/who")
	if code != http.StatusInternalServerError || err != nil || !strings.Contains(body, "ERR_DIRECT_INVOKE") || !strings.Contains(body, "couldn't find service") {
		t.Errorf("calling an app that is gone: %d %s %v", code, body, err)
	}
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("that took %v", d)
	}
}

func TestTapPrintsInvocationsAndChunks(t *testing.T) {
	t.Parallel()
	p := newProject(t, meshWith("auto"))
	r := p.up()
	r.ready("web", "client")
	tap := exec.CommandContext(t.Context(), meshBinary, "tap", "--json")
	tap.Dir = p.dir
	out := &output{}
	tap.Stdout, tap.Stderr = out, out
	if err := tap.Start(); err != nil {
		t.Fatal(err)
	}
	callers := map[string]int{}
	events := func() map[string]int {
		seen := map[string]int{}
		clear(callers)
		for line := range bytes.Lines([]byte(out.String())) {
			var e struct {
				Event  string `json:"event"`
				Caller string `json:"caller"`
			}
			if json.Unmarshal(line, &e) == nil {
				seen[e.Event]++
				callers[e.Caller]++
			}
		}
		return seen
	}
	r.await("begin, chunks and end of an invocation", func() bool {
		_, _, _ = r.get("client", "v1.0/invoke/web/method/who")
		seen := events()
		return seen["begin"] > 0 && seen["chunk"] > 0 && seen["end"] > 0
	})
	if _, errs, code := p.mesh("invoke", "web", "who"); code != 0 {
		t.Fatal(errs)
	}
	r.await("mesh invoke to be the caller of its own call", func() bool {
		events()
		return callers["mesh invoke"] > 0 && callers["client"] > 0
	})
}
