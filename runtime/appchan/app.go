// Package appchan is the app's own server, seen as a stream.Handler: it takes
// calls, sends them to the app's port and gives back what the app answers,
// while both bodies are still on their way.
//
// An App stands for one instance and outlives its process. Before the process
// is ready and while it restarts, calls wait at a gate, bounded in number and
// time; Drain waits for those in flight. HTTP/1 connections are driven by the
// goroutine of the call itself; a second one exists only while a request body
// is being streamed. HTTP/2 and TLS go through net/http. An app that speaks gRPC
// gets a Call as one message, AppCallback.OnInvoke; calls of its own services
// are passed on as they are, by Pass.
package appchan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"mesh/runtime/stream"
)

// Options are what an App needs to know. They do not change, but for Hold.
type Options struct {
	Addr           string        // host:port of the app's server; "": the app has no port, every call fails
	Protocol       string        // "http" (also ""), "https", "h2c", "grpc" or "grpcs"; any certificate is accepted
	Token          string        // sent to the app as dapr-api-token when not empty
	Hold           time.Duration // how long a call may wait for the app; 0: it does not wait
	MaxHeld        int           // how many calls may wait for the app at a time
	MaxConcurrency int           // how many calls the app gets at a time, the others queue; 0: any number
}

// App sends calls to one app instance. Make it with New and let calls through
// with Open. All its methods may be called from several goroutines.
type App struct {
	o     Options
	gate  atomic.Pointer[gate]
	hold  atomic.Int64  // how long a call may wait, a time.Duration
	slots chan struct{} // a token for each call the app has, nil without a limit

	calls   atomic.Int64 // past the gate and not closed
	own     atomic.Int64 // those of them that are questions of the sidecar itself
	waiting atomic.Int64 // at the gate, or queued for a slot
	idle    chan struct{}

	pool         *pool           // HTTP/1
	small, large buffers         // for what passes through
	lib          *http.Transport // HTTP/2 and TLS
	upgrades     *http.Transport // TLS without HTTP/2, for calls with Upgrade; nil: there are none
	rpc          *rpcConns       // gRPC, which HTTP/2 carries as well; nil for HTTP/1
}

// Stats are counts of one moment.
type Stats struct {
	Calls   int // in flight: sent to the app, or about to be, and not closed yet; the sidecar's own are not in it
	Waiting int // waiting for the app to be ready, or for their turn
}

// New gives an App whose calls wait until Open. Nothing is dialled before the
// first call. The caller closes it.
func New(o Options) (*App, error) {
	a := &App{o: o, idle: make(chan struct{}, 1), small: buffers{size: smallBuffer}, large: buffers{size: largeBuffer}}
	a.SetHold(o.Hold)
	a.gate.Store(&gate{mode: held, why: "the app has not started yet", moved: make(chan struct{})})
	if o.MaxConcurrency > 0 {
		a.slots = make(chan struct{}, o.MaxConcurrency)
	}
	switch o.Protocol {
	case "", "http":
		a.pool = newPool(o.Addr, &a.small)
	case "https", "h2c":
		a.lib = newTransport(o.Protocol)
		if o.Protocol == "https" {
			a.upgrades = newTransport(o.Protocol)
			a.upgrades.Protocols.SetHTTP2(false)
		}
		a.rpc = newRPCConns(o.Addr, o.Protocol == "https")
	case "grpc", "grpcs":
		a.rpc = newRPCConns(o.Addr, o.Protocol == "grpcs")
	default:
		return nil, fmt.Errorf("app protocol %q is not supported: use http, https, h2c, grpc or grpcs", o.Protocol)
	}
	return a, nil
}

// Handle sends the call to the app and gives its reply when the reply's head
// has arrived. Closing the reply's body ends the call. An error that is a
// *stream.UnreachableError means that nothing was sent and the call's body was
// not touched. After another error one Read of the call's body may still be
// under way; it is the last.
func (a *App) Handle(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	if a.o.Addr == "" {
		return nil, a.unreachable(errNoPort)
	}
	if err := a.enter(ctx, c.Flow); err != nil {
		return nil, err
	}
	if c.Own {
		return a.ask(ctx, c)
	}
	return a.send(ctx, c)
}

// send is Handle past the gate.
func (a *App) send(ctx context.Context, c *stream.Call) (r *stream.Reply, err error) {
	switch {
	case a.pool != nil:
		r, err = a.exchange(ctx, c)
	case a.lib != nil:
		r, err = a.roundTrip(ctx, c)
	default:
		r, err = a.invoke(ctx, c)
	}
	if err != nil {
		a.leave()
		return nil, err
	}
	return r, nil
}

// errNoPort is why an app cannot be called at all.
var errNoPort = errors.New("the app has no port: set `port` for it in mesh.toml")

// unreachable wraps a reason for which a call was not sent.
func (a *App) unreachable(err error) error {
	return &stream.UnreachableError{Addr: a.o.Addr, Err: err}
}

// SetHold changes how long a call may wait for the app, for calls that begin to
// wait from now on.
func (a *App) SetHold(d time.Duration) { a.hold.Store(int64(d)) }

// Stats gives the counts of this moment.
func (a *App) Stats() Stats {
	own := a.own.Load() // first: one that ends meanwhile is not taken for a call
	return Stats{Calls: int(max(0, a.calls.Load()-own)), Waiting: int(a.waiting.Load())}
}

// Close refuses new calls and closes idle connections. Calls in flight go on.
func (a *App) Close() {
	a.Refuse(errors.New("the sidecar is stopping"))
}

func (a *App) closeIdle() {
	if a.pool != nil {
		a.pool.closeIdle()
	}
	if a.lib != nil {
		a.lib.CloseIdleConnections()
		if a.upgrades != nil {
			a.upgrades.CloseIdleConnections()
		}
	}
	if a.rpc != nil {
		a.rpc.retire()
	}
}

const (
	dialTimeout = 5 * time.Second
	// idleTimeout is below the 5 s after which common app servers close an
	// idle connection, so that we are first and no call meets the closing.
	idleTimeout = 4 * time.Second
)

func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, &stream.UnreachableError{Addr: addr, Err: err}
	}
	return c, nil
}
