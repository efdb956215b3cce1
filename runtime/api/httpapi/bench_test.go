package httpapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mesh/runtime/api"
)

// BenchmarkHop measures one hop, client → sidecar → app, beside the same call
// made directly and through net/http's ReverseProxy, with all of it in one
// process: what a hop costs is the difference to direct. CPU is that of the
// whole process per call.
//
//	go test -run '^$' -bench Hop ./runtime/api/httpapi
func BenchmarkHop(b *testing.B) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var buf [256]byte
		n, _ := io.ReadFull(r.Body, buf[:])
		_, _ = w.Write(buf[:n])
	}))
	defer app.Close()
	to, err := url.Parse(app.URL)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	proxied := httptest.NewServer(proxy)
	defer proxied.Close()
	quiet := startAt(b, app.Listener.Addr().String(), nil)
	watched := startAt(b, app.Listener.Addr().String(), func(o *Options, _ *api.Options) {
		b.Cleanup(o.Recorder.Watch())
	})
	for _, flight := range []int{1, 32} {
		for _, way := range []struct{ name, url string }{
			{"direct", app.URL + "/echo"},
			{"reverseproxy", proxied.URL + "/echo"},
			{"mesh", quiet.url("/v1.0/invoke/b/method/echo")},
			{"mesh-watched", watched.url("/v1.0/invoke/b/method/echo")},
		} {
			b.Run(fmt.Sprintf("%s/%d", way.name, flight), func(b *testing.B) {
				hammer(b, way.url, flight)
			})
		}
	}
}

// hammer keeps a number of calls in flight.
func hammer(b *testing.B, url string, flight int) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: flight, DisableCompression: true}}
	defer client.CloseIdleConnections()
	body := bytes.Repeat([]byte("x"), 256)
	call := func() {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			b.Error(err)
			return
		}
		res, err := client.Do(req)
		if err != nil {
			b.Error(err)
			return
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || n != 256 || res.StatusCode != http.StatusOK {
			b.Errorf("%d bytes, status %d, %v", n, res.StatusCode, err)
		}
	}
	for range flight {
		call()
	}
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range flight {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				call()
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(b.N)/1000, "µs-cpu/op")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLarge measures large bodies in either direction, with their length
// known and not known, beside the same body passed directly and through
// net/http's ReverseProxy.
func BenchmarkLarge(b *testing.B) {
	const size = 64 << 20
	piece := make([]byte, 256<<10)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 256<<10))
			if n != size {
				w.WriteHeader(http.StatusBadRequest)
			}
			return
		}
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		for range size / len(piece) {
			_, _ = w.Write(piece)
		}
	}))
	defer app.Close()
	to, err := url.Parse(app.URL)
	if err != nil {
		b.Fatal(err)
	}
	proxied := httptest.NewServer(httputil.NewSingleHostReverseProxy(to))
	defer proxied.Close()
	s := startAt(b, app.Listener.Addr().String(), func(o *Options, _ *api.Options) {
		b.Cleanup(o.Recorder.Watch())
	})
	for _, load := range []struct {
		name, method, path string
		body               func() io.Reader
	}{
		{"down", http.MethodGet, "/known", func() io.Reader { return nil }},
		{"down-chunked", http.MethodGet, "/unknown", func() io.Reader { return nil }},
		{"up", http.MethodPost, "/known", func() io.Reader { return bytes.NewReader(make([]byte, size)) }},
		{"up-chunked", http.MethodPost, "/unknown", func() io.Reader { return io.MultiReader(bytes.NewReader(make([]byte, size))) }},
	} {
		for _, way := range []struct{ name, url string }{
			{"direct", app.URL}, {"reverseproxy", proxied.URL}, {"mesh", s.url("/v1.0/invoke/b/method")},
		} {
			b.Run(load.name+"/"+way.name, func(b *testing.B) {
				transport := &http.Transport{ReadBufferSize: 256 << 10, WriteBufferSize: 256 << 10}
				defer transport.CloseIdleConnections()
				buf := make([]byte, 256<<10)
				b.SetBytes(size)
				cpu := cpuTime()
				for b.Loop() {
					req, err := http.NewRequestWithContext(b.Context(), load.method, way.url+load.path, load.body())
					if err != nil {
						b.Fatal(err)
					}
					res, err := transport.RoundTrip(req)
					if err != nil {
						b.Fatal(err)
					}
					n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, buf)
					res.Body.Close()
					if err != nil || res.StatusCode != http.StatusOK || load.method == http.MethodGet && n != size {
						b.Fatalf("%d bytes, status %d, %v", n, res.StatusCode, err)
					}
				}
				b.ReportMetric(float64((cpuTime()-cpu).Milliseconds())/float64(b.N)/(float64(size)/(1<<30)), "ms-cpu/GiB")
			})
		}
	}
}
