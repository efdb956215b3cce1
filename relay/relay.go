// Package relay makes the sidecar of an app that runs on another host be at
// localhost.
//
// It passes TCP connections on, byte for byte in both directions, and knows
// nothing of what they carry: streams flow as they come, nothing is held but
// what is on its way, and HTTP and gRPC are all the same. While the other side
// cannot be reached a new connection waits for it for a while, so that a
// sidecar may be restarted without its app being told that there is none.
package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	dialLimit = 2 * time.Second // of one try
	dialEvery = 200 * time.Millisecond
)

// Route is one address that is relayed to another.
type Route struct {
	Listen, To string // host:port
}

// Options say what is relayed. Routes is needed.
type Options struct {
	Routes []Route
	Wait   time.Duration // how long a new connection waits for the other side
	Grace  time.Duration // how long connections may go on when the relay stops
	Log    *slog.Logger
}

// Relay passes connections on. Make it with New, which binds, and serve it with Run.
type Relay struct {
	o  Options
	ln []net.Listener
}

// New binds every address, or none.
func New(o Options) (*Relay, error) {
	r := &Relay{o: o}
	for _, route := range o.Routes {
		ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", route.Listen)
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("listening for %s: %w", route.To, err)
		}
		r.ln = append(r.ln, ln)
	}
	return r, nil
}

// Addrs are the addresses that are listened on, in the order of the routes.
func (r *Relay) Addrs() []net.Addr {
	var all []net.Addr
	for _, ln := range r.ln {
		all = append(all, ln.Addr())
	}
	return all
}

// Close releases the addresses of a Relay that is not run.
func (r *Relay) Close() {
	for _, ln := range r.ln {
		_ = ln.Close()
	}
}

// Run relays until ctx ends; connections then have the time of Grace to end.
func (r *Relay) Run(ctx context.Context) error {
	conns, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var wg sync.WaitGroup
	errs := make(chan error, len(r.ln))
	for i, ln := range r.ln {
		go func() { errs <- r.accept(ctx, conns, ln, r.o.Routes[i].To, &wg) }() // joined below
	}
	var first error
	stop := context.AfterFunc(ctx, r.Close)
	defer stop()
	for range r.ln {
		if err := <-errs; err != nil && ctx.Err() == nil && first == nil {
			first = err
			r.Close()
		}
	}
	late := time.AfterFunc(r.o.Grace, cancel)
	wg.Wait()
	late.Stop()
	return first
}

func (r *Relay) accept(ctx, conns context.Context, ln net.Listener, to string, wg *sync.WaitGroup) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accepting connections for %s: %w", to, err)
		}
		wg.Go(func() { r.pass(ctx, conns, c, to) })
	}
}

// pass carries one connection to its end.
func (r *Relay) pass(ctx, conns context.Context, c net.Conn, to string) {
	defer c.Close()
	far, err := r.dial(ctx, to)
	if err != nil {
		r.o.Log.WarnContext(ctx, "the sidecar is not reached", slog.String("address", to), slog.Any("error", err))
		return
	}
	defer far.Close()
	stop := context.AfterFunc(conns, func() { // ends both directions
		_ = c.Close()
		_ = far.Close()
	})
	defer stop()
	back := make(chan struct{})
	go func() { // joined below
		defer close(back)
		carry(c, far)
	}()
	carry(far, c)
	<-back
}

// carry copies one direction, and ends it at the other side as it ended here. A
// direction that breaks takes the other one along.
func carry(to, from net.Conn) {
	_, err := io.Copy(to, from) // by way of the kernel where that is possible
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
		return
	}
	_ = to.Close()
	_ = from.Close()
}

// dial tries until the other side is there, for the time of Wait.
func (r *Relay) dial(ctx context.Context, to string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Wait)
	defer cancel()
	tick := time.NewTicker(dialEvery)
	defer tick.Stop()
	d := net.Dialer{Timeout: dialLimit}
	for {
		c, err := d.DialContext(ctx, "tcp", to)
		if err == nil {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}
