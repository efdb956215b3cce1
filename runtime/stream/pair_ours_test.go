package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func eachWay(t *testing.T, f func(t *testing.T, unary bool)) {
	t.Run("stream", func(t *testing.T) { f(t, false) })
	t.Run("unary", func(t *testing.T) { f(t, true) })
}

func TestHeadArrives(t *testing.T) {
	eachWay(t, func(t *testing.T, unary bool) {
		var got *Call
		o := pair(t, unary, HandlerFunc(func(_ context.Context, c *Call) (*Reply, error) {
			got = c
			r := text(418, "short and stout")
			r.Header["X-Kind"] = []string{"a", "b"}
			return r, nil
		}))
		c := get("tea/pot")
		c.Verb, c.Query = "DELETE", "a=1&b=%20;c"
		c.Header = http.Header{"X-One": {"1"}, "X-Two": {"2", "3"}, "Accept": {"*/*"}}
		r, err := o.Handle(within(t), c)
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != 418 || r.Length != 15 || fmt.Sprint(r.Header["X-Kind"]) != "[a b]" || r.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("reply %d %d %v", r.Status, r.Length, r.Header)
		}
		if s := all(t, r); s != "short and stout" {
			t.Errorf("body %q", s)
		}
		if got.Verb != "DELETE" || got.Path != "tea/pot" || got.Query != "a=1&b=%20;c" || got.AppID != "callee" || got.Body != nil {
			t.Errorf("call %+v", got)
		}
		if fmt.Sprint(got.Header["X-Two"]) != "[2 3]" || got.Header.Get("Accept") != "*/*" {
			t.Errorf("headers %v", got.Header)
		}
	})
}

func TestBodiesOfAllSizes(t *testing.T) {
	sizes := []int{0, 1, smallBuffer - headroom - 1, smallBuffer - headroom, smallBuffer, maxPayload - 1, maxPayload, maxPayload + 1, 1 << 20}
	eachWay(t, func(t *testing.T, unary bool) {
		o := pair(t, unary, HandlerFunc(echo))
		for _, size := range sizes {
			for _, known := range []bool{true, false} {
				want := strings.Repeat("0123456789abcdef", size/16+1)[:size]
				length := int64(-1)
				if known {
					length = int64(size)
				}
				for name, body := range map[string]io.Reader{"ready": strings.NewReader(want), "slow": io.MultiReader(strings.NewReader(want))} {
					r, err := o.Handle(within(t), post(body, length))
					if err != nil {
						t.Fatalf("%d bytes, %s: %v", size, name, err)
					}
					if known && r.Length != length {
						t.Errorf("%d bytes, %s: the reply says %d", size, name, r.Length)
					}
					if got := all(t, r); got != want {
						t.Errorf("%d bytes, %s: got %d", size, name, len(got))
					}
				}
			}
		}
	})
}

func TestTrailers(t *testing.T) {
	o := pair(t, false, HandlerFunc(echo))
	c := post(strings.NewReader("x"), -1)
	c.Trailer = func() http.Header { return http.Header{"X-Sum": {"42", "43"}} }
	r, err := o.Handle(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	if s := all(t, r); s != "x" {
		t.Errorf("body %q", s)
	}
	// There and back again: the app was given them and sent them as its own.
	if got := r.Trailer(); fmt.Sprint(got) != "map[X-Sum:[42 43]]" {
		t.Errorf("trailers %v", got)
	}
}

func TestFullDuplex(t *testing.T) {
	o := pair(t, false, HandlerFunc(echo))
	pr, pw := io.Pipe()
	r, err := o.Handle(within(t), post(pr, -1))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	for i := range 100 {
		want := fmt.Sprint("ping ", i)
		if _, err := io.WriteString(pw, want); err != nil {
			t.Fatal(err)
		}
		n, err := io.ReadAtLeast(r.Body, buf, len(want))
		if err != nil || string(buf[:n]) != want {
			t.Fatalf("got %q, %v", buf[:n], err)
		}
	}
	_ = pw.Close()
	if s := all(t, r); s != "" {
		t.Errorf("left over: %q", s)
	}
}

func TestCancelReachesTheApp(t *testing.T) {
	eachWay(t, func(t *testing.T, unary bool) {
		entered, left := make(chan struct{}), make(chan struct{})
		o := pair(t, unary, HandlerFunc(func(ctx context.Context, _ *Call) (*Reply, error) {
			close(entered)
			<-ctx.Done()
			close(left)
			return nil, ctx.Err()
		}))
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the client has gone")
		go func() {
			<-entered
			cancel(gone)
		}()
		if _, err := o.Handle(ctx, get("m")); !errors.Is(err, gone) {
			t.Errorf("error %v", err)
		}
		<-left
	})
}

func TestCloseStopsTheApp(t *testing.T) {
	closed := make(chan struct{})
	o := pair(t, false, HandlerFunc(func(ctx context.Context, _ *Call) (*Reply, error) {
		pr, pw := io.Pipe()
		context.AfterFunc(ctx, func() { pw.CloseWithError(ctx.Err()) })
		go func() { _, _ = io.WriteString(pw, "first") }()
		return &Reply{Status: 200, Header: http.Header{}, Length: -1, Body: closer{pr, func() error { close(closed); return pr.Close() }}}, nil
	}))
	r, err := o.Handle(within(t), get("m"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	<-closed
}

func TestBrokenReplyIsNeverComplete(t *testing.T) {
	eachWay(t, func(t *testing.T, unary bool) {
		o := pair(t, unary, HandlerFunc(func(context.Context, *Call) (*Reply, error) {
			body := io.MultiReader(strings.NewReader("half"), errReader{errors.New("the app crashed")})
			return &Reply{Status: 200, Header: http.Header{}, Length: -1, Body: io.NopCloser(body)}, nil
		}))
		r, err := o.Handle(within(t), get("m"))
		if err == nil {
			_, err = io.ReadAll(r.Body)
			_ = r.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "the app crashed") {
			t.Errorf("error %v", err)
		}
	})
}

func TestBrokenRequestIsNeverComplete(t *testing.T) {
	seen, entered := make(chan error, 1), make(chan struct{})
	o := pair(t, false, HandlerFunc(func(_ context.Context, c *Call) (*Reply, error) {
		close(entered)
		_, err := io.ReadAll(c.Body)
		seen <- err
		return nil, err
	}))
	gone := errors.New("connection reset")
	_, err := o.Handle(within(t), post(io.MultiReader(strings.NewReader("half"), waitReader{entered}, errReader{gone}), -1))
	if !errors.Is(err, gone) {
		t.Errorf("the caller got %v", err)
	}
	if err := <-seen; err == nil {
		t.Error("the app saw a whole body")
	}
}

func TestShortReplyIsBroken(t *testing.T) {
	o := pair(t, false, HandlerFunc(func(context.Context, *Call) (*Reply, error) {
		r := text(200, "12345")
		r.Length = 10
		return r, nil
	}))
	r, err := o.Handle(within(t), get("m"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.ReadAll(r.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
	_ = r.Body.Close()
}

func TestReplyToHeadKeepsItsLength(t *testing.T) {
	eachWay(t, func(t *testing.T, unary bool) {
		o := pair(t, unary, HandlerFunc(func(context.Context, *Call) (*Reply, error) {
			return &Reply{Status: 200, Header: http.Header{}, Length: 1234, Body: http.NoBody}, nil
		}))
		c := get("m")
		c.Verb = "HEAD"
		r, err := o.Handle(within(t), c)
		if err != nil {
			t.Fatal(err)
		}
		if s := all(t, r); s != "" || r.Length != 1234 {
			t.Errorf("%q, length %d", s, r.Length)
		}
	})
}

func TestPanicEndsOneCall(t *testing.T) {
	eachWay(t, func(t *testing.T, unary bool) {
		o := pair(t, unary, HandlerFunc(func(_ context.Context, c *Call) (*Reply, error) {
			if c.Path == "bad" {
				panic("oh no")
			}
			return text(200, "fine"), nil
		}))
		if _, err := o.Handle(within(t), get("bad")); err == nil || !strings.Contains(err.Error(), "oh no") {
			t.Errorf("error %v", err)
		}
		r, err := o.Handle(within(t), get("good"))
		if err != nil {
			t.Fatal(err)
		}
		all(t, r)
	})
}

func TestPanickingBodyEndsOneCall(t *testing.T) {
	o := pair(t, false, HandlerFunc(echo))
	r, err := o.Handle(within(t), post(panicReader{}, -1))
	if err == nil {
		_, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "reading panics") {
		t.Errorf("error %v", err)
	}
}

func TestEarlyReplyWhileTheRequestGoesOn(t *testing.T) {
	o := pair(t, false, HandlerFunc(func(context.Context, *Call) (*Reply, error) { return text(413, "too much"), nil }))
	pr, pw := io.Pipe()
	r, err := o.Handle(within(t), post(pr, -1))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r.Body); r.Status != 413 || string(b) != "too much" || err != nil {
		t.Errorf("%d %q %v", r.Status, b, err)
	}
	_ = pw.Close() // what an edge does before it closes
	_ = r.Body.Close()
}

func TestSlowReaderStopsTheWriter(t *testing.T) {
	release := make(chan struct{})
	o := pair(t, false, HandlerFunc(func(_ context.Context, c *Call) (*Reply, error) {
		<-release
		n, err := io.Copy(io.Discard, c.Body)
		return text(200, strconv.FormatInt(n, 10)), err
	}))
	const size = 8 << 20
	body := &counted{r: io.LimitReader(zeros{}, size)}
	done := make(chan *Reply)
	go func() {
		r, err := o.Handle(t.Context(), post(body, -1))
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	body.settle(t)
	if n := body.count(); n > streamWindow+256<<10 {
		t.Errorf("%d bytes were read from the client of an app that reads none", n)
	}
	close(release)
	if s := all(t, <-done); s != strconv.Itoa(size) {
		t.Errorf("the app read %s", s)
	}
}

func TestManyStreamsAtOnce(t *testing.T) {
	o := pair(t, false, HandlerFunc(echo))
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			want := bytes.Repeat([]byte{byte(i)}, 100*i)
			r, err := o.Handle(within(t), post(io.MultiReader(bytes.NewReader(want)), -1))
			if err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("stream %d: %d bytes, %v", i, len(got), err)
			}
			_ = r.Body.Close()
		})
	}
	wg.Wait()
}
