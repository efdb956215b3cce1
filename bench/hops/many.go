package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	liveStreams  = 10_000
	idleSidecars = 100
	otherFiles   = 400 // what a process needs beside its streams
)

// openFiles gives the number of files that a process may have open.
func openFiles() (int, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("asking for the limit of open files: %w", err)
	}
	return int(min(l.Max, 1<<30)), nil
}

// many is what is measured with many streams and many sidecars.
type many struct {
	streams int   // that were live at a time
	wanted  int   // that should have been
	stream  int64 // bytes of mesh's memory for each
	sidecar int64 // the same for an idle sidecar
}

// measureMany measures what needs a mesh of its own: memory per live stream and
// per idle sidecar.
func measureMany(ctx context.Context, o options, app string) (*many, error) {
	fmt.Fprintln(os.Stderr, "measuring many streams and many sidecars")
	w, err := startWay(ctx, o, "mesh-auto", app)
	if err != nil {
		return nil, err
	}
	m := &many{streams: liveStreams, wanted: liveStreams}
	if limit, err := openFiles(); err == nil {
		m.streams = min(m.streams, (limit-otherFiles)/2)
	}
	before := memory(w.pids)
	after, err := hold(ctx, w, m.streams)
	w.stop()
	if err != nil {
		return nil, fmt.Errorf("holding %d streams: %w", m.streams, err)
	}
	m.stream = (after - before) / int64(m.streams)
	sizes := make([]int64, 2)
	for i, n := range []int{1, idleSidecars + 1} {
		if sizes[i], err = meshOf(ctx, o, n); err != nil {
			return nil, fmt.Errorf("starting %d sidecars: %w", n, err)
		}
	}
	m.sidecar = (sizes[1] - sizes[0]) / idleSidecars
	return m, nil
}

// hold opens n streams, waits for the first line of each, and gives the memory
// of the mesh while all are open.
func hold(ctx context.Context, w *way, n int) (int64, error) {
	conns := make([]*client, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	gate := make(chan struct{}, 64) // so many are being opened at a time
	for i := range n {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			c, err := w.open(ctx, i)
			if conns[i], errs[i] = c, err; err != nil {
				return
			}
		})
	}
	wg.Wait()
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return memory(w.pids), nil
}

// open begins a stream that goes on. Loopback addresses of its own for every
// few thousand keep the ports from running out.
func (w *way) open(ctx context.Context, i int) (*client, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/4000))}}
	conn, err := d.DialContext(ctx, "tcp", w.addr)
	if err != nil {
		return nil, err
	}
	c := &client{Conn: conn}
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return c, err
	}
	if _, err := fmt.Fprintf(c, "GET %s/ticks HTTP/1.1\r\nHost: bench\r\n\r\n", w.prefix); err != nil {
		return c, err
	}
	buf := make([]byte, 1024)
	for got := ""; !strings.Contains(got, "event-stream") || strings.Count(got, "\n") < 6; {
		n, err := c.Read(buf)
		if err != nil {
			return c, fmt.Errorf("stream %d: %w", i, err)
		}
		got += string(buf[:n])
	}
	return c, nil
}

// meshOf runs a mesh of n apps that do nothing and gives its memory once all
// sidecars answer.
func meshOf(ctx context.Context, o options, n int) (int64, error) {
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	addr, err := freeAddr()
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	var toml strings.Builder
	for i := range n {
		if i == n-1 {
			fmt.Fprintf(&toml, "[apps.last]\ncommand = [%q, \"idle\"]\nsidecar = { http_port = %s }\n", exe, port)
			break
		}
		fmt.Fprintf(&toml, "[apps.a%d]\nport = %d\n", i, 9+i) // external, nobody there
	}
	p, err := startMesh(ctx, o, fmt.Sprintf("idle-%d", n), toml.String())
	if err != nil {
		return 0, err
	}
	defer p.stop()
	if err := awaitHTTP(ctx, addr, "/v1.0/healthz"); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, p.out.String())
	}
	t := time.NewTimer(3 * time.Second) // what is needed once has been given back
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return memory([]int{p.cmd.Process.Pid}), nil
}
