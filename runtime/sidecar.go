// Package runtime is one sidecar: it binds its listeners, serves Dapr's API to
// its app and to other sidecars, finds whoever a call is for and passes the
// call on. Any number of sidecars share a process; those that do know each
// other through Peers and call each other without a wire.
//
// A Sidecar outlives the process of its app: the supervisor opens and shuts the
// gate of App while the app restarts, and nothing else changes.
package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"mesh/runtime/api"
	"mesh/runtime/api/grpcapi"
	"mesh/runtime/api/httpapi"
	"mesh/runtime/appchan"
	"mesh/runtime/component"
	"mesh/runtime/deliver"
	"mesh/runtime/flow"
	"mesh/runtime/metrics"
	"mesh/runtime/policy"
	"mesh/runtime/resource"
	"mesh/runtime/rpc"
	"mesh/runtime/run"
	"mesh/runtime/stream"
)

// Options say what a sidecar is. AppID, HTTP, GRPC, Internal and Peers are needed.
type Options struct {
	AppID     string
	Instance  string // name of the app's instance, such as "orders-1"; "": AppID
	Namespace string // "": "default"

	// Where to listen, as host:port; port 0 takes a free one. HTTP and GRPC may
	// be several, separated by commas, or unix:/path.
	HTTP, GRPC, Internal string
	MetricsAddr          string // where Metrics are read, at /metrics; "": nowhere
	PublicAddr           string // where health and metadata are told without a token; "": nowhere

	App       appchan.Options  // how to reach the app
	Transport stream.Transport // how to call apps of this process; "": stream.Auto
	Peers     *Peers           // the sidecars of this process
	Names     Names            // finds every other app; nil: there is none

	Components *component.Live // state stores, brokers … of the mesh; nil: none

	AppHealth *api.AppHealth    // how the app's health is checked, for /v1.0/metadata; nil: it is not. See also SetAppHealth
	Metrics   *metrics.Registry // counts what the sidecar does; nil: nothing is counted

	Policies *policy.Book      // timeouts, retries, breakers and faults by target; nil: none
	Flows    *flow.Recorder    // records invocations; nil: they are not
	APIToken string            // which callers of the API must show; "": none
	Version  string            // of the runtime, as /v1.0/metadata says it; "": "edge"
	Metadata map[string]string // more of what it says; see also SetMetadata

	MaxBody     int64 // bytes of a request's body that is accepted; 0: any number. See also SetLimits
	HeaderLimit int64 // bytes of a request's headers; 0: 1 MiB

	Env func(name string) (string, bool) // for envRef in resources; nil: there is none

	Balance       Balance // how calls to the app are spread over its instances; "": RoundRobin. See also SetBalance
	BalanceOthers Balance // how calls to apps of other processes are; "": RoundRobin

	Origins     []string         // whose scripts may use the HTTP API from a browser, "*" for all; none: nobody's
	NoSubscribe bool             // do not ask the app for its subscriptions
	LogCalls    bool             // write a line to Log for every call of the APIs
	Grace       time.Duration    // how long calls may go on when the sidecar stops; 0: 5 s
	Log         *slog.Logger     // nil: nowhere
	Ready       func() error     // what else must be so before the app may use the sidecar; nil: nothing
	Shutdown    func(force bool) // what the app's wish to shut its sidecar down, at once with force, does; nil: refused
}

// Sidecar serves one app instance. Make it with New, serve it with Run.
type Sidecar struct {
	o         Options
	app       *appchan.App
	appCalls  stream.Handler // app, with the middleware around calls to it
	api       *api.API
	in        *stream.Inbound
	router    *router
	ln        listeners
	ports     Ports
	meter     *meter             // nil: nothing is counted
	deliver   *deliver.Deliverer // nil: nothing is delivered
	declared  atomic.Pointer[Declared]
	limits    stream.Limits
	spread    atomic.Pointer[balances]
	sampler   stream.Sampler
	endpoints *endpoints // outside the mesh
	local     *flow.Peer // of calls that reach this sidecar in process
	made      uint64     // its number among those of Peers
	left      bool       // it is not to be among them, or no longer; under Peers.mu
	wire      string     // host:port at which this process reaches Internal
}

// New binds every port, or fails with a *PortError and binds none. It starts
// nothing: calls wait in the listeners' queues until Run. A sidecar that is not
// run must be closed.
func New(o Options) (s *Sidecar, err error) {
	if o.Instance == "" {
		o.Instance = o.AppID
	}
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	if o.Transport == "" {
		o.Transport = stream.Auto
	}
	if o.Version == "" {
		o.Version = "edge"
	}
	if o.Grace == 0 {
		o.Grace = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s = &Sidecar{o: o, made: o.Peers.made.Add(1), local: &flow.Peer{Instance: o.Instance, Transport: "local"}}
	s.SetLimits(o.MaxBody, o.HeaderLimit)
	s.SetBalance(o.Balance, o.BalanceOthers)
	if s.app, err = appchan.New(o.App); err != nil {
		return nil, fmt.Errorf("preparing the channel to %s: %w", o.Instance, err)
	}
	s.appCalls = s.app
	if p := o.App.Protocol; p != "grpc" && p != "grpcs" {
		s.appCalls = s.newPipeline(func(d *Declared) []resource.Handler { return d.AppPipeline }).around(s.app)
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	if o.Metrics != nil {
		s.meter = newMeter(o.Metrics, o.Namespace)
		if o.Policies != nil {
			s.meter.circuits(o.Policies, o.AppID)
		}
	}
	s.in = stream.NewInbound(stream.HandlerFunc(s.callApp), stream.InboundOptions{
		AppID: o.AppID, Instance: o.Instance, Flows: o.Flows,
		Panicked: s.panicked,
	})
	s.endpoints = &endpoints{appID: o.AppID, secret: s.secret, env: o.Env}
	s.declared.Store(&Declared{})
	s.deliver = s.newDeliverer()
	s.api = s.newAPI()
	return s, nil
}

// newAPI gives the building blocks, with the router behind invocation.
func (s *Sidecar) newAPI() *api.API {
	host, err := os.Hostname()
	if err != nil {
		host = "" // the forwarding headers do without
	}
	ip, _, _ := net.SplitHostPort(s.wire)
	r := &router{
		appID: s.o.AppID, namespace: s.o.Namespace,
		stamp: stream.Caller{AppID: s.o.AppID, Namespace: s.o.Namespace, Addr: ip, Host: host}.Stamp(),
		self:  s, peers: s.o.Peers, names: s.o.Names,
	}
	s.router = r
	s.Use(s.o.Transport)
	conn := api.AppConnection{Protocol: s.o.App.Protocol, MaxConcurrency: s.o.App.MaxConcurrency, Health: s.o.AppHealth}
	if addr, port, err := net.SplitHostPort(s.o.App.Addr); err == nil {
		conn.ChannelAddress = addr
		conn.Port, _ = strconv.Atoi(port)
	}
	var watcher api.Watcher
	if s.deliver != nil {
		watcher = s.deliver
	}
	var used func(api.Use)
	if s.meter != nil {
		used = s.meter.used
	}
	a := api.New(api.Options{
		AppID: s.o.AppID, Namespace: s.o.Namespace, Version: s.o.Version,
		App: conn, Invoke: s.policies().Wrap(r), Ready: s.ready, OutboundReady: s.o.Ready, Shutdown: s.o.Shutdown,
		Components: s.components(), Flows: s.o.Flows, Inventory: s.inventory, Watcher: watcher, MaxBody: s.limits.Body,
		Policies: s.o.Policies, Used: used,
		SecretScopes: func() []resource.SecretScope { return s.declared.Load().SecretScopes },
	})
	for key, value := range s.o.Metadata {
		// Fails only without a key or with more of them than anyone has.
		if err := a.SetMetadata(key, value); err != nil {
			s.o.Log.Warn("metadata of the sidecar is not shown", slog.String("key", key), slog.Any("err", err))
		}
	}
	return a
}

// policies gives the policies of the mesh for the app's calls, which tell the meter what they do.
func (s *Sidecar) policies() policy.Watched {
	w := policy.Watched{Book: s.o.Policies, App: s.o.AppID}
	if s.meter != nil {
		w.Seen = s.meter.policy
	}
	return w
}

// ready says why the app cannot be called at the moment.
func (s *Sidecar) ready() error {
	if s.o.Ready != nil {
		if err := s.o.Ready(); err != nil {
			return err
		}
	}
	if s.o.App.Addr != "" && !s.app.Ready() {
		return fmt.Errorf("app %s is not ready", s.o.Instance)
	}
	return nil
}

// Ports gives the ports that are listened on, also before Run.
func (s *Sidecar) Ports() Ports { return s.ports }

// App gives the channel to the app. It is shut when New returns: open it when
// the app is ready. Run closes it at its end.
func (s *Sidecar) App() *appchan.App { return s.app }

// Use changes how calls to apps of this process are carried, from the next one on.
func (s *Sidecar) Use(t stream.Transport) { s.router.transport.Store(&t) }

// SetLimits changes how many bytes the body and the headers of a request may
// have that the sidecar accepts, for requests that begin from now on; see
// Options.
func (s *Sidecar) SetLimits(body, header int64) { s.limits.Set(body, header) }

// SetMetadata adds to what /v1.0/metadata says, or changes it.
func (s *Sidecar) SetMetadata(key, value string) error { return s.api.SetMetadata(key, value) }

// SetAppHealth changes what /v1.0/metadata says of how the app's health is
// checked; nil: it is not.
func (s *Sidecar) SetAppHealth(h *api.AppHealth) { s.api.SetAppHealth(h) }

// Leave takes the sidecar out of Peers before its time, for good: no new call of
// this process comes to it, while those under way go on.
func (s *Sidecar) Leave() { s.o.Peers.leave(s) }

// Close releases the ports of a sidecar that is not run.
func (s *Sidecar) Close() {
	s.ln.close()
	s.app.Close()
}

// Run serves until ctx ends. Then the sidecar first takes itself out of Peers,
// lets the calls under way end for the time of Grace, and closes its ports.
func (s *Sidecar) Run(ctx context.Context) error {
	defer s.app.Close()
	defer s.endpoints.close()
	var g run.Group
	for _, p := range s.servers() {
		g.Add(p.name, func(ctx context.Context) error { return p.serve(ctx, p.ln) })
	}
	g.Add("peers", func(ctx context.Context) error {
		s.o.Peers.join(s)
		<-ctx.Done()
		s.o.Peers.leave(s)
		return nil
	})
	if s.deliver != nil {
		g.Add("deliveries", s.deliver.Run)
	}
	err := g.Run(ctx)
	s.o.Peers.forget(s.wire)
	if err != nil {
		return fmt.Errorf("sidecar of %s: %w", s.o.Instance, err)
	}
	return nil
}

// server is what serves one listener until its context ends.
type server struct {
	name  string
	ln    net.Listener
	serve func(context.Context, net.Listener) error
}

// servers gives the servers of all listeners, in the order in which they start.
func (s *Sidecar) servers() []server {
	h := httpapi.Options{API: s.api, Recorder: s.o.Flows, Limits: &s.limits, Sampler: &s.sampler, Token: s.o.APIToken, Grace: s.o.Grace, Log: s.o.Log, Origins: s.o.Origins, LogCalls: s.o.LogCalls}
	g := grpcapi.Options{API: s.api, Recorder: s.o.Flows, Limits: &s.limits, Sampler: &s.sampler, Token: s.o.APIToken, Grace: s.o.Grace, Pass: rpc.Around(s.policies(), s.router)}
	h.Pipeline = s.newPipeline(func(d *Declared) []resource.Handler { return d.HTTPPipeline }).wrap
	if s.meter != nil {
		h.Observer, g.Observer = s.meter, s.meter.rpc
	}
	if s.o.LogCalls {
		g.Observer = s.logRPCs(g.Observer)
	}
	all := []server{
		{"HTTP API", s.ln.HTTP, httpapi.New(h).Serve},
		{"gRPC API", s.ln.GRPC, grpcapi.New(g).Serve},
		{"internal gRPC API", s.ln.Internal, s.serveInternal},
	}
	if s.ln.Metrics != nil {
		all = append(all, server{"metrics", s.ln.Metrics, s.serveMetrics})
	}
	if s.ln.Public != nil {
		h.Public, h.Token, h.Pipeline = true, "", nil
		all = append(all, server{"public API", s.ln.Public, httpapi.New(h).Serve})
	}
	return all
}
