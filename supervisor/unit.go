package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"mesh/runtime"
	"mesh/runtime/api"
	"mesh/runtime/appchan"
	"mesh/runtime/metrics"
	"mesh/runtime/names"
	"mesh/runtime/run"
	"mesh/runtime/stream"
	"mesh/supervisor/config"
	"mesh/supervisor/console"
	"mesh/supervisor/proc"
	"mesh/supervisor/state"
)

// unit is one instance of an app: its process and its sidecar.
type unit struct {
	s        *Supervisor
	app      string
	name     string
	external bool // the process is not ours
	initial  bool // made with the mesh, not by an edit of it
	at       place
	purposes []int // derived ports, to be given back
	sidecar  *runtime.Sidecar

	internal int           // port for other sidecars
	finder   *names.Finder // of the apps of others

	source *source       // of the app; nil when it is external
	gone   chan struct{} // closed when the unit has ended
	broken chan struct{} // closed when it has ended although nobody wanted that
	able   chan struct{} // closed when the unit is ready for the first time
	arrive sync.Once     // closes able
	cancel context.CancelCauseFunc

	want  atomic.Pointer[desired]
	wake  chan struct{}                // want has changed
	lines atomic.Pointer[func(string)] // told the lines of the process; may hold nil
	gen   uint64                       // of desired that is acted upon; owned by process

	// Owned by the loop.
	shown state.Instance
	cpu   usage
	sick  string // why its health check fails; "": it does not

	console console.Console // shares its terminal; nothing comes through it without one

	mu    sync.Mutex
	child *proc.Child // the running process; nil: none
}

type usage struct {
	at  time.Time
	sec float64
	pid int
}

// sidecarGrace is how long each server of a sidecar goes on when it stops. The
// process has been drained and has ended by then, so that nothing but streams
// that would never end is cut.
const sidecarGrace = 300 * time.Millisecond

// maxHeld bounds how many calls wait for an instance: more than a restart lets
// pile up, and what they hold still fits into memory.
const maxHeld = 10_000

// instanceName names instances so that scaling never renames one.
func instanceName(app string, index int) string {
	if index == 1 {
		return app
	}
	return fmt.Sprintf("%s-%d", app, index)
}

// newUnits binds the instances from..to of an app. On error it gives those
// that were made, for the caller to discard.
func (s *Supervisor) newUnits(m *config.Mesh, a *config.App, from, to int) ([]*unit, error) {
	var units []*unit
	for i := from; i <= to; i++ {
		u, err := s.newUnit(m, a, i)
		if err != nil {
			return units, err
		}
		units = append(units, u)
	}
	return units, nil
}

func (s *Supervisor) newUnit(m *config.Mesh, a *config.App, index int) (_ *unit, err error) {
	u := &unit{
		s: s, app: a.ID, name: instanceName(a.ID, index), wake: make(chan struct{}, 1), gone: make(chan struct{}),
		able: make(chan struct{}), broken: make(chan struct{}),
		external: s.external(a),
		at:       place{instance: instanceName(a.ID, index), index: index},
	}
	derived := func(fixed int, purpose string) (int, error) {
		if fixed > 0 && index == 1 && s.o.Salt == "" { // a copy of the project cannot have the same one
			_ = portFree(fixed) // gives it the moment that it may need; binding says why it is not
			return fixed, nil
		}
		p, err := s.ports.pick(fmt.Sprintf("%s/%d/%s", a.ID, index, purpose))
		if err == nil {
			u.purposes = append(u.purposes, p)
		}
		return p, err
	}
	defer func() {
		if err != nil {
			u.discard()
		}
	}()
	if u.at.http, err = derived(a.HTTPPort, "http"); err != nil {
		return nil, err
	}
	if u.at.grpc, err = derived(a.GRPCPort, "grpc"); err != nil {
		return nil, err
	}
	if u.internal, err = derived(0, "internal"); err != nil {
		return nil, err
	}
	if u.at.metrics, err = derived(0, "metrics"); err != nil {
		return nil, err
	}
	u.at.app = a.Port
	if a.AutoPort {
		if u.at.app, err = derived(0, "app"); err != nil {
			return nil, err
		}
	}
	u.want.Store(&desired{mesh: m, app: a, run: true, gen: s.nextGeneration()})
	if !u.external {
		u.source = s.sourceOf(m, a)
	}
	tokens := u.tokens(u.want.Load())
	opt := appchan.Options{Protocol: a.Protocol, Hold: a.Hold, MaxHeld: maxHeld, MaxConcurrency: a.MaxConcurrency, Token: tokens.app}
	if u.at.app > 0 {
		opt.Addr = loopback(u.at.app)
	}
	u.finder = s.newFinder(u)
	reg := metrics.New(a.ID)
	reg.Process()
	var shutdown func(bool)
	if !u.external {
		shutdown = u.shutdown
	}
	vars := newEnviron(s.o.Environ)
	u.sidecar, err = runtime.New(runtime.Options{
		AppID: a.ID, Instance: u.name,
		HTTP: loopback(u.at.http), GRPC: loopback(u.at.grpc), Internal: net.JoinHostPort(peerHost(m.Interface), strconv.Itoa(u.internal)),
		MetricsAddr: loopback(u.at.metrics), Metrics: reg, Grace: sidecarGrace, MaxBody: a.MaxBody, HeaderLimit: a.HeaderLimit,
		Balance: runtime.Balance(a.Balance), BalanceOthers: runtime.Balance(m.Balance),
		Env: func(name string) (string, bool) { v, ok := vars.value[name]; return v, ok },
		App: opt, AppHealth: healthOf(a), Transport: stream.Transport(m.Transport), Peers: s.peers, Names: u.finder,
		Policies: s.policies, Components: s.stock.live, Flows: s.o.Flows, APIToken: tokens.api, Shutdown: shutdown, Log: s.o.Log.With(slog.String("app", a.ID), slog.String("instance", u.name)),
	})
	if err != nil {
		return nil, fmt.Errorf("starting the sidecar of %s: %w", u.name, portTaken(err, u.at.http, u.at.grpc, u.internal, u.at.metrics))
	}
	u.shown = state.Instance{
		Name: u.name, Phase: state.Pending, Since: time.Now(),
		AppPort: u.at.app, HTTPPort: u.at.http, GRPCPort: u.at.grpc, PeerPort: u.internal,
	}
	s.declare(u)
	return u, nil
}

// shutdown is what the app gets when it asks its sidecar to shut down, which ends
// both where there is one sidecar by itself: the instance is stopped, as by
// `mesh stop`. Its sidecar stays bound, for the next start.
func (u *unit) shutdown(bool) {
	u.s.post(func() { u.command(state.Stop) })
}

// healthOf gives how the app's health is checked, as /v1.0/metadata tells it.
func healthOf(a *config.App) *api.AppHealth {
	h := a.Health
	if h == nil {
		return nil
	}
	return &api.AppHealth{Path: h.Path, Interval: h.Interval.String(), Timeout: h.Timeout.String(), Threshold: h.Threshold}
}

// peerHost is where a sidecar listens for others; "": at all addresses. They come
// from other hosts only when the mesh is announced there.
func peerHost(iface string) string {
	if iface == "" || iface == "loopback" {
		return "127.0.0.1"
	}
	return ""
}

// external says whether somebody else runs the app.
func (s *Supervisor) external(a *config.App) bool {
	return a.External() || slices.Contains(s.o.Except, a.ID)
}

// portTaken adds who holds the port to an error about a port in use.
func portTaken(err error, ports ...int) error {
	for _, p := range ports {
		if p == 0 || !errors.Is(portFree(p), errTaken) {
			continue
		}
		if pid, command, ok := proc.PortHolder(p); ok {
			return fmt.Errorf("%w (port %d is held by pid %d: %s)", err, p, pid, command)
		}
	}
	return err
}

// configure gives the unit the configuration for its next start.
func (u *unit) configure(m *config.Mesh, a *config.App) {
	u.wish(func(d *desired) { d.mesh, d.app = m, a })
	u.sidecar.App().SetHold(a.Hold)
	u.sidecar.SetLimits(a.MaxBody, a.HeaderLimit)
	u.sidecar.SetBalance(runtime.Balance(a.Balance), runtime.Balance(m.Balance))
	u.sidecar.SetAppHealth(healthOf(a))
}

// siblings gives the app port of every app's first instance. Only the loop calls it.
func (s *Supervisor) siblings() map[string]int {
	ports := map[string]int{}
	for _, u := range s.units {
		if u.at.index == 1 && u.at.app > 0 {
			ports[u.app] = u.at.app
		}
	}
	return ports
}

func (u *unit) config() *config.App { return u.want.Load().app }

// discard releases what newUnit has bound, for a unit that never ran.
func (u *unit) discard() {
	if u.sidecar != nil {
		u.sidecar.Close()
	}
	u.s.release(u)
	if q := u.s.sources[u.app]; q != nil && len(u.s.of(u.app)) == 0 {
		if q.end != nil {
			q.end()
		}
		delete(u.s.sources, u.app)
	}
}

func (s *Supervisor) release(u *unit) {
	for _, p := range u.purposes {
		s.ports.free(p)
	}
}

// run is the unit's life. The name goes first, so that nobody new comes; then
// the process, while its sidecar still serves it; the sidecar last.
func (u *unit) run(ctx context.Context) error {
	serving := make(chan struct{})
	var g run.Group
	g.Add("sidecar of "+u.name, func(ctx context.Context) error {
		close(serving) // bound since New: connections are accepted from now on
		return u.sidecar.Run(ctx)
	})
	g.Add("process of "+u.name, func(ctx context.Context) error {
		<-serving
		select {
		case <-u.s.stock.loaded: // an app may use them as soon as it starts
		case <-ctx.Done():
		}
		return u.process(ctx)
	})
	g.Add("names of "+u.name, u.finder.Run)
	err := g.Run(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("running %s: %w", u.name, err)
	}
	return nil
}

// set changes what is shown of the unit; f runs in the loop.
func (u *unit) set(f func(*state.Instance)) { u.s.post(func() { f(&u.shown) }) }

// begin shows that the process is about to be started.
func (u *unit) begin(d *desired) {
	now := time.Now()
	u.phase(state.Pending, d.why)
	u.set(func(i *state.Instance) {
		i.Asked, i.ReadyAt = now, time.Time{}
		if u.initial && i.Startup.Asked.IsZero() {
			i.Startup.Asked = now
		}
	})
}

// pending shows what the start of the process waits for; hopeless says that
// somebody has to do something about it.
func (u *unit) pending(reason string, hopeless bool) {
	u.phase(state.Pending, reason)
	u.set(func(i *state.Instance) { i.Blocked = hopeless })
}

// phase moves the unit to another phase.
func (u *unit) phase(p state.Phase, reason string) {
	now, gen := time.Now(), u.gen
	u.set(func(i *state.Instance) {
		if i.Phase != p {
			i.Since = now
		}
		i.Phase, i.Reason, i.Generation, i.Blocked = p, reason, gen, false
		if p != state.Backoff {
			i.Next = time.Time{}
		}
		if !p.Live() {
			i.PID, i.CPU, i.Memory = 0, 0, 0
		}
		if up := &i.Startup; u.initial && up.Ready.IsZero() && (p == state.Ready || p == state.Done) {
			up.Ready = now
		}
		u.count() // calls that a process had went with it
	})
}

// linger shows that the unit is about to be stopped, after those that depend on
// it. Only the loop calls it.
func (u *unit) linger() {
	if i := &u.shown; i.Phase == state.Starting || i.Phase == state.Ready {
		i.Phase, i.Reason, i.Since = state.Stopping, "the mesh stops", time.Now()
	}
}

// count refreshes the shown numbers of calls; only the loop calls it.
func (u *unit) count() {
	st := u.sidecar.App().Stats()
	u.shown.Calls, u.shown.Waiting = st.Calls, st.Waiting
}

// measure refreshes the shown usage; only the loop calls it.
func (u *unit) measure() (changed bool) {
	before := u.shown
	u.count()
	u.mu.Lock()
	child := u.child
	u.mu.Unlock()
	if child == nil || u.shown.PID == 0 {
		return u.shown != before
	}
	now := time.Now()
	if u.cpu.pid == child.PID() && now.Sub(u.cpu.at) < usageAge {
		return u.shown != before
	}
	sec, rss := child.Usage()
	if u.cpu.pid == child.PID() {
		// Two digits: a screen need not be redrawn for less.
		u.shown.CPU = float64(int(100*(sec-u.cpu.sec)/now.Sub(u.cpu.at).Seconds()+0.5)) / 100
	}
	u.cpu = usage{at: now, sec: sec, pid: child.PID()}
	u.shown.Memory = rss >> 20 << 20
	return u.shown != before
}
