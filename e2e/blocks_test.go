package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// post gives status and body of the answer to a POST, or the error.
func post(ctx context.Context, url, body string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	var text strings.Builder
	if err := resp.Write(&text); err != nil {
		return err.Error()
	}
	_, answer, _ := strings.Cut(text.String(), "\r\n\r\n")
	return fmt.Sprintf("%d %s", resp.StatusCode, answer)
}

// TestSwapUnderLoad: while 1,000 calls a second use a store, half of them to save
// and half to read, it is swapped 20 times, and none of them fails. During a swap
// two stores write one file, and wait for each other as long as busyTimeout; that
// is why there are so many workers.
func TestSwapUnderLoad(t *testing.T) {
	t.Parallel()
	p := newProject(t, "[apps.a]\ncommand = \"APP server SELF\"\nport = \"auto\"\n")
	store := func(i int) {
		p.write("components/store.yaml", fmt.Sprintf(`kind: Component
metadata: { name: store }
spec: { type: state.sqlite, metadata: [ { name: connectionString, value: state.db }, { name: busyTimeout, value: 20s }, { name: timeout, value: "%ds" } ] }
`, 20+i))
	}
	store(0)
	r := p.up()
	r.ready("a")
	r.await("the store", func() bool { return r.component("store").State == "ready" })
	base := fmt.Sprintf("http://127.0.0.1:%d/v1.0/state/store", r.instance("a").HTTPPort)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	const rate, workers = 1000, 100
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}} // as apps keep their connections
	defer client.CloseIdleConnections()
	call := func(method, path, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body)) // the last ones outlive the load
		if err != nil {
			return err.Error()
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%d %s", resp.StatusCode, text)
	}
	if got := call(http.MethodPost, "", `[{"key":"k","value":"read"}]`); got != "204 " {
		t.Fatal(got)
	}
	work := make(chan int)
	var calls, failed atomic.Int64
	var first atomic.Pointer[string]
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range work {
				calls.Add(1)
				got, want := "", "204 "
				if i%2 == 0 {
					got = call(http.MethodPost, "", fmt.Sprintf(`[{"key":"k%d","value":%d}]`, i%100, i))
				} else {
					got, want = call(http.MethodGet, "/k", ""), `200 "read"`
				}
				if got != want {
					failed.Add(1)
					first.CompareAndSwap(nil, &got)
				}
			}
		})
	}
	began := time.Now()
	wg.Go(func() {
		defer close(work)
		tick := time.NewTicker(time.Second / 100)
		defer tick.Stop()
		for i := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for due := int(time.Since(began).Seconds() * rate); i < due; i++ {
				work <- i
			}
		}
	})
	for i := 1; i <= 20; i++ {
		before := r.component("store").Since
		store(i)
		r.await("the new store", func() bool { c := r.component("store"); return c.State == "ready" && c.Since.After(before) })
	}
	stop()
	wg.Wait()
	took := time.Since(began)
	t.Logf("%d calls in %v, %.0f a second during 20 swaps, %d failed", calls.Load(), took.Round(time.Millisecond), float64(calls.Load())/took.Seconds(), failed.Load())
	if failed.Load() > 0 {
		t.Errorf("%d of %d calls failed, the first with %s", failed.Load(), calls.Load(), *first.Load())
	}
}

// dialRedis gives a way to send commands to a Redis.
func dialRedis(t *testing.T, addr string) func(command string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	answers := bufio.NewReader(conn)
	return func(command string) {
		t.Helper()
		if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
			t.Fatal(err)
		}
		if line, err := answers.ReadString('\n'); err != nil || strings.HasPrefix(line, "-") {
			t.Fatalf("%s: %q %v", command, line, err)
		}
	}
}
