package appchan

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mesh/runtime/field"
	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// source is a body that a test feeds, one piece per Read.
type source struct {
	pieces chan string
	read   atomic.Int64
}

func newSource() *source { return &source{pieces: make(chan string, 100)} }

func (s *source) Read(p []byte) (int, error) {
	piece, ok := <-s.pieces
	if !ok {
		return 0, io.EOF
	}
	s.read.Add(int64(len(piece)))
	return copy(p, piece), nil
}

// endless is a body without an end that counts what is read of it.
type endless struct {
	n    atomic.Int64
	stop atomic.Bool
}

func (e *endless) Read(p []byte) (int, error) {
	if e.stop.Load() {
		return 0, errors.New("stopped")
	}
	e.n.Add(int64(len(p)))
	return len(p), nil
}

func TestBothDirectionsAtOnce(t *testing.T) {
	for _, length := range []int64{-1, 8} {
		addr := script(t, func(p *peer) {
			p.head()
			p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhead\r\n")
			size := 4
			if length < 0 {
				size = len("4\r\none!\r\n")
			}
			for range 2 {
				b := make([]byte, size)
				if _, err := io.ReadFull(p, b); err != nil {
					t.Error(err)
				}
				p.send("%x\r\n%s\r\n", len(b), b)
			}
			if length < 0 {
				if b, err := io.ReadAll(io.LimitReader(p, 5)); string(b) != "0\r\n\r\n" {
					t.Errorf("the request ends with %q, %v", b, err)
				}
			}
			p.send("0\r\n\r\n")
		})
		body := newSource()
		r, err := ready(t, Options{Addr: addr}).Handle(t.Context(), &stream.Call{Verb: "POST", Body: body, Length: length})
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		expect := func(want string) {
			t.Helper()
			n, err := r.Body.Read(buf)
			if got := string(buf[:n]); !strings.Contains(got, want) || err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("read %q, %v; want %q", got, err, want)
			}
		}
		// The reply is there before the request's first byte.
		expect("head")
		body.pieces <- "one!"
		expect("one!")
		body.pieces <- "two!"
		expect("two!")
		close(body.pieces)
		if n, err := r.Body.Read(buf); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("read %q, %v at the end", buf[:n], err)
		}
		r.Body.Close()
	}
}

func TestEarlyReplyStopsTheRequest(t *testing.T) {
	gone := make(chan struct{})
	addr := script(t, func(p *peer) {
		p.head()
		p.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		_, _ = io.Copy(io.Discard, p)
		close(gone)
	})
	a := ready(t, Options{Addr: addr})
	body := newSource()
	body.pieces <- "first"
	r, err := a.Handle(t.Context(), &stream.Call{Verb: "POST", Body: body, Length: -1})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r.Body); string(b) != "no" || r.Status != 413 || err != nil {
		t.Errorf("status %d %q, %v", r.Status, b, err)
	}
	eventually(t, "the first piece is taken", func() bool { return body.read.Load() == 5 })
	close(body.pieces) // as whoever made the call does before closing
	r.Body.Close()
	select {
	case <-gone:
	case <-time.After(wait):
		t.Error("the app does not learn that the call is over")
	}
	if s := a.Stats(); s.Calls != 0 {
		t.Errorf("%d calls in flight", s.Calls)
	}
}

func TestSlowAppHoldsTheSenderUp(t *testing.T) {
	release := make(chan struct{})
	addr := script(t, func(p *peer) {
		p.head()
		<-release
	})
	body := &endless{}
	a := ready(t, Options{Addr: addr})
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := a.Handle(ctx, &stream.Call{Verb: "POST", Body: body, Length: -1})
		done <- err
	}()
	// Socket buffers fill up, then nothing more is read.
	last, same := int64(-1), 0
	eventually(t, "the sender stands still", func() bool {
		n := body.n.Load()
		if same++; n != last || n == 0 {
			last, same = n, 0
		}
		return same > 50
	})
	if last > 32<<20 {
		t.Errorf("%d bytes were read ahead of the app", last)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the call ends with %v", err)
	}
	body.stop.Store(true)
	close(release)
}

func TestCancelReachesTheApp(t *testing.T) {
	for _, when := range []string{"before the reply", "in the reply"} {
		gone := make(chan time.Time, 1)
		addr := script(t, func(p *peer) {
			p.head()
			if when == "in the reply" {
				p.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
			}
			_, _ = io.Copy(io.Discard, p)
			gone <- time.Now()
		})
		cause := errors.New("the client left")
		ctx, cancel := context.WithCancelCause(t.Context())
		a := ready(t, Options{Addr: addr})
		var cancelled time.Time
		if when == "before the reply" {
			time.AfterFunc(20*time.Millisecond, func() {
				cancelled = time.Now()
				cancel(cause)
			})
			if _, err := a.Handle(ctx, &stream.Call{Verb: "GET"}); !errors.Is(err, cause) {
				t.Errorf("%s: the error is %v", when, err)
			}
		} else {
			r, err := a.Handle(ctx, &stream.Call{Verb: "GET"})
			if err != nil {
				t.Fatal(err)
			}
			cancelled = time.Now()
			cancel(cause)
			if _, err := io.ReadAll(r.Body); !errors.Is(err, cause) {
				t.Errorf("%s: the body ends with %v", when, err)
			}
			defer r.Body.Close()
		}
		if d := (<-gone).Sub(cancelled); d > 100*time.Millisecond {
			t.Errorf("%s: the app sees it after %v", when, d)
		}
	}
}

func TestBrokenRequestIsBrokenForTheApp(t *testing.T) {
	for _, length := range []int64{-1, 100} {
		seen := make(chan error, 1)
		addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			seen <- err
		})
		broken := errors.New("the client left")
		body := io.MultiReader(strings.NewReader("hello"), iotestErr{broken})
		_, err := ready(t, Options{Addr: addr}).Handle(t.Context(), &stream.Call{Verb: "POST", Body: body, Length: length})
		if !errors.Is(err, broken) {
			t.Errorf("the call ends with %v", err)
		}
		if err := <-seen; err == nil {
			t.Error("the app takes half a body for all of it")
		}
	}
}

type iotestErr struct{ err error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.err }

func TestBodyShorterThanItsLength(t *testing.T) {
	seen := make(chan error, 1)
	addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		seen <- err
	})
	body := io.MultiReader(strings.NewReader("hello"))
	_, err := ready(t, Options{Addr: addr}).Handle(t.Context(), &stream.Call{Verb: "POST", Body: body, Length: 100})
	if err == nil || !strings.Contains(err.Error(), "95 bytes early") {
		t.Errorf("the call ends with %v", err)
	}
	if <-seen == nil {
		t.Error("the app takes half a body for all of it")
	}
}

func TestExpectContinue(t *testing.T) {
	header := http.Header{"Expect": {"100-continue"}}
	t.Run("wanted", func(t *testing.T) {
		body := newSource()
		body.pieces <- "hello"
		close(body.pieces)
		addr := script(t, func(p *peer) {
			if h := p.head(); !strings.Contains(h, "Expect: 100-continue\r\n") {
				t.Errorf("the app sees %q", h)
			}
			if n := body.read.Load(); n != 0 {
				t.Errorf("%d bytes of the body were taken before the app asked", n)
			}
			p.send("HTTP/1.1 100 Continue\r\n\r\n")
			b := make([]byte, 5)
			_, _ = io.ReadFull(p, b)
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%s", b)
		})
		_, got := call(t, ready(t, Options{Addr: addr}), &stream.Call{Verb: "POST", Body: body, Length: 5, Header: header})
		if got != "hello" {
			t.Errorf("the app got %q", got)
		}
	})
	t.Run("refused", func(t *testing.T) {
		body := newSource()
		addr := script(t, func(p *peer) {
			p.head()
			p.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
			if n, _ := io.Copy(io.Discard, p); n != 0 {
				t.Errorf("the app got %d bytes that it did not want", n)
			}
		})
		r, _ := call(t, ready(t, Options{Addr: addr}), &stream.Call{Verb: "POST", Body: body, Length: 5, Header: header})
		if r.Status != 417 || body.read.Load() != 0 {
			t.Errorf("status %d, %d bytes read", r.Status, body.read.Load())
		}
	})
	t.Run("never answered", func(t *testing.T) {
		body := newSource()
		body.pieces <- "hello"
		addr := script(t, func(p *peer) {
			p.head()
			b := make([]byte, 5)
			_, _ = io.ReadFull(p, b)
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%s", b)
		})
		_, got := call(t, ready(t, Options{Addr: addr}), &stream.Call{Verb: "POST", Body: body, Length: 5, Header: header})
		if got != "hello" {
			t.Errorf("the app got %q", got)
		}
	})
}

func TestTrailers(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		_ = http.NewResponseController(w).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Sum", r.Trailer.Get("X-Sum"))
		w.Header().Set(http.TrailerPrefix+"Content-Length", "1")
	})
	for _, sum := range []string{"abc", "evil\r\nX: y"} {
		body := io.MultiReader(strings.NewReader("hello"))
		c := &stream.Call{Verb: "POST", Body: body, Length: -1, Trailer: func() http.Header {
			return http.Header{"X-Sum": {sum}, "Content-Length": {"3"}}
		}}
		r, _ := call(t, ready(t, Options{Addr: addr}), c)
		want := sum
		if !field.IsValue(sum) {
			want = ""
		}
		if got := r.Trailer(); got.Get("X-Sum") != want || got.Get("Content-Length") != "" || got.Get("X") != "" {
			t.Errorf("trailers are %v", got)
		}
	}
}

func TestMarks(t *testing.T) {
	rec := flow.NewRecorder()
	defer rec.Watch()()
	addr := script(t, func(p *peer) {
		p.head()
		b := make([]byte, 6)
		_, _ = io.ReadFull(p, b)
		p.send("HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello")
	})
	body := newSource()
	f := rec.Begin(flow.Head{Callee: "b"})
	a := ready(t, Options{Addr: addr})
	done := make(chan *stream.Reply, 1)
	go func() {
		r, err := a.Handle(t.Context(), &stream.Call{Verb: "POST", Body: body, Length: 6, Flow: f})
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	body.pieces <- "ab"
	eventually(t, "the first piece is marked", func() bool {
		l, _ := f.View().Lane(flow.Request, flow.CalleeOut)
		return l.Chunks == 1
	})
	body.pieces <- "cdef"
	r := <-done
	_, _ = io.Copy(io.Discard, r.Body)
	r.Body.Close()
	f.End(nil)
	v := f.View()
	out, _ := v.Lane(flow.Request, flow.CalleeOut)
	in, _ := v.Lane(flow.Reply, flow.CalleeIn)
	if out.Chunks != 2 || out.Bytes != 6 || in.Chunks != 1 || in.Bytes != 5 || v.Status != 201 {
		t.Errorf("request %+v, reply %+v, status %d", out, in, v.Status)
	}
}

func TestPieceIsPassedOnAsItComes(t *testing.T) {
	step := make(chan struct{})
	addr := script(t, func(p *peer) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 3 {
			p.send("4\r\ntick\r\n")
			<-step
		}
		p.send("0\r\n\r\n")
	})
	r, err := ready(t, Options{Addr: addr}).Handle(t.Context(), &stream.Call{Verb: "GET"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	n := 0
	w := writerFunc(func(p []byte) (int, error) {
		if n++; string(p) != "tick" {
			t.Errorf("piece %d is %q", n, p)
		}
		step <- struct{}{}
		return len(p), nil
	})
	if total, err := r.Body.(io.WriterTo).WriteTo(w); n != 3 || total != 12 || err != nil { //nolint:errcheck // a panic is a failure
		t.Errorf("%d pieces, %d bytes, %v", n, total, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestLibraryProtocols(t *testing.T) {
	for _, protocol := range []string{"h2c", "https"} {
		t.Run(protocol, func(t *testing.T) {
			var seen *http.Request
			addr := serveProtocol(t, protocol, func(w http.ResponseWriter, r *http.Request) {
				seen = r
				w.Header().Set("X-Proto", r.Proto)
				_ = http.NewResponseController(w).EnableFullDuplex()
				w.WriteHeader(http.StatusMultiStatus)
				_ = http.NewResponseController(w).Flush()
				_, _ = io.Copy(w, r.Body)
				w.Header().Set(http.TrailerPrefix+"X-Sum", "abc")
			})
			a := ready(t, Options{Addr: addr, Protocol: protocol, Token: "secret"})
			data := strings.Repeat("0123456789", 100_000)
			r, got := call(t, a, &stream.Call{
				Verb: "PUT", Path: "a b", Query: "x=1", Body: io.MultiReader(strings.NewReader(data)), Length: -1,
				Header: http.Header{"X-Two": {"a", "b"}, "Destination-App-Id": {"me"}},
			})
			if r.Status != 207 || got != data || r.Header.Get("X-Proto") != "HTTP/2.0" || r.Trailer().Get("X-Sum") != "abc" {
				t.Errorf("status %d, %d bytes, %v, trailer %v", r.Status, len(got), r.Header, r.Trailer())
			}
			if seen.RequestURI != "/a%20b?x=1" || seen.Host != addr || len(seen.Header["X-Two"]) != 2 ||
				seen.Header.Get("Dapr-Api-Token") != "secret" || seen.Header.Get("Destination-App-Id") != "" || seen.Header.Get("User-Agent") != "" {
				t.Errorf("the app sees %s %v", seen.RequestURI, seen.Header)
			}
			// A caller that leaves an endless call.
			ctx, cancel := context.WithCancel(t.Context())
			r, err := a.Handle(ctx, &stream.Call{Verb: "POST", Body: &endless{}, Length: -1})
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				t.Error("the reply of a cancelled call looks complete")
			}
			r.Body.Close()
			if s := a.Stats(); s.Calls != 0 {
				t.Errorf("%d calls in flight", s.Calls)
			}
		})
	}
}
