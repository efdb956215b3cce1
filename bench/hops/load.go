package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// client is one connection. It is driven by hand, so that the load costs little
// beside what is measured.
type client struct {
	net.Conn
	r *bufio.Reader
}

func (w *way) dial(ctx context.Context) (*client, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", w.addr)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, err
	}
	return &client{c, bufio.NewReaderSize(c, 256<<10)}, nil
}

// reply is a response's status and its body, which ends with the connection:
// nobody has to close it.
type reply struct {
	ok   bool // the status is 200
	line string
	io.Reader
}

// do writes a request and gives its reply; the body is to be read.
func (c *client) do(request string) (reply, error) {
	if _, err := io.WriteString(c, request); err != nil {
		return reply{}, err
	}
	return c.reply()
}

func (c *client) reply() (reply, error) {
	resp, err := http.ReadResponse(c.r, nil) //nolint:bodyclose // see reply
	if err != nil {
		return reply{}, err
	}
	return reply{resp.StatusCode == http.StatusOK, resp.Status, resp.Body}, nil
}

const bodySize = 256

// load makes calls on conns connections and gives the time of each, sorted.
func (w *way) load(ctx context.Context, conns, calls int) ([]time.Duration, error) {
	request := fmt.Sprintf("POST %s/echo HTTP/1.1\r\nHost: bench\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s",
		w.prefix, bodySize, strings.Repeat("x", bodySize))
	times := make([][]time.Duration, conns)
	errs := make([]error, conns)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			c, err := w.dial(ctx)
			if err != nil {
				errs[i] = err
				return
			}
			defer c.Close()
			for range calls / conns {
				began := time.Now()
				resp, err := c.do(request)
				if err != nil {
					errs[i] = err
					return
				}
				n, err := io.Copy(io.Discard, resp)
				if err != nil || n != bodySize || !resp.ok {
					errs[i] = fmt.Errorf("%s with %d bytes, %w", resp.line, n, err)
					return
				}
				times[i] = append(times[i], time.Since(began))
			}
		})
	}
	wg.Wait()
	all := slices.Concat(times...)
	slices.Sort(all)
	return all, errors.Join(errs...)
}

func (w *way) small(ctx context.Context, conns, calls int) (small, error) {
	before, began := cpu(w.pids), time.Now()
	times, err := w.load(ctx, conns, calls)
	if err != nil {
		return small{}, err
	}
	n := len(times)
	return small{
		rate: float64(n) / time.Since(began).Seconds(),
		cpu:  (cpu(w.pids) - before) / time.Duration(n),
		p50:  times[n/2], p99: times[n*99/100],
	}, nil
}

// chunks gives the median time that a chunk takes from the app to us.
func (w *way) chunks(ctx context.Context, n int) (time.Duration, error) {
	c, err := w.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	resp, err := c.do(fmt.Sprintf("GET %s/ticks?n=%d HTTP/1.1\r\nHost: bench\r\n\r\n", w.prefix, n))
	if err != nil {
		return 0, err
	}
	var times []time.Duration
	for s := bufio.NewScanner(resp); s.Scan(); {
		sent, err := strconv.ParseInt(s.Text(), 10, 64)
		if err != nil {
			return 0, err
		}
		times = append(times, time.Duration(time.Now().UnixNano()-sent))
	}
	if len(times) < n {
		return 0, fmt.Errorf("%d of %d chunks came", len(times), n)
	}
	slices.Sort(times)
	return times[n/2], nil
}

// slowUpload sends a body slowly and gives when the first byte of the answer
// came, which the app sends at the first byte it gets.
func (w *way) slowUpload(ctx context.Context) (time.Duration, error) {
	c, err := w.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	began := time.Now()
	if _, err := fmt.Fprintf(c, "POST %s/first HTTP/1.1\r\nHost: bench\r\nTransfer-Encoding: chunked\r\n\r\n", w.prefix); err != nil {
		return 0, err
	}
	sent := make(chan error, 1)
	go func() { // ends with the body, or when the connection is closed
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		for range 10 {
			if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", 2000, strings.Repeat("u", 2000)); err != nil {
				sent <- err
				return
			}
			<-t.C
		}
		_, err := io.WriteString(c, "0\r\n\r\n")
		sent <- err
	}()
	resp, err := c.reply()
	if err != nil {
		return 0, err
	}
	if _, err := resp.Read(make([]byte, 1)); err != nil {
		return 0, err
	}
	first := time.Since(began)
	_, err = io.Copy(io.Discard, resp)
	return first, errors.Join(err, <-sent)
}

// body moves one large body and gives what that took.
func (w *way) body(ctx context.Context, verb string, size int64) (large, error) {
	c, err := w.dial(ctx)
	if err != nil {
		return large{}, err
	}
	defer c.Close()
	idle := memory(w.pids)
	peak := idle
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(10 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				peak = max(peak, memory(w.pids))
			case <-stop:
				return
			}
		}
	})
	before, began := cpu(w.pids), time.Now()
	if verb == http.MethodGet {
		err = c.get(w.prefix, size)
	} else {
		err = c.post(w.prefix, size)
	}
	took := time.Since(began)
	close(stop)
	wg.Wait()
	return large{rate: float64(size) / took.Seconds(), cpu: cpu(w.pids) - before, growth: peak - idle}, err
}

func (c *client) get(prefix string, size int64) error {
	resp, err := c.do(fmt.Sprintf("GET %s/give?bytes=%d HTTP/1.1\r\nHost: bench\r\n\r\n", prefix, size))
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp, make([]byte, 256<<10))
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes came", n)
	}
	return err
}

func (c *client) post(prefix string, size int64) error {
	if _, err := fmt.Fprintf(c, "POST %s/take HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n", prefix, size); err != nil {
		return err
	}
	buf := make([]byte, 256<<10)
	for left := size; left > 0; {
		n, err := c.Write(buf[:min(left, int64(len(buf)))])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	resp, err := c.reply()
	if err != nil {
		return err
	}
	text, err := io.ReadAll(resp)
	if err == nil && string(text) != strconv.FormatInt(size, 10) {
		err = fmt.Errorf("%s: %s", resp.line, text)
	}
	return err
}
