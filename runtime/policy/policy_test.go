package policy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mesh/runtime/stream"
)

// answer is an app whose reply comes after a delay and then flows in pieces.
type answer struct {
	after  time.Duration
	every  time.Duration // between the pieces
	pieces int
	status int
	err    error
}

func (a answer) Handle(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	if c.Body != nil {
		if _, err := io.Copy(io.Discard, c.Body); err != nil {
			return nil, err
		}
	}
	if !pause(ctx, a.after) {
		return nil, context.Cause(ctx)
	}
	if a.err != nil {
		return nil, a.err
	}
	status := a.status
	if status == 0 {
		status = 200
	}
	return &stream.Reply{Status: status, Length: -1, Body: &pieces{ctx: ctx, every: a.every, left: a.pieces}}, nil
}

type pieces struct {
	ctx   context.Context //nolint:containedctx // the call's own, for its body
	every time.Duration
	left  int
	rest  string // of the piece that is being read
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.rest != "" {
		n := copy(b, p.rest)
		p.rest = p.rest[n:]
		return n, nil
	}
	if p.left == 0 {
		return 0, io.EOF
	}
	if !pause(p.ctx, p.every) {
		return 0, p.ctx.Err()
	}
	p.left--
	n := copy(b, "0123456789")
	p.rest = "0123456789"[n:]
	return n, nil
}

func (p *pieces) Close() error { return nil }

func call(t *testing.T, h stream.Handler, c *stream.Call) (int, string, error) {
	t.Helper()
	r, err := h.Handle(t.Context(), c)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.Status, string(b), err
}

func TestTimeouts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit Timeout
		app   answer
		want  string // the limit that is exceeded, or ""
	}{
		{"in time", Timeout{FirstByte: time.Second, Idle: time.Second, Total: time.Minute}, answer{pieces: 3, every: time.Second / 2}, ""},
		{"late head", Timeout{FirstByte: time.Second}, answer{after: 2 * time.Second}, "first byte"},
		{"a long stream is not cut", Timeout{FirstByte: time.Second, Idle: 2 * time.Second}, answer{pieces: 1000, every: time.Second}, ""},
		{"silence in the middle", Timeout{Idle: time.Second}, answer{pieces: 2, every: 3 * time.Second}, "idle"},
		{"silence before the head", Timeout{Idle: time.Second}, answer{after: 3 * time.Second}, "idle"},
		{"a try that takes too long", Timeout{Try: 5 * time.Second}, answer{pieces: 100, every: time.Second}, "try"},
		{"all in all too long", Timeout{Total: 5 * time.Second}, answer{pieces: 100, every: time.Second}, "total"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, body, err := call(t, Policy{Timeout: tt.limit}.Wrap(tt.app), &stream.Call{})
				var over *TimeoutError
				if errors.As(err, &over); (over == nil) != (tt.want == "") || over != nil && over.Limit != tt.want {
					t.Fatalf("ends with %v, want limit %q", err, tt.want)
				}
				if tt.want == "" && len(body) != 10*tt.app.pieces {
					t.Errorf("%d bytes arrived, want %d", len(body), 10*tt.app.pieces)
				}
			})
		})
	}
}

// TestUploadIsNoSilence: a client that sends is heard, although the app says nothing.
func TestUploadIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = time.Second
		c := &stream.Call{Body: &pieces{ctx: t.Context(), every: every, left: 100}, Length: -1}
		if _, _, err := call(t, Policy{Timeout: Timeout{Idle: 2 * every}}.Wrap(answer{}), c); err != nil {
			t.Errorf("an upload of %v ends with %v", 100*every, err)
		}
	})
}

// failing fails the first n calls, then answers with what it was sent.
type failing struct {
	n, status int
	err       error
	seen      atomic.Int32
	unread    bool // fails without reading the body
}

func (f *failing) Handle(_ context.Context, c *stream.Call) (*stream.Reply, error) {
	try := int(f.seen.Add(1))
	if f.unread && try <= f.n {
		return nil, f.err
	}
	var body []byte
	if c.Body != nil {
		body, _ = io.ReadAll(c.Body)
	}
	switch {
	case try <= f.n && f.err != nil:
		return nil, f.err
	case try <= f.n:
		return &stream.Reply{Status: f.status, Body: io.NopCloser(strings.NewReader("failed"))}, nil
	}
	return &stream.Reply{Status: 200, Body: io.NopCloser(bytes.NewReader(body))}, nil
}

func TestRetry(t *testing.T) {
	broken := errors.New("connection refused")
	body := strings.Repeat("x", 1000)
	for _, tt := range []struct {
		name   string
		retry  Retry
		app    *failing
		body   string
		length int64
		tries  int32
		status int
		text   string // of the error
	}{
		{"until it works", Retry{Max: 3, Interval: time.Second}, &failing{n: 2, err: broken}, body, 1000, 3, 200, ""},
		{"a failing status", Retry{Max: 3, Interval: time.Second}, &failing{n: 1, status: 503}, body, 1000, 2, 200, ""},
		{"the app's refusal is final", Retry{Max: 3}, &failing{n: 1, status: 404}, body, 1000, 1, 404, ""},
		{"gives up", Retry{Max: 2, Interval: time.Second}, &failing{n: 9, err: broken}, body, 1000, 3, 0, "connection refused"},
		{"the last reply is given as it is", Retry{Max: 1}, &failing{n: 9, status: 500}, body, 1000, 2, 500, ""},
		{"a stream that has flowed", Retry{Max: 3}, &failing{n: 1, err: broken}, body, -1, 2, 200, ""},
		{"a body that is too long", Retry{Max: 3}, &failing{n: 1, err: broken}, strings.Repeat("y", stream.ReplayLimit+1), stream.ReplayLimit + 1, 1, 0, "longer than the 256 KiB"},
		{"a long body that nobody read", Retry{Max: 3}, &failing{n: 1, err: broken, unread: true}, strings.Repeat("y", stream.ReplayLimit+1), stream.ReplayLimit + 1, 2, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &stream.Call{Body: strings.NewReader(tt.body), Length: tt.length}
				status, got, err := call(t, tt.retry.Wrap(tt.app), c)
				if tt.app.seen.Load() != tt.tries {
					t.Errorf("tried %d times, want %d", tt.app.seen.Load(), tt.tries)
				}
				if status != tt.status || (err == nil) != (tt.text == "") || err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Fatalf("status %d and error %v, want %d and %q", status, err, tt.status, tt.text)
				}
				if status == 200 && got != tt.body {
					t.Errorf("the app was sent %d bytes in the end, want %d", len(got), len(tt.body))
				}
			})
		})
	}
}

func TestRetryOfAStreamUnderWay(t *testing.T) {
	app := &failing{n: 1, err: errors.New("broken pipe")}
	body, w := io.Pipe()
	h := stream.HandlerFunc(func(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
		if app.seen.Add(1) == 1 {
			_, _ = c.Body.Read(make([]byte, 4))
			return nil, app.err
		}
		t.Error("a stream that had begun to flow was tried again")
		return app.Handle(ctx, c)
	})
	go func() { _, _ = w.Write([]byte("some")) }()
	_, _, err := call(t, (&Retry{Max: 3}).Wrap(h), &stream.Call{Body: body, Length: -1})
	var not *NotReplayableError
	if !errors.As(err, &not) || !errors.Is(err, app.err) {
		t.Errorf("error %v, want one that says why it was not tried again", err)
	}
}

// TestRetryWhileTheLastTryStillReads is what the wire may do: a try fails while
// its sender is inside a read of the body. What that read brings belongs to the
// next try, all of it and once.
func TestRetryWhileTheLastTryStillReads(t *testing.T) {
	body, w := io.Pipe()
	reading := make(chan struct{})
	var senders sync.WaitGroup
	first := true
	h := stream.HandlerFunc(func(_ context.Context, c *stream.Call) (*stream.Reply, error) {
		if first {
			first = false
			senders.Go(func() { close(reading); _, _ = c.Body.Read(make([]byte, 3)) })
			<-reading
			return nil, errors.New("connection reset")
		}
		got, err := io.ReadAll(c.Body)
		if err != nil {
			return nil, err
		}
		return &stream.Reply{Status: 200, Body: io.NopCloser(bytes.NewReader(got))}, nil
	})
	go func() { // ends with the pipe
		<-reading
		_, _ = io.WriteString(w, "all of the body")
		_ = w.Close()
	}()
	_, got, err := call(t, (&Retry{Max: 1, Interval: time.Millisecond}).Wrap(h), &stream.Call{Body: body, Length: 15})
	senders.Wait()
	if err != nil || got != "all of the body" {
		t.Errorf("the second try was sent %q, %v", got, err)
	}
}

func TestRetryPauses(t *testing.T) {
	r := Retry{Interval: time.Second, Exponential: true, MaxInterval: 10 * time.Second}
	var last time.Duration
	for try := range 20 {
		d := r.delay(try, 0.5)
		if d < last || d > r.MaxInterval {
			t.Errorf("pause %d is %v after %v", try, d, last)
		}
		last = d
	}
	if last != r.MaxInterval {
		t.Errorf("pauses end at %v, want %v", last, r.MaxInterval)
	}
	if a, b := r.delay(1, 0), r.delay(1, 0.9); a == b {
		t.Error("pauses have no jitter")
	}
}

func TestBreakerOpensAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []string
		app := &failing{n: 3, status: 500}
		b := NewBreaker(BreakerOptions{Name: "orders", Failures: 3, Timeout: 10 * time.Second, Changed: func(_, to string) { changes = append(changes, to) }})
		h := Policy{Breaker: b}.Wrap(app)
		for range 3 {
			if status, _, err := call(t, h, &stream.Call{}); status != 500 || err != nil {
				t.Fatalf("status %d, error %v while closed", status, err)
			}
		}
		_, _, err := call(t, h, &stream.Call{})
		var open *OpenError
		if !errors.As(err, &open) || app.seen.Load() != 3 {
			t.Fatalf("error %v after %d calls, want an open circuit", err, app.seen.Load())
		}
		time.Sleep(11 * time.Second) // the bubble's clock
		if status, _, err := call(t, h, &stream.Call{}); status != 200 || err != nil {
			t.Fatalf("status %d, error %v after the pause", status, err)
		}
		if got := strings.Join(changes, " "); got != "open half-open closed" {
			t.Errorf("the breaker went %s", got)
		}
	})
}

func TestBreakerCountsBrokenReplies(t *testing.T) {
	b := NewBreaker(BreakerOptions{Name: "orders", Failures: 1})
	h := b.Wrap(stream.HandlerFunc(func(context.Context, *stream.Call) (*stream.Reply, error) {
		return &stream.Reply{Status: 200, Body: io.NopCloser(io.MultiReader(strings.NewReader("half"), &brokenReader{}))}, nil
	}))
	_, _, _ = call(t, h, &stream.Call{})
	if b.State() != "open" {
		t.Errorf("a reply that broke off leaves the circuit %s", b.State())
	}
}

// TestBreakerPassesOverCallsGivenUp: a caller that loses its patience makes an
// app neither worse nor better.
func TestBreakerPassesOverCallsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &failing{n: 2, err: errors.New("connection refused")}
		b := NewBreaker(BreakerOptions{Name: "orders", Failures: 2, Timeout: time.Second})
		giveUp := func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if _, err := b.Wrap(answer{after: time.Minute}).Handle(ctx, &stream.Call{}); err == nil {
				t.Fatal("a reply to a call that was given up")
			}
		}
		fail := func() { _, _, _ = call(t, b.Wrap(app), &stream.Call{}) }
		giveUp()
		giveUp()
		fail()
		if b.State() != "closed" {
			t.Errorf("one failure, and the circuit is %s", b.State())
		}
		giveUp()
		fail()
		if b.State() != "open" {
			t.Errorf("two failures in a row, and the circuit is %s", b.State())
		}
		time.Sleep(2 * time.Second) // the bubble's clock
		giveUp()
		if b.State() != "half-open" {
			t.Errorf("nothing is known of the app yet, but the circuit is %s", b.State())
		}
		fail()
		if b.State() != "closed" { // the app is well by now
			t.Errorf("after a call that went well the circuit is %s", b.State())
		}
	})
}

// TestStreamClosesTheCircuit: whether an app is well again does not wait for the
// end of a stream that may have none.
func TestStreamClosesTheCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(BreakerOptions{Name: "orders", Failures: 1, Timeout: time.Second})
		_, _, _ = call(t, b.Wrap(&failing{n: 1, status: 500}), &stream.Call{})
		time.Sleep(2 * time.Second) // the bubble's clock
		r, err := b.Wrap(answer{pieces: 1 << 30, every: time.Second}).Handle(t.Context(), &stream.Call{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if status, _, err := call(t, b.Wrap(answer{}), &stream.Call{}); status != 200 || err != nil {
			t.Errorf("while the first stream flows, another call gets %d %v", status, err)
		}
	})
}

type brokenReader struct{}

func (*brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Faults
		h := f.Wrap(answer{pieces: 10})
		orders := &stream.Call{AppID: "orders"}
		if _, body, err := call(t, h, orders); err != nil || len(body) != 100 {
			t.Fatalf("without faults: %d bytes, %v", len(body), err)
		}

		f.Set([]Fault{{Name: "slow", Target: "orders", Delay: time.Minute}})
		begun := time.Now()
		_, _, _ = call(t, h, orders)
		if d := time.Since(begun); d != time.Minute {
			t.Errorf("a delayed call took %v", d)
		}
		begun = time.Now()
		_, _, _ = call(t, h, &stream.Call{AppID: "web"})
		if d := time.Since(begun); d != 0 {
			t.Errorf("a call to another app took %v", d)
		}
		f.Set([]Fault{{Name: "slow", Target: "orders", Delay: time.Minute, Off: true}})
		begun = time.Now()
		if _, _, _ = call(t, h, orders); time.Since(begun) != 0 {
			t.Error("a fault that is switched off still delays")
		}

		f.Set([]Fault{{Name: "no", Abort: 503}})
		if status, body, err := call(t, h, orders); status != 503 || err != nil || !strings.Contains(body, "fault no") {
			t.Errorf("aborted: %d %q %v", status, body, err)
		}

		f.Set([]Fault{{Name: "cut", CutAfter: 25}})
		if _, body, err := call(t, h, orders); !errors.Is(err, ErrCut) || len(body) != 25 {
			t.Errorf("cut: %d bytes, %v", len(body), err)
		}

		f.Set([]Fault{{Name: "narrow", Bandwidth: 10}})
		begun = time.Now()
		if _, body, err := call(t, h, orders); err != nil || len(body) != 100 {
			t.Errorf("narrow: %d bytes, %v", len(body), err)
		}
		if d := time.Since(begun); d < 9*time.Second || d > 11*time.Second {
			t.Errorf("100 bytes at 10 bytes a second took %v", d)
		}
	})
}

func TestFaultRate(t *testing.T) {
	f := Fault{Rate: 0.2}
	if !f.hits("a", 0.1) || f.hits("a", 0.3) || !(Fault{}).hits("a", 0.99) {
		t.Error("the rate does not decide")
	}
}
