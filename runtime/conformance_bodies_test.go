package runtime

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	stdruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const large = 64 << 20

// pattern gives n bytes that differ from place to place.
func pattern(n int64) io.Reader { return io.LimitReader(&patternReader{}, n) }

type patternReader struct{ at int }

// The length of the block is odd, so that no frame or buffer is like the next.
func (p *patternReader) Read(b []byte) (int, error) {
	n := copy(b, block()[p.at:])
	p.at = (p.at + n) % blockSize
	return n, nil
}

const blockSize = 1<<20 + 7

var block = sync.OnceValue(func() []byte {
	b := make([]byte, blockSize)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
})

func sum(r io.Reader) (string, int64, error) {
	h := crc32.NewIEEE()
	n, err := io.Copy(h, r)
	return strconv.Itoa(int(h.Sum32())), n, err
}

// flat runs f and fails when the heap of this process, in which everything
// runs, grows meanwhile by more than a stream may need.
func flat(t *testing.T, m *mesh, f func()) {
	t.Helper()
	const bound = 24 << 20
	heap := func() uint64 {
		var s stdruntime.MemStats
		stdruntime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	stdruntime.GC()
	before, peak := heap(), uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				peak = max(peak, heap())
			case <-stop:
				return
			}
		}
	}()
	f()
	close(stop)
	<-done
	if m.streams() && peak > before+bound {
		t.Errorf("the heap grew by %d MiB", (peak-before)>>20)
	}
}

func largeReply(t *testing.T, m *mesh) {
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", strconv.Itoa(large))
		}
		_, err := io.Copy(w, pattern(large))
		must(t, err)
	})
	want, _, _ := sum(pattern(large))
	for _, path := range []string{"known", "chunked"} {
		flat(t, m, func() {
			if got, n, err := sum(m.do(m.request("GET", "back", path, nil)).Body); got != want || err != nil {
				t.Errorf("%s: %d bytes, %v", path, n, err)
			}
		})
	}
}

func largeRequest(t *testing.T, m *mesh) {
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		got, n, err := sum(r.Body)
		must(t, err)
		_, err = fmt.Fprintln(w, got, n, r.ContentLength)
		must(t, err)
	})
	want, _, _ := sum(pattern(large))
	for _, length := range []int64{large, -1} {
		flat(t, m, func() {
			req := m.request("POST", "back", "m", io.NopCloser(pattern(large)))
			req.ContentLength = length
			seen := length
			if !m.streams() {
				seen = large
			}
			if got := m.read(m.do(req)); got != fmt.Sprintln(want, large, seen) {
				t.Errorf("length %d: the app got %s", length, got)
			}
		})
	}
}

func slowProducer(t *testing.T, m *mesh) {
	next, finished := make(chan struct{}), make(chan struct{})
	m.app("back", func(w http.ResponseWriter, _ *http.Request) {
		defer close(finished)
		for i := range 5 {
			send(t, w, fmt.Sprintln("line", i))
			if m.streams() {
				soon(t, "the client to read", next)
			}
		}
	})
	res := m.do(m.request("GET", "back", "m", nil))
	if !m.streams() {
		soon(t, "the app", finished) // the reply begins when it is whole
	}
	lines := bufio.NewReader(res.Body)
	for i := range 5 {
		if s, err := lines.ReadString('\n'); s != fmt.Sprintln("line", i) || err != nil {
			t.Fatalf("line %d: %q, %v", i, s, err)
		}
		if m.streams() {
			next <- struct{}{} // the app writes nothing more before this line was read
		}
	}
}

// settled waits until n grows no more and gives it.
func settled(t testing.TB, n *atomic.Int64) int64 {
	t.Helper()
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		before := n.Load()
		<-tick.C
		if after := n.Load(); after == before && after > 0 {
			return after
		}
	}
	t.Fatal("it never stops")
	return 0
}

// slack is what may lie between two ends that do not read: the buffers of three
// TCP connections on loopback, which the kernel makes as large as it likes.
const slack = 40 << 20

func slowConsumerOfReply(t *testing.T, m *mesh) {
	const size = 2 * slack
	var written atomic.Int64
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 64<<10)
		for written.Load() < size && r.Context().Err() == nil {
			n, err := w.Write(buf)
			if written.Add(int64(n)); err != nil {
				return
			}
		}
	})
	res := m.do(m.request("GET", "back", "m", nil))
	n := settled(t, &written)
	if m.streams() && n > slack {
		t.Errorf("the app wrote %d bytes that nobody reads", n)
	}
	if got, err := io.Copy(io.Discard, res.Body); got != size || err != nil {
		t.Errorf("%d bytes, %v", got, err)
	}
}

func slowConsumerOfRequest(t *testing.T, m *mesh) {
	const size = 2 * slack
	release := make(chan struct{})
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		soon(t, "the release", release)
		n, err := io.Copy(io.Discard, r.Body)
		must(t, err)
		_, _ = fmt.Fprint(w, n)
	})
	var read atomic.Int64
	body := io.LimitReader(countedReader{&read}, size)
	done := make(chan string, 1)
	go func() { done <- m.read(m.do(m.request("POST", "back", "m", body))) }()
	n := settled(t, &read)
	if m.streams() && n > slack {
		t.Errorf("the client wrote %d bytes that the app does not read", n)
	}
	close(release)
	if got := soon(t, "the reply", done); got != strconv.Itoa(size) {
		t.Errorf("the app read %s", got)
	}
}

type countedReader struct{ n *atomic.Int64 }

func (c countedReader) Read(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func earlyReply(t *testing.T, m *mesh) {
	called := make(chan struct{})
	m.app("back", func(w http.ResponseWriter, _ *http.Request) {
		close(called)
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, "too much")
	})
	pr, pw := io.Pipe()
	defer func() { _ = pw.Close() }()
	req := m.request("POST", "back", "m", pr)
	req.ContentLength = 1 << 30 // of which not one byte is ever sent
	if !m.streams() {
		// The app is not called before the request is whole.
		req.ContentLength = 3
		go func() {
			select {
			case <-called:
				t.Error("the app was called with half a request")
			default:
			}
			_, _ = io.WriteString(pw, "abc")
			_ = pw.Close()
		}()
	}
	res := m.do(req)
	if got := m.read(res); res.StatusCode != http.StatusRequestEntityTooLarge || got != "too much" {
		t.Errorf("%d %q", res.StatusCode, got)
	}
}

func headFirst(t *testing.T, m *mesh) {
	if !m.streams() {
		return // there is no head without a body
	}
	release := make(chan struct{})
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", "4")
		}
		must(t, http.NewResponseController(w).Flush())
		<-release
		_, _ = io.WriteString(w, "late")
	})
	for _, path := range []string{"known", "chunked"} {
		release = make(chan struct{})
		res := m.do(m.request("GET", "back", path, nil)) // must return now
		close(release)
		if got := m.read(res); got != "late" {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func serverSentEvents(t *testing.T, m *mesh) {
	next := make(chan struct{}, 10)
	m.app("back", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			send(t, w, fmt.Sprintf("data: %d\n\n", i))
			if m.streams() {
				soon(t, "the client to read", next)
			}
		}
	})
	req := m.request("GET", "back", "m", nil)
	req.Header.Set("Accept", "text/event-stream")
	res := m.do(req)
	if ct := res.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("content type %q", ct)
	}
	buf := make([]byte, 9)
	for i := range 3 {
		if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != fmt.Sprintf("data: %d\n\n", i) {
			t.Fatalf("event %d: %q, %v", i, buf, err)
		}
		next <- struct{}{}
	}
}

func fullDuplex(t *testing.T, m *mesh) {
	m.app("back", echo(t))
	pr, pw := io.Pipe()
	replied := make(chan *http.Response, 1)
	go func() { replied <- m.do(m.request("POST", "back", "m", pr)) }()
	if !m.streams() {
		for range 10 {
			_, err := io.WriteString(pw, "ping")
			must(t, err)
		}
		select {
		case <-replied:
			t.Error("there is a reply to half a request")
		default:
		}
		_ = pw.Close()
		if got := m.read(soon(t, "the reply", replied)); got != strings.Repeat("ping", 10) {
			t.Errorf("got %q", got)
		}
		return
	}
	pingPong(t, pw, func() io.ReadCloser { return soon(t, "the reply", replied).Body }, 100)
}

// pingPong sends and reads in turn.
func pingPong(t testing.TB, pw *io.PipeWriter, reply func() io.ReadCloser, rounds int) {
	t.Helper()
	var body io.ReadCloser
	buf := make([]byte, 32)
	for i := range rounds {
		want := fmt.Sprintf("ping %d", i)
		if _, err := io.WriteString(pw, want); err != nil {
			t.Error(err)
			return
		}
		if body == nil {
			body = reply()
		}
		if n, err := io.ReadFull(body, buf[:len(want)]); err != nil || string(buf[:n]) != want {
			t.Errorf("round %d: %q, %v", i, buf[:n], err)
			return
		}
	}
	_ = pw.Close()
	if rest, err := io.ReadAll(body); len(rest) > 0 || err != nil {
		t.Errorf("left over: %q, %v", rest, err)
	}
}

func trailers(t *testing.T, m *mesh) {
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		must(t, err)
		send(t, w, "body")
		w.Header().Set(http.TrailerPrefix+"X-Sum", "42")
		w.Header().Set(http.TrailerPrefix+"X-Seen", r.Trailer.Get("X-Request-Sum"))
	})
	req := m.request("POST", "back", "m", io.MultiReader(strings.NewReader("abc")))
	req.Trailer = http.Header{"X-Request-Sum": {"7"}}
	res := m.do(req)
	if got := m.read(res); got != "body" || res.Trailer.Get("X-Sum") != "42" {
		t.Errorf("%q with trailers %v", got, res.Trailer)
	}
	if res.Trailer.Get("X-Seen") != "7" {
		t.Errorf("the app saw the request's trailer as %q", res.Trailer.Get("X-Seen"))
	}
}
