// Package supervisor keeps the running mesh like the mesh that mesh.toml asks
// for.
//
// One loop owns the list of units and everything that is published about them.
// A unit is one instance of an app: its process and its sidecar. Each unit has
// a goroutine of its own that starts, watches and stops the process and tells
// the loop how it stands; the loop folds that into a new immutable state.Mesh.
// Everyone who wants to know something, a unit that waits for another app
// included, reads that value and waits for the next one; nobody asks a unit.
//
// A change of mesh.toml is applied in two steps: whatever can fail is tried
// first, while the old mesh still serves; then the change is carried out,
// which cannot fail.
package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mesh/runtime"
	"mesh/runtime/flow"
	"mesh/runtime/policy"
	"mesh/supervisor/config"
	"mesh/supervisor/logs"
	"mesh/supervisor/proc"
	"mesh/supervisor/state"
)

// Names announces local instances to other meshes and finds theirs.
type Names interface {
	runtime.Names
	// Announce makes an instance known; withdraw makes it unknown at once.
	Announce(appID, instance string, port int) (withdraw func())
}

// Options is what a Supervisor needs of the world.
type Options struct {
	First    *config.Mesh                 // what to run
	Applied  func(*config.Mesh)           // told of every configuration that was applied; may be nil
	Load     func() (*config.Mesh, error) // reads mesh.toml again
	Only     []string                     // run these apps and what they depend on; empty: all
	Except   []string                     // the user runs these apps
	Environ  []string                     // for the apps
	Guardian *proc.Guardian               // ends the children when we cannot
	Names    Names                        // nil: only this mesh
	Move     func(iface string) error     // has Names work on another interface; nil: there is none
	Flows    *flow.Recorder
	Logs     *logs.Book
	Log      *slog.Logger
	Salt     string // changes the derived ports, so that copies of a project can run side by side
	PID      int
}

// Supervisor runs a mesh. Make one with New, then call Run once.
type Supervisor struct {
	o        Options
	peers    *runtime.Peers
	policies *policy.Book
	stock    stock
	shown    atomic.Pointer[shown]
	posts    chan func()   // work for the loop
	over     chan struct{} // closed when the loop has ended
	kill     chan struct{} // closed when the children are to be killed at once
	killing  sync.Once
	quit     chan struct{} // closed when a command ends the mesh
	quitting sync.Once
	ending   chan struct{} // closed when the mesh begins to stop
	tokens   sync.Map      // those that are "auto", by purpose
	apiToken atomic.Pointer[string]
	edit     chan struct{} // holds a token while nobody changes the mesh
	look     chan struct{} // "a file has changed"

	// Owned by the loop; New fills them before it runs.
	cfg        *config.Mesh
	units      []*unit
	ports      *portBook
	notices    []state.Notice
	edits      edits
	scaled     map[string]int // instances asked for by a command, by app id
	sources    map[string]*source
	generation uint64 // the latest that was given out
	stop       bool
	version    uint64
	started    time.Time
	runUnit    func(*unit)
	runSource  func(*source) // nil before Run
}

type shown struct {
	mesh *state.Mesh
	next chan struct{} // closed when a newer one is shown
}

// New binds the ports of every sidecar of the first mesh, or says which one
// cannot be had and why. Nothing has been started when it returns.
func New(o Options) (*Supervisor, error) {
	s := &Supervisor{
		o: o, peers: runtime.NewPeers(), policies: &policy.Book{},
		posts: make(chan func(), 64), over: make(chan struct{}), kill: make(chan struct{}), quit: make(chan struct{}), ending: make(chan struct{}),
		edit: make(chan struct{}, 1), look: make(chan struct{}, 1),
		cfg: o.First, ports: newPortBook(o.First.Dir + o.Salt), scaled: map[string]int{}, sources: map[string]*source{}, started: time.Now(),
	}
	s.edit <- struct{}{}
	if err := s.newStock(); err != nil {
		return nil, err
	}
	s.adoptPolicies(s.cfg, s.stock.have, nil)
	for i := range s.cfg.Apps { // fixed ports first, so that no derived one takes them
		s.claim(&s.cfg.Apps[i])
	}
	var errs []error
	for i := range s.cfg.Apps {
		if !s.wanted(s.cfg, s.cfg.Apps[i].ID) {
			continue
		}
		us, err := s.newUnits(s.cfg, &s.cfg.Apps[i], 1, s.count(&s.cfg.Apps[i]))
		for _, u := range us {
			u.initial = true
		}
		s.units = append(s.units, us...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		for _, u := range s.units {
			u.discard()
		}
		return nil, err
	}
	s.useToken(s.cfg)
	s.publish()
	return s, nil
}

// claim reserves the ports that the user has fixed for an app, so that none of
// them is picked for something else.
func (s *Supervisor) claim(a *config.App) {
	for _, p := range []int{a.Port, a.HTTPPort, a.GRPCPort} {
		s.ports.fixed[p] = true
	}
}

// sourceOf gives the source of an app, which its instances share.
func (s *Supervisor) sourceOf(m *config.Mesh, a *config.App) *source {
	q := s.sources[a.ID]
	if q == nil {
		q = newSource(s, m, a)
		s.sources[a.ID] = q
		if s.runSource != nil {
			s.runSource(q)
		}
	}
	return q
}

// wanted says whether an app takes part: all do, or those asked for by name
// and whatever they depend on.
func (s *Supervisor) wanted(m *config.Mesh, id string) bool {
	if len(s.o.Only) == 0 {
		return true
	}
	seen := map[string]bool{}
	queue := slices.Clone(s.o.Only)
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		if seen[next] {
			continue
		}
		seen[next] = true
		for i := range m.Apps {
			if m.Apps[i].ID == next {
				for _, d := range m.Apps[i].DependsOn {
					queue = append(queue, d.App)
				}
			}
		}
	}
	return seen[id]
}

// Run runs the mesh until ctx ends, then stops it: apps before what they
// depend on, everything else at the same time. It returns when nothing is left.
func (s *Supervisor) Run(ctx context.Context) error {
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	var running sync.WaitGroup
	s.runUnit = func(u *unit) {
		uctx, cancel := context.WithCancelCause(life)
		u.cancel = cancel
		running.Go(func() {
			defer close(u.gone)
			err := u.run(uctx)
			if uctx.Err() == nil {
				s.post(func() {
					i := &u.shown
					i.Phase, i.Reason, i.Since, i.PID = state.Failed, "mesh no longer keeps it", time.Now(), 0
				})
				close(u.broken)
			}
			if err != nil {
				s.post(func() { s.notice(state.Notice{Level: "error", App: u.app, Code: "sidecar", Text: err.Error()}) })
			}
		})
	}
	s.runSource = func(q *source) {
		var qctx context.Context
		qctx, q.end = context.WithCancel(life)
		running.Go(func() { q.run(qctx) })
	}
	for _, q := range s.sources {
		s.runSource(q)
	}
	for _, u := range s.units {
		s.runUnit(u)
	}
	running.Go(func() { // ends after the units: they use the components to the last
		if err := s.stock.live.Run(life); err != nil {
			s.o.Log.WarnContext(life, "closing the components", slog.Any("error", err))
		}
	})
	running.Go(func() {
		s.stockUp(life)
		s.reload(life)
	})

	usage := time.NewTicker(countEvery)
	defer usage.Stop()
	done := make(chan struct{})
	asked, quit := ctx.Done(), s.quit
	begin := func(cause error) {
		close(s.ending)
		asked, quit = nil, nil
		s.stop = true
		for _, u := range s.units {
			u.linger()
		}
		s.publish()
		units := slices.Clone(s.units)
		go func() { // joined by done
			s.stopUnits(units, cause)
			end(cause)
			running.Wait()
			close(done)
		}()
	}
	for {
		select {
		case f := <-s.posts:
			f()
			s.drainPosts()
			s.publish()
		case <-s.stock.changed:
			s.publish()
		case <-usage.C:
			if s.measure() {
				s.publish()
			}
		case <-asked:
			begin(context.Cause(ctx))
		case <-quit:
			begin(errors.New("asked to stop"))
		case <-done:
			close(s.over)
			return nil
		}
	}
}

func (s *Supervisor) drainPosts() {
	for range 32 { // publish once for a burst
		select {
		case f := <-s.posts:
			f()
		default:
			return
		}
	}
}

// post hands work to the loop. It is dropped when the loop has ended.
func (s *Supervisor) post(f func()) {
	select {
	case s.posts <- f:
	case <-s.over:
	}
}

// ask runs f in the loop and waits for it. The end of ctx keeps it from being
// queued; once it is, it runs, and the caller learns how it went.
func (s *Supervisor) ask(ctx context.Context, f func()) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	done := make(chan struct{})
	select {
	case s.posts <- func() { f(); close(done) }:
	case <-s.over:
		return errOver
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-done:
		return nil
	case <-s.over:
	}
	select {
	case <-done: // it was the last thing that the loop did
		return nil
	default:
		return errOver
	}
}

// Kill ends every child at once instead of politely. It is what a second
// Ctrl-C means.
func (s *Supervisor) Kill() { s.killing.Do(func() { close(s.kill) }) }

// stopUnits stops units, each after those of the apps that depend on its own,
// and returns when all are gone.
func (s *Supervisor) stopUnits(units []*unit, cause error) {
	var wg sync.WaitGroup
	for _, u := range units {
		wg.Go(func() {
			for _, v := range units {
				if v.app != u.app && slices.ContainsFunc(v.config().DependsOn, func(d config.Dependency) bool { return d.App == u.app }) {
					<-v.gone
				}
			}
			u.cancel(cause)
			<-u.gone
		})
	}
	wg.Wait()
}

// State gives the mesh as it stands.
func (s *Supervisor) State() *state.Mesh { return s.shown.Load().mesh }

// Wait blocks until there is a newer state than version, or ctx ends, and gives
// the present one.
func (s *Supervisor) Wait(ctx context.Context, version uint64) *state.Mesh {
	for {
		now := s.shown.Load()
		if now.mesh.Version != version {
			return now.mesh
		}
		select {
		case <-now.next:
		case <-s.over:
			return s.shown.Load().mesh
		case <-ctx.Done():
			return now.mesh
		}
	}
}
