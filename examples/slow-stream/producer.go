package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// total is the size of one upload, in bytes.
const total = 70_000

// produce uploads again and again, with a short rest between, until ctx ends.
func produce(ctx context.Context) error {
	base, err := sidecar(ctx)
	if err != nil {
		return err
	}
	rest := time.Second
	for {
		if err := upload(ctx, base); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			rest = min(2*rest, 15*time.Second)
			say("upload broke: %v; again in %v", err, rest)
		} else {
			rest = time.Second
		}
		if err := pause(ctx, rest); err != nil {
			return err
		}
	}
}

// upload sends one slow body and reads the acknowledgements meanwhile.
func upload(ctx context.Context, base string) error {
	body := &trickle{ctx: ctx, left: total}
	url := base + "/v1.0/invoke/consumer/method/receive"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return fmt.Errorf("%s: %s", resp.Status, why)
	}
	say("uploading %d bytes slowly: the first answer came after %v", total, time.Since(start).Round(time.Millisecond))
	lines, last := 0, ""
	for acks := bufio.NewScanner(resp.Body); ; lines++ {
		if !acks.Scan() {
			if err := acks.Err(); err != nil {
				return fmt.Errorf("reading acknowledgements: %w", err)
			}
			break
		}
		last = acks.Text()
		if lines%10 == 9 {
			say("  %s", last)
		}
	}
	say("done in %v: %d acknowledgements, the last says %q", time.Since(start).Round(time.Millisecond), lines, last)
	return nil
}

// trickle is a body that gives 1 to 4 KB at a time and pauses before each
// piece, now and then for longer.
type trickle struct {
	ctx  context.Context //nolint:containedctx // a body is read by the transport, which hands over no context
	left int
}

func (t *trickle) Read(p []byte) (int, error) {
	if t.left == 0 {
		return 0, io.EOF
	}
	wait := between(50*time.Millisecond, 150*time.Millisecond)
	if rand.N(12) == 0 {
		wait = between(400*time.Millisecond, 900*time.Millisecond)
	}
	if err := pause(t.ctx, wait); err != nil {
		return 0, err
	}
	n := min(1024+rand.N(3*1024), t.left, len(p))
	for i := range p[:n] {
		p[i] = 'a' + byte(i%26)
	}
	t.left -= n
	return n, nil
}
