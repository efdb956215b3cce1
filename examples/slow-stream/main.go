// Slow-stream is the demonstration that started it all: a producer uploads
// about 70 KB in small pieces with pauses, a consumer reads them as slowly and
// acknowledges each piece while the upload is still running. A proxy that
// reads bodies whole would show nothing for seconds; through mesh every piece
// arrives when it was sent.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	role := ""
	if len(os.Args) == 2 {
		role = os.Args[1]
	}
	var err error
	switch role {
	case "producer":
		err = produce(ctx)
	case "consumer":
		err = consume(ctx)
	default:
		err = errors.New("usage: slow-stream producer|consumer")
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "slow-stream:", err)
		os.Exit(1)
	}
}

// say writes one line for the log of this app.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stdout, format+"\n", args...)
}

// pause waits for d or until ctx ends, and then says why it ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// between gives a random duration from low to high.
func between(low, high time.Duration) time.Duration {
	return low + rand.N(high-low)
}

// sidecar gives the base URL of this app's sidecar once it answers, trying
// again with growing pauses until then.
func sidecar(ctx context.Context) (string, error) {
	base := "http://127.0.0.1:" + env("DAPR_HTTP_PORT", "3500")
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1.0/healthz/outbound", http.NoBody)
		if err != nil {
			return "", err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusNoContent {
				return base, nil
			}
			err = errors.New(resp.Status)
		}
		if wait > time.Second {
			say("waiting for the sidecar: %v", err)
		}
		if err := pause(ctx, wait); err != nil {
			return "", err
		}
	}
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
