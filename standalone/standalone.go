// Package standalone runs one sidecar by itself, for an app that somebody else
// starts, here or on another host: what daprd is to its app.
//
// New binds the ports; Run waits for the app, opens its channel, announces the
// sidecar and resolves the names of others until its context ends. The ports
// stay as they are for as long as it runs: Reload reads the configuration anew
// without touching them.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"mesh/mdnsresolve"
	"mesh/runtime"
	"mesh/runtime/api"
	"mesh/runtime/appchan"
	"mesh/runtime/component"
	"mesh/runtime/metrics"
	"mesh/runtime/names"
	"mesh/runtime/policy"
	"mesh/runtime/resource"
	"mesh/runtime/run"
)

// Options say what a sidecar is. AppID and the addresses of HTTP, GRPC and
// Internal are needed.
type Options struct {
	AppID, Namespace string

	// Where to listen; see runtime.Options. Metrics and Public may be "".
	HTTP, GRPC, Internal, Metrics, Public string

	AppHost        string // where the app is
	AppPort        int    // 0: there is no app to be called
	Protocol       string // http, https, h2c …
	MaxConcurrency int    // 0: no limit
	MaxBody        int64  // bytes of a request's body; 0: no limit
	HeaderLimit    int64  // bytes of a request's headers; 0: 1 MiB
	Balance        string // how calls to an app are spread; see runtime.Balance
	Health         *Health
	NoConfig       bool // do not ask the app for /dapr/config
	NoSubscribe    bool // do not ask the app for its subscriptions

	ProfilePort int    // what DAPR_PROFILE_PORT stands for in Configs
	Profile     string // where to serve profiles of the process; "": nowhere

	Host      string   // address at which others reach the sidecar; "": found out
	Interface string   // for mDNS: loopback, all, or the name of an interface
	Configs   []string // files with Dapr's Configuration
	Resources []string // folders with Dapr's resources
	Dir       string   // where relative file names in resources start, absolute
	Environ   func(key string) string

	Token    string   // callers of the API must show; "": none
	Origins  []string // whose scripts may use the HTTP API from a browser, "*" for all
	LogCalls bool     // write a line to Log for every call of the APIs
	AppToken string   // sent to the app; "": none
	Grace    time.Duration
	Block    time.Duration // how long the sidecar goes on after it is told to stop, while its app is healthy
	Version  string
	Log      *slog.Logger
}

// Health is how the health of the app is checked.
type Health struct {
	Path      string
	Interval  time.Duration
	Timeout   time.Duration
	Threshold int // failures in a row after which the app is unhealthy
}

// Sidecar is one sidecar by itself. Make it with New.
type Sidecar struct {
	o       Options
	inner   *runtime.Sidecar
	finder  *names.Finder
	mdns    *mdnsresolve.Responder
	host    netip.Addr
	reload  chan struct{} // holds a token when the configuration is to be read anew
	quit    chan struct{} // gets a value when the app has asked for the end
	forced  chan struct{} // closed when that must not take any time
	force   sync.Once
	healthy atomic.Bool
	loaded  atomic.Bool // the components have been tried once
	stock   *component.Live

	policies *policy.Book
	policed  []resource.Resiliency // what policies is made of; owned by keep
	profiles net.Listener          // nil: none are served
}

// ErrForced is the end of a sidecar whose app has asked for it to end at once;
// the process should end with it.
var ErrForced = errors.New("the app has asked for the sidecar to end at once")

// New binds every port and opens what mDNS needs. It starts nothing. A Sidecar
// that is not run must be closed.
func New(o Options) (*Sidecar, error) {
	s := &Sidecar{o: o, policies: &policy.Book{}, reload: make(chan struct{}, 1), quit: make(chan struct{}, 1), forced: make(chan struct{})}
	var err error
	if s.host, err = s.address(); err != nil {
		return nil, err
	}
	have, err := s.supply()
	if err != nil {
		return nil, err
	}
	s.stock = s.newStock()
	s.finder = names.NewFinder(s.source, o.Log, s.showNames)
	reg := metrics.New(o.AppID)
	reg.Process()
	opt := runtime.Options{
		AppID: o.AppID, Namespace: o.Namespace, HTTP: o.HTTP, GRPC: o.GRPC, Internal: o.Internal,
		MetricsAddr: o.Metrics, PublicAddr: o.Public, Metrics: reg,
		App:   appchan.Options{Protocol: o.Protocol, Token: o.AppToken, MaxConcurrency: o.MaxConcurrency},
		Peers: runtime.NewPeers(), Names: s.finder, Components: s.stock, Policies: s.policies, Origins: o.Origins, LogCalls: o.LogCalls, NoSubscribe: o.NoSubscribe,
		MaxBody: o.MaxBody, HeaderLimit: o.HeaderLimit, BalanceOthers: runtime.Balance(o.Balance),
		Env:      func(name string) (string, bool) { v := o.Environ(name); return v, v != "" },
		APIToken: o.Token, Version: o.Version, Grace: o.Grace, Log: o.Log, Shutdown: s.shutdown, Ready: s.componentsLoaded,
		Metadata: map[string]string{"nameResolution": describe(have.names)},
	}
	if o.AppPort > 0 {
		opt.App.Addr = net.JoinHostPort(o.AppHost, strconv.Itoa(o.AppPort))
	}
	if h := o.Health; h != nil {
		opt.AppHealth = &api.AppHealth{Path: h.Path, Interval: h.Interval.String(), Timeout: h.Timeout.String(), Threshold: h.Threshold}
	}
	if err := s.listenProfiles(); err != nil {
		return nil, err
	}
	if s.inner, err = runtime.New(opt); err != nil {
		s.closeProfiles()
		return nil, err
	}
	if o.AppPort > 0 {
		s.inner.App().Refuse(errNotListening)
	}
	if usesMDNS(have.names) {
		s.mdns, err = mdnsresolve.New(mdnsresolve.Options{Interface: o.Interface, Log: o.Log})
		if err != nil { // as with every other resolver: the app can still be served
			o.Log.Error("names cannot be resolved by mDNS", slog.Any("error", err))
		}
	}
	return s, nil
}

// Ports gives the ports that are listened on, also before Run.
func (s *Sidecar) Ports() runtime.Ports { return s.inner.Ports() }

// Close releases what a Sidecar that is not run holds.
func (s *Sidecar) Close() {
	s.inner.Close()
	s.closeProfiles()
	if s.mdns != nil {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.mdns.Run(ended) // only closes its sockets
	}
}

// Reload makes a running Sidecar read its configuration anew, soon.
func (s *Sidecar) Reload() {
	select {
	case s.reload <- struct{}{}:
	default: // it will anyway
	}
}

// shutdown is what the app's wish to end its sidecar does.
func (s *Sidecar) shutdown(force bool) {
	if force {
		s.force.Do(func() { close(s.forced) })
	}
	select {
	case s.quit <- struct{}{}:
	default:
	}
}

// Run serves until ctx ends or the app asks for the end. The error is ErrForced
// when the app has asked for the end at once.
func (s *Sidecar) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	over := make(chan struct{})
	go func() { // ends with life
		defer close(over)
		s.awaitEnd(ctx, life)
		end()
	}()
	var g run.Group
	g.Add("sidecar", s.inner.Run)
	if s.profiles != nil {
		g.Add("profiles", s.serveProfiles)
	}
	if s.mdns != nil {
		g.Add("mDNS", s.mdns.Run)
	}
	g.Add("names", s.finder.Run)
	g.Add("components", s.stock.Run)
	g.Add("declarations", s.keep)
	g.Add("app", s.attend)
	ended := make(chan error, 1)
	go func() { ended <- g.Run(life) }()
	select {
	case err := <-ended:
		end()
		<-over
		return err
	case <-s.forced:
		return ErrForced // whatever is under way ends with the process
	}
}

// awaitEnd returns when the sidecar is to stop.
func (s *Sidecar) awaitEnd(ctx, life context.Context) {
	select {
	case <-life.Done():
		return
	case <-s.quit:
		return
	case <-ctx.Done():
	}
	if s.o.Block <= 0 {
		return
	}
	s.o.Log.InfoContext(ctx, "stopping is put off", slog.Duration("for", s.o.Block))
	limit := time.NewTimer(s.o.Block)
	defer limit.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for s.healthy.Load() || s.o.Health == nil {
		select {
		case <-limit.C:
			return
		case <-s.quit:
			return
		case <-life.Done():
			return
		case <-tick.C:
		}
	}
}

// address is where others reach the sidecar.
func (s *Sidecar) address() (netip.Addr, error) {
	if s.o.Host != "" {
		a, err := netip.ParseAddr(s.o.Host)
		if err != nil {
			return a, fmt.Errorf("the address of this host, %q, is no IP address", s.o.Host)
		}
		return a, nil
	}
	if host, _, err := net.SplitHostPort(s.o.Internal); err == nil {
		if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() {
			return a, nil
		}
	}
	return names.Outbound(), nil
}
