package runtime

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"mesh/runtime/stream"
)

// TestConformance holds every transport to one table: what an app and its
// caller see of a call does not depend on how it was carried. Where a unary
// call cannot stream, the row says what happens instead.
func TestConformance(t *testing.T) {
	for _, transport := range []stream.Transport{stream.Auto, stream.GRPC, stream.Unary} {
		t.Run(string(transport), func(t *testing.T) {
			for _, row := range []struct {
				name string
				run  func(t *testing.T, m *mesh)
			}{
				{"what is said in the head", headPasses},
				{"small bodies", smallBodies},
				{"empty bodies", emptyBodies},
				{"length of the reply", lengthOfTheReply},
				{"chunks of one byte", oneByteChunks},
				{"64 MiB down", largeReply},
				{"64 MiB up", largeRequest},
				{"slow producer", slowProducer},
				{"slow consumer of a reply", slowConsumerOfReply},
				{"slow consumer of a request", slowConsumerOfRequest},
				{"early reply", earlyReply},
				{"reply head before any byte", headFirst},
				{"server-sent events", serverSentEvents},
				{"full duplex", fullDuplex},
				{"trailers", trailers},
				{"app error", appError},
				{"app crash before the reply", crashBeforeReply},
				{"app crash in the reply", crashInReply},
				{"app gone", appGone},
				{"app goes in the reply", appGoesInReply},
				{"client gone before the reply", clientGoneBeforeReply},
				{"client gone in the reply", clientGoneInReply},
				{"client gone in the request", clientGoneInRequest},
				{"many streams at once", manyStreams},
				{"connections to the app are kept", connectionsAreKept},
				{"trailers of a request", requestTrailers},
				{"early hints", earlyHints},
				{"leave to send", leaveToSend},
				{"tunnels", tunnels},
				{"trace context", traceContext},
				{"trace context over gRPC", traceOverGRPC},
				{"limit of bodies", bodyLimit},
				{"limit of headers", headerLimit},
				{"leave to send a body", expectContinue},
				{"limits of time", limitsOfTime},
				{"tries at other instances", triesElsewhere},
				{"open circuit", openCircuit},
				{"faults", faults},
				{"one call at a time", oneAtATime},
				{"held while it restarts", held},
			} {
				t.Run(row.name, func(t *testing.T) { row.run(t, newMesh(t, transport)) })
			}
		})
	}
}

func headPasses(t *testing.T, m *mesh) {
	var seen *http.Request
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		seen = r
		w.Header()["X-Reply"] = []string{"1", "2"}
		w.WriteHeader(http.StatusTeapot)
	})
	for _, verb := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"} {
		req := m.request(verb, "back", "a/b%20c?x=1&y=%2F;z", nil)
		req.Header["X-Two"] = []string{"a", "b"}
		req.Header.Set("Connection", "X-Private")
		req.Header.Set("X-Private", "mine")
		req.Header.Set("Dapr-Caller-App-Id", "forged")
		res := m.do(req)
		if res.StatusCode != http.StatusTeapot || strings.Join(res.Header["X-Reply"], " ") != "1 2" {
			t.Errorf("%s: reply %d %v", verb, res.StatusCode, res.Header)
		}
		if seen.Method != verb || seen.RequestURI != "/a/b%20c?x=1&y=%2F;z" {
			t.Errorf("%s: the app saw %s %s", verb, seen.Method, seen.RequestURI)
		}
		for key, want := range map[string]string{
			"X-Two": "a b", "X-Private": "", "Dapr-Caller-App-Id": "front", "Dapr-Callee-App-Id": "back",
			"Dapr-Caller-Namespace": "default", "Destination-App-Id": "", "X-Forwarded-For": "127.0.0.1", "Forwarded": "*",
		} {
			if got := strings.Join(seen.Header[key], " "); got != want && (want != "*" || got == "") {
				t.Errorf("%s: the app saw %s: %q, want %q", verb, key, got, want)
			}
		}
		if seen.ContentLength != 0 || len(seen.TransferEncoding) > 0 {
			t.Errorf("%s: a body of length %d %v came from nowhere", verb, seen.ContentLength, seen.TransferEncoding)
		}
	}
}

func echo(t testing.TB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		must(t, control.EnableFullDuplex())
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.Header().Set("X-Length", strconv.FormatInt(r.ContentLength, 10))
		must(t, control.Flush())
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				if _, werr := w.Write(buf[:n]); werr != nil {
					return
				}
				_ = control.Flush()
			}
			if err != nil {
				return
			}
		}
	}
}

func smallBodies(t *testing.T, m *mesh) {
	m.app("back", echo(t))
	for _, body := range []string{"x", "hello", strings.Repeat("y", 5000), strings.Repeat("z", 70_000)} {
		for _, known := range []bool{true, false} {
			req := m.request("POST", "back", "m", strings.NewReader(body))
			if !known {
				req.ContentLength = -1
			}
			req.Header.Set("Content-Type", "text/plain; charset=utf-8")
			res := m.do(req)
			if got := m.read(res); got != body || res.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%d bytes, known %v: got %d of type %s", len(body), known, len(got), res.Header.Get("Content-Type"))
			}
			want := "-1"
			if known || !m.streams() {
				want = strconv.Itoa(len(body))
			}
			if got := res.Header.Get("X-Length"); got != want {
				t.Errorf("%d bytes, known %v: the app was told a length of %s", len(body), known, got)
			}
		}
	}
}

func emptyBodies(t *testing.T, m *mesh) {
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		must(t, err)
		if len(b) > 0 {
			t.Errorf("the app got %q", b)
		}
		if r.URL.Path == "/none" {
			w.WriteHeader(http.StatusNoContent)
		}
	})
	for _, path := range []string{"none", "zero"} {
		for _, body := range []io.Reader{nil, http.NoBody, io.MultiReader()} {
			res := m.do(m.request("POST", "back", path, body))
			if got := m.read(res); got != "" || res.StatusCode/100 != 2 {
				t.Errorf("%s: %d %q", path, res.StatusCode, got)
			}
		}
	}
}

func lengthOfTheReply(t *testing.T, m *mesh) {
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "70000")
		if r.Method != http.MethodHead {
			_, err := io.WriteString(w, strings.Repeat("x", 70_000))
			must(t, err)
		}
	})
	for _, verb := range []string{"GET", "HEAD"} {
		res := m.do(m.request(verb, "back", "m", nil))
		if m.read(res); res.ContentLength != 70_000 {
			t.Errorf("%s: the reply says %d", verb, res.ContentLength)
		}
	}
}

func oneByteChunks(t *testing.T, m *mesh) {
	m.app("back", echo(t))
	const n = 300
	pr, pw := io.Pipe()
	go func() {
		for i := range n {
			if _, err := pw.Write([]byte{byte(i)}); err != nil {
				return
			}
		}
		_ = pw.Close()
	}()
	got := m.read(m.do(m.request("POST", "back", "m", pr)))
	for i := range n {
		if i >= len(got) || got[i] != byte(i) {
			t.Fatalf("byte %d of %d is missing or wrong", i, len(got))
		}
	}
}

func manyStreams(t *testing.T, m *mesh) {
	m.app("back", echo(t))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			pr, pw := io.Pipe()
			replied := make(chan io.ReadCloser, 1)
			if !m.streams() {
				go func() { _, _ = io.WriteString(pw, "all"); _ = pw.Close() }()
				if got := m.read(m.do(m.request("POST", "back", "m", pr))); got != "all" {
					t.Errorf("got %q", got)
				}
				return
			}
			go func() { replied <- m.do(m.request("POST", "back", "m", pr)).Body }()
			pingPong(t, pw, func() io.ReadCloser { return <-replied }, 20)
		})
	}
	wg.Wait()
}

func connectionsAreKept(t *testing.T, m *mesh) {
	seen := map[string]bool{}
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		_, err := io.Copy(w, r.Body)
		must(t, err)
	})
	for _, length := range []int64{3, -1} {
		for range 10 {
			req := m.request("POST", "back", "m", io.MultiReader(strings.NewReader("abc")))
			req.ContentLength = length
			m.read(m.do(req))
			m.call("GET", "back", "m", "")
		}
	}
	if len(seen) > 2 {
		t.Errorf("40 calls, one after the other, took %d connections", len(seen))
	}
}
