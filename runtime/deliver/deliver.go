// Package deliver brings to an app what arrives for it at the components of the
// mesh: the messages of its subscriptions and the events of input bindings.
//
// Whenever the app gets ready it is asked for its subscriptions; those that are
// declared in files stand beside them. While the app is not ready nothing is
// taken from the brokers: other instances of the app get it, or it waits there.
package deliver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// Gate tells whether the app is ready; moved is closed when that changes.
type Gate interface {
	Watch() (ready bool, moved <-chan struct{})
}

// Options are what a Deliverer needs. All but Flows and Log must be set.
type Options struct {
	AppID      string
	Components *component.App
	App        stream.Handler
	Gate       Gate
	Flows      *flow.Recorder // nil: nothing is recorded
	Log        *slog.Logger
}

// Deliverer serves one instance of an app. Make it with New, run it with Run.
type Deliverer struct {
	o Options

	mu       sync.Mutex
	declared []resource.Subscription
	current  []Subscription // what is subscribed to
	changed  chan struct{}  // holds a token when declared was replaced
}

// New gives a Deliverer that has nothing to deliver.
func New(o Options) *Deliverer {
	return &Deliverer{o: o, changed: make(chan struct{}, 1)}
}

// Declare replaces what files declare. It is also called when components may
// have changed, so that input bindings are looked for again.
func (d *Deliverer) Declare(all []resource.Subscription) {
	d.mu.Lock()
	d.declared = nil
	for i := range all {
		if all[i].Visible(d.o.AppID) {
			d.declared = append(d.declared, all[i])
		}
	}
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// Subscriptions tells what is subscribed to at the moment.
func (d *Deliverer) Subscriptions() []Subscription {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current
}

// Run delivers until ctx ends; it returns when the last delivery has ended.
func (d *Deliverer) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		ready, moved := d.o.Gate.Watch()
		if ready {
			d.session(ctx, moved)
		}
		select {
		case <-moved:
		case <-ctx.Done():
		}
	}
	return nil
}

// askAgain is when an app that has no subscriptions is asked once more: some
// listen before they have told their server what to answer.
const askAgain = time.Second

// session serves one run of the app, until the app is not ready any more.
func (d *Deliverer) session(life context.Context, moved <-chan struct{}) {
	ctx, stop := context.WithCancel(life)
	defer stop()
	go func() { // ends with ctx
		select {
		case <-moved:
			stop()
		case <-ctx.Done():
		}
	}()
	s := &session{Deliverer: d, life: life, running: map[string]*task{}}
	defer s.end()
	asked, found := d.ask(ctx)
	again := time.NewTimer(askAgain)
	defer again.Stop()
	for {
		s.follow(ctx, asked)
		select {
		case <-ctx.Done():
			return
		case <-d.changed:
		case <-again.C:
			if !found {
				asked, found = d.ask(ctx)
			}
		}
	}
}

// session is what runs while the app is ready.
type session struct {
	*Deliverer

	life    context.Context //nolint:containedctx // of the sidecar: deliveries under way may outlive the session
	running map[string]*task
	inputs  map[string]bool // by name: whether the app wants the binding
}

// task is one subscription, or one input binding.
type task struct {
	stop context.CancelFunc
	done chan struct{}
}

// follow starts what is to be delivered and does not run yet, and ends what is
// not any more.
func (s *session) follow(ctx context.Context, asked []Subscription) {
	s.mu.Lock()
	declared := s.declared
	s.mu.Unlock()
	all := join(declared, asked)
	wanted := map[string]func(context.Context){}
	for i := range all {
		wanted[all[i].key()] = func(ctx context.Context) { s.subscribe(ctx, &all[i]) }
	}
	for _, name := range s.o.Components.Inputs() {
		want, known := s.inputs[name]
		if !known {
			if s.inputs == nil {
				s.inputs = map[string]bool{}
			}
			want = s.wants(ctx, name)
			s.inputs[name] = want
		}
		if want {
			wanted["binding "+name] = func(ctx context.Context) { s.read(ctx, name) }
		}
	}
	for key, t := range s.running {
		if wanted[key] == nil {
			t.stop()
			<-t.done
			delete(s.running, key)
		}
	}
	for key, run := range wanted {
		if s.running[key] != nil {
			continue
		}
		tctx, stop := context.WithCancel(ctx)
		t := &task{stop: stop, done: make(chan struct{})}
		s.running[key] = t
		go func() { // joined by follow or end
			defer close(t.done)
			run(tctx)
		}()
	}
	s.mu.Lock()
	s.current = all
	s.mu.Unlock()
}

// end stops everything and waits for deliveries under way.
func (s *session) end() {
	for _, t := range s.running {
		t.stop()
	}
	for _, t := range s.running {
		<-t.done
	}
	s.mu.Lock()
	s.current = nil
	s.mu.Unlock()
}
