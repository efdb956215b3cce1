// Package runtime is one sidecar: the goroutines that serve one instance of an
// app.
//
// A sidecar listens on three ports: Dapr's HTTP API and gRPC API for its own
// app, and the internal gRPC port on which other sidecars call that app. It is
// put together from a few Handlers: the router finds the app that a call names
// and hands the call to that app's channel, in this process when the app lives
// here, or over the wire. Many sidecars share one process, so a sidecar touches
// nothing that belongs to the process. It does not know that it is supervised.
package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"mesh/runtime/api"
	"mesh/runtime/api/grpcapi"
	"mesh/runtime/api/httpapi"
	"mesh/runtime/appchan"
	"mesh/runtime/flow"
	"mesh/runtime/run"
	"mesh/runtime/stream"
)

// stopGrace is how long calls in flight may go on when a sidecar stops.
const stopGrace = 2 * time.Second

// Names finds the sidecars of apps that do not live in this process.
type Names interface {
	// Resolve gives the internal gRPC addresses of an app's sidecars.
	Resolve(ctx context.Context, appID string) ([]netip.AddrPort, error)
	// Failed says that a sidecar could not be reached at an address that Resolve gave.
	Failed(appID string, addr netip.AddrPort)
}

// Options are what a sidecar is made of. AppID, Peers and Log are needed.
type Options struct {
	AppID     string
	Instance  string // name of the app's instance; "": the app id
	Namespace string // "": default

	HTTP, GRPC, Internal string // where to listen, host:port; port 0 picks a free one

	App       appchan.Options
	Transport stream.Transport
	Peers     *Peers
	Names     Names          // nil: only apps of this process are found
	Flows     *flow.Recorder // nil: nothing is recorded
	APIToken  string         // what the app must send to the APIs; "": nothing
	Version   string         // reported as the runtime's version
	Log       *slog.Logger
}

// Ports are where a sidecar listens.
type Ports struct{ HTTP, GRPC, Internal int }

// Sidecar serves one instance of an app. Make one with New, then call Run once;
// a Run with an ended context only closes the ports.
type Sidecar struct {
	o         Options
	app       *appchan.App
	api       *api.API
	router    *router
	transport atomic.Pointer[stream.Transport]
	outbound  atomic.Bool
	here      *flow.Peer // this instance, called within the process

	http, grpc, internal net.Listener
}

// New binds the ports, or says which one cannot be had. It starts nothing.
func New(o Options) (*Sidecar, error) {
	if o.Instance == "" {
		o.Instance = o.AppID
	}
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	app, err := appchan.New(o.App)
	if err != nil {
		return nil, fmt.Errorf("reaching %s: %w", o.Instance, err)
	}
	s := &Sidecar{o: o, app: app, here: &flow.Peer{Instance: o.Instance, Transport: "local"}}
	s.Use(o.Transport)
	for _, l := range []struct {
		what string
		addr string
		ln   *net.Listener
	}{{"HTTP API", o.HTTP, &s.http}, {"gRPC API", o.GRPC, &s.grpc}, {"internal gRPC port", o.Internal, &s.internal}} {
		if *l.ln, err = net.Listen("tcp", l.addr); err != nil { //nolint:noctx // binding does not block
			s.close()
			return nil, fmt.Errorf("binding the %s: %w", l.what, err)
		}
	}
	s.router = newRouter(s)
	s.api = api.New(api.Options{
		AppID: o.AppID, Namespace: o.Namespace, Version: o.Version,
		App: s.connection(), Invoke: s.router, Ready: s.ready,
	})
	return s, nil
}

func (s *Sidecar) connection() api.AppConnection {
	c := api.AppConnection{Protocol: s.o.App.Protocol, MaxConcurrency: s.o.App.MaxConcurrency}
	if a, err := netip.ParseAddrPort(s.o.App.Addr); err == nil {
		c.Port, c.ChannelAddress = int(a.Port()), a.Addr().String()
	}
	return c
}

func (s *Sidecar) ready() error {
	if !s.app.Ready() {
		return errors.New("the app is not ready")
	}
	return nil
}

// Ports says where the sidecar listens. They hold before Run.
func (s *Sidecar) Ports() Ports {
	return Ports{HTTP: port(s.http), GRPC: port(s.grpc), Internal: port(s.internal)}
}

func port(ln net.Listener) int {
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// App gives the channel to the app, which whoever runs the app's process opens
// when it is ready.
func (s *Sidecar) App() *appchan.App { return s.app }

// API gives what the sidecar offers its app.
func (s *Sidecar) API() *api.API { return s.api }

// Use changes how calls to apps of this process are carried, from the next one on.
func (s *Sidecar) Use(t stream.Transport) { s.transport.Store(&t) }

// Run serves until ctx ends, then lets calls in flight end, and closes the ports.
func (s *Sidecar) Run(ctx context.Context) error {
	defer s.close()
	if ctx.Err() != nil {
		return nil
	}
	web := httpapi.New(httpapi.Options{API: s.api, Recorder: s.o.Flows, Token: s.o.APIToken, Grace: stopGrace, Log: s.o.Log})
	rpc := grpcapi.New(grpcapi.Options{API: s.api, Recorder: s.o.Flows, Token: s.o.APIToken, Grace: stopGrace})
	var g run.Group
	g.Add("internal gRPC", s.serveInternal)
	g.Add("gRPC API", func(ctx context.Context) error { return rpc.Serve(ctx, s.grpc) })
	g.Add("HTTP API", func(ctx context.Context) error { return web.Serve(ctx, s.http) })
	g.Add("peers", func(ctx context.Context) error {
		s.o.Peers.add(s)
		<-ctx.Done()
		s.o.Peers.remove(s)
		return nil
	})
	return g.Run(ctx)
}

// serveInternal serves the calls of other sidecars.
func (s *Sidecar) serveInternal(ctx context.Context) error {
	in := stream.NewInbound(s.app, stream.InboundOptions{
		AppID: s.o.AppID, Flows: s.o.Flows,
		Panicked: func(v any, stack []byte) {
			s.o.Log.Error("a call has panicked", slog.Any("panic", v), slog.String("stack", string(stack)))
		},
	})
	srv := grpc.NewServer(stream.ServerOptions()...)
	in.Register(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(s.internal) }() // joined below
	select {
	case err := <-served:
		return fmt.Errorf("serving other sidecars on %v: %w", s.internal.Addr(), err)
	case <-ctx.Done():
	}
	late := time.AfterFunc(stopGrace, srv.Stop)
	srv.GracefulStop()
	late.Stop()
	<-served
	in.Wait()
	return nil
}

func (s *Sidecar) close() {
	for _, ln := range []net.Listener{s.http, s.grpc, s.internal} {
		if ln != nil {
			_ = ln.Close() // the servers have closed them already, when they ran
		}
	}
	s.app.Close()
}
