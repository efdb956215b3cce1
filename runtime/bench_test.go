package runtime

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mesh/runtime/appchan"
	"mesh/runtime/stream"
)

// The benchmarks run client, both sidecars and app in one process. Client and
// app do as little as can be, so that the difference to "direct" is what the
// mesh costs. CPU is that of the whole process.
//
//	go test -run '^$' -bench . ./runtime

// leanApp answers every request on a connection with 256 bytes; it understands
// just enough of HTTP to tell where a request ends.
func leanApp(b *testing.B) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	var conns sync.Map
	reply := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 256\r\n\r\n" + strings.Repeat("x", 256))
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Store(c, nil)
			wg.Go(func() {
				r := bufio.NewReader(c)
				for skipMessage(r) == nil {
					if _, err := c.Write(reply); err != nil {
						return
					}
				}
			})
		}
	})
	b.Cleanup(func() {
		_ = ln.Close()
		conns.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true }) //nolint:errcheck // nothing else is stored
		wg.Wait()
	})
	return ln.Addr().String()
}

// skipMessage reads a message with a Content-Length.
func skipMessage(r *bufio.Reader) error {
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if key, value, ok := bytes.Cut(line, []byte(": ")); ok && strings.EqualFold(string(key), "Content-Length") {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("a message of unknown length")
	}
	_, err := r.Discard(length)
	return err
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ways are where a benchmark sends its requests: to the app, or through a mesh.
func ways(b *testing.B, app string, f func(b *testing.B, addr, path string)) {
	b.Helper()
	b.Run("direct", func(b *testing.B) { f(b, app, "/m") })
	for _, transport := range []stream.Transport{stream.Auto, stream.GRPC, stream.Unary} {
		b.Run(string(transport), func(b *testing.B) {
			m := newMesh(b, transport)
			b.Cleanup(m.flows.Watch())
			m.sidecar(Options{AppID: "back", App: appchan.Options{Addr: app, MaxHeld: 10, Hold: patience}})
			f(b, net.JoinHostPort("127.0.0.1", strconv.Itoa(m.front.Ports().HTTP)), "/v1.0/invoke/back/method/m")
		})
	}
}

// BenchmarkSmallCall is a POST of 256 bytes answered with as many, with
// everything recorded.
func BenchmarkSmallCall(b *testing.B) {
	app := leanApp(b)
	for _, flight := range []int{1, 32} {
		b.Run(strconv.Itoa(flight), func(b *testing.B) {
			ways(b, app, func(b *testing.B, addr, path string) { smallCalls(b, addr, path, flight) })
		})
	}
}

func smallCalls(b *testing.B, addr, path string, flight int) {
	b.Helper()
	request := []byte("POST " + path + " HTTP/1.1\r\nHost: mesh\r\nContent-Type: text/plain\r\nUser-Agent: bench\r\nAccept: */*\r\nContent-Length: 256\r\n\r\n" + strings.Repeat("x", 256))
	type conn struct {
		net.Conn
		r *bufio.Reader
	}
	call := func(c conn) {
		if _, err := c.Write(request); err != nil {
			b.Error(err)
		}
		if err := skipMessage(c.r); err != nil {
			b.Error(err)
		}
	}
	conns := make([]conn, flight)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		conns[i] = conn{c, bufio.NewReader(c)}
		call(conns[i])
	}
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			for left.Add(-1) >= 0 && !b.Failed() {
				call(c)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "µs-cpu/op")
}

// BenchmarkLargeBody passes 256 MiB in either direction.
func BenchmarkLargeBody(b *testing.B) {
	const size = 256 << 20
	piece := make([]byte, 256<<10)
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 256<<10))
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		for range size / len(piece) {
			_, _ = w.Write(piece)
		}
	})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = srv.Serve(ln) }()
	b.Cleanup(func() { _ = srv.Close() })
	for _, dir := range []string{"down", "up"} {
		b.Run(dir, func(b *testing.B) {
			ways(b, ln.Addr().String(), func(b *testing.B, addr, path string) {
				transport := &http.Transport{ReadBufferSize: 256 << 10, WriteBufferSize: 256 << 10}
				defer transport.CloseIdleConnections()
				buf := make([]byte, 256<<10)
				b.SetBytes(size)
				cpu := cpuTime()
				for b.Loop() {
					req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+addr+path, nil)
					if dir == "up" {
						req, err = http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+addr+path, io.LimitReader(zeros{}, size))
						req.ContentLength = size
					}
					if err != nil {
						b.Fatal(err)
					}
					res, err := transport.RoundTrip(req)
					if err != nil {
						b.Fatal(err)
					}
					n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, buf)
					_ = res.Body.Close()
					if err != nil || res.StatusCode != http.StatusOK || (dir == "down" && n != size) {
						b.Fatalf("%d bytes, status %d, %v", n, res.StatusCode, err)
					}
				}
				b.ReportMetric(float64((cpuTime()-cpu).Milliseconds())/float64(b.N)/(float64(size)/(1<<30)), "ms-cpu/GiB")
			})
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
