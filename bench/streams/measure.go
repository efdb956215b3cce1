package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// one is a single kind of call.
type one struct {
	name string
	size int64
	call func(ctx context.Context, client *http.Client, base string) (timing, error)
}

// timing is how a call went, from its start.
type timing struct {
	first time.Duration // until the first byte of the answer's body
	total time.Duration
}

// figure is one measured call; memory in bytes, 0 when it cannot be told.
type figure struct {
	way, name string
	run       int
	size      int64
	timing
	idle, peak int64         // resident memory of the mesh process before its first call, and its highest during this one
	cpu        time.Duration // of the mesh process
	err        error
}

func cases(o options) []one {
	return []one{
		{name: "slow", size: int64(o.limit), call: func(ctx context.Context, client *http.Client, base string) (timing, error) {
			return upload(ctx, client, base, &slowly{ctx: ctx, zeros: zeros{left: int64(o.limit)}}, int64(o.limit))
		}},
		{name: "up", size: o.size, call: func(ctx context.Context, client *http.Client, base string) (timing, error) {
			return upload(ctx, client, base, &zeros{left: o.size}, o.size)
		}},
		{name: "down", size: o.size, call: func(ctx context.Context, client *http.Client, base string) (timing, error) {
			return download(ctx, client, base, o.size)
		}},
	}
}

// measure makes one call, on a connection of its own, and watches the mesh
// process meanwhile.
func measure(ctx context.Context, m *mesh, base string, c one) figure {
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	f := figure{name: c.name, size: c.size}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	before := watch(m.cmd.Process.Pid)
	f.timing, f.err = c.call(ctx, client, base)
	after := before.read()
	f.peak, f.cpu = after.peak, after.cpu-before.cpu
	return f
}

func upload(ctx context.Context, client *http.Client, base string, body io.Reader, size int64) (timing, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/take", body)
	if err != nil {
		return timing{}, err
	}
	t, got, err := roundTrip(client, req)
	if want := fmt.Sprintf("first\n%d\n", size); err == nil && string(got.tail) != want {
		err = fmt.Errorf("the app answered %q, want %q", got.tail, want)
	}
	return t, err
}

func download(ctx context.Context, client *http.Client, base string, size int64) (timing, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/give?bytes=%d", base, size), http.NoBody)
	if err != nil {
		return timing{}, err
	}
	t, got, err := roundTrip(client, req)
	if err == nil && got.bytes != size {
		err = fmt.Errorf("%d bytes came, want %d", got.bytes, size)
	}
	return t, err
}

// answer is what is kept of a body.
type answer struct {
	bytes int64
	tail  []byte // the last bytes, enough for a short text
}

func roundTrip(client *http.Client, req *http.Request) (timing, answer, error) {
	var t timing
	var got answer
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return t, got, err
	}
	defer resp.Body.Close()
	for buf := make([]byte, 256*1024); ; {
		n, err := resp.Body.Read(buf)
		if n > 0 && got.bytes == 0 {
			t.first = time.Since(start)
		}
		got.bytes += int64(n)
		if got.tail = append(got.tail, buf[:n]...); len(got.tail) > 256 {
			got.tail = append([]byte(nil), got.tail[len(got.tail)-256:]...)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return t, got, err
		}
	}
	t.total = time.Since(start)
	if resp.StatusCode != http.StatusOK {
		return t, got, fmt.Errorf("%s: %s", resp.Status, got.tail)
	}
	return t, got, nil
}

// zeros is a body of nothing but zeros.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := int(min(z.left, int64(len(p))))
	clear(p[:n])
	z.left -= int64(n)
	return n, nil
}

// slowly is a body that gives 2,000 bytes every 100 milliseconds.
type slowly struct {
	ctx context.Context //nolint:containedctx // a body is read by the transport, which hands over no context
	zeros
	begun bool
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.begun {
		t := time.NewTimer(100 * time.Millisecond)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.ctx.Done():
			return 0, context.Cause(s.ctx)
		}
	}
	s.begun = true
	return s.zeros.Read(p[:min(len(p), 2000)])
}
