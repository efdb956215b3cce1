// Package deliver brings to an app what arrives for it at the components of the
// mesh: the messages of its subscriptions, the events of input bindings, and the
// changes of configuration that it asked for over HTTP. The app takes them over
// HTTP or as a gRPC server; both are told the same.
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

	"google.golang.org/protobuf/proto"

	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/policy"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// Gate tells whether the app is ready; moved is closed when that changes.
type Gate interface {
	Watch() (ready bool, moved <-chan struct{})
}

// RPC calls the methods that an app which speaks gRPC has for its sidecar.
type RPC interface {
	// Callback sends one message to the method whose full name is the path of
	// the call, and reads the answer into the other message. An error that the
	// app gives is a gRPC status.
	Callback(ctx context.Context, c *stream.Call, req, answer proto.Message) error
}

// Options are what a Deliverer needs. AppID, Components, App, Gate and Log must be
// set.
type Options struct {
	AppID      string
	Components *component.App
	App        stream.Handler
	RPC        RPC // how to reach an app that speaks gRPC; nil: it speaks HTTP
	Gate       Gate
	NoAsk      bool           // the app is not asked for its subscriptions: those that are declared are all
	Flows      *flow.Recorder // nil: nothing is recorded
	Policies   *policy.Book   // of components; nil: there are none
	Delivered  func(Outcome)  // told of every delivery; nil: nobody is
	Log        *slog.Logger
}

// Deliverer serves one instance of an app. Make it with New, run it with Run.
type Deliverer struct {
	o   Options
	app receiver

	mu       sync.Mutex
	declared []resource.Subscription
	current  []Subscription // what is subscribed to
	changed  chan struct{}  // holds a token when declared was replaced

	watches map[string]*watch // of configuration, by name
	rewatch chan struct{}     // holds a token when watches has changed
}

// New gives a Deliverer that has nothing to deliver.
func New(o Options) *Deliverer {
	d := &Deliverer{o: o, app: httpApp{o}, changed: make(chan struct{}, 1), rewatch: make(chan struct{}, 1)}
	if o.RPC != nil {
		d.app = grpcApp{o}
	}
	return d
}

// receiver is an app as deliveries see it.
type receiver interface {
	subscriber
	listener
}

// subscriber is an app that takes messages.
type subscriber interface {
	// subscriptions asks the app what it wants to get; found says whether it
	// knew an answer.
	subscriptions(ctx context.Context) (all []resource.Subscription, found bool)

	// message hands one message to the app; an error says what it did not like.
	message(ctx context.Context, f *flow.Flow, d *delivery) error

	// messages hands over several of one path, and gives an error for each.
	messages(ctx context.Context, f *flow.Flow, all []*delivery) []error
}

// listener is an app that takes the events of input bindings.
type listener interface {
	// wants asks the app whether it takes the events of a binding.
	wants(ctx context.Context, binding string) bool

	// event hands an event to the app and gives its answer.
	event(ctx context.Context, f *flow.Flow, binding string, p component.Payload) (answer []byte, err error)
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
	var watching sync.WaitGroup
	watching.Go(func() { d.watchAll(ctx) })
	defer watching.Wait()
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
			want = s.isInput(name) || s.app.wants(ctx, name)
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
