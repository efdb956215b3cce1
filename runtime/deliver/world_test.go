package deliver

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// patience bounds every wait.
const patience = 60 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a mesh with one broker.
type world struct {
	t    *testing.T
	live *component.Live
	ctx  context.Context //nolint:containedctx // of the test's components
}

func newWorld(t *testing.T) *world {
	t.Helper()
	live := component.New(component.Options{Dir: t.TempDir()})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- live.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	err := live.Apply(ctx, component.Desired{Components: []resource.Component{
		{Name: "broker", Type: "pubsub.in-memory", Version: "v1", Metadata: []resource.Property{{Name: "subscriptionScopes", Value: "shut=;"}}},
		{Name: "tick", Type: "bindings.cron", Version: "v1", Metadata: []resource.Property{{Name: "schedule", Value: "@every 50ms"}}},
		{Name: "push", Type: "bindings.cron", Version: "v1", Scopes: []string{"pushed"}, Metadata: []resource.Property{
			{Name: "schedule", Value: "@every 50ms"}, {Name: "direction", Value: "output, input"}, {Name: "route", Value: "/push/here"},
		}},
		{Name: "files", Type: "bindings.localstorage", Version: "v1", Metadata: []resource.Property{{Name: "rootPath", Value: t.TempDir()}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, live: live, ctx: ctx}
}

func (w *world) publish(topic string, event component.Event) {
	w.t.Helper()
	p := w.live.App("sender").PubSub("broker")
	event.Topic, event.Source = topic, "sender"
	data, err := p.Event(event)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.Publish(w.ctx, &component.Message{Topic: topic, Data: data}); err != nil {
		w.t.Fatal(err)
	}
}

// app is an app instance: a handler, and whether it is ready.
type app struct {
	*world
	id    string
	rpc   RPC                                          // it speaks gRPC; nil: it does not
	asked string                                       // its answer to GET /dapr/subscribe; "": 404
	reply func(path string, body []byte) (int, string) // to deliveries; nil: 200
	got   chan arrival                                 // every delivery, in order
	mu    sync.Mutex
	ready bool
	moved chan struct{}
}

type arrival struct {
	path, contentType string
	event             map[string]any
	instance          *app
}

func (a *app) Watch() (bool, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ready, a.moved
}

func (a *app) set(ready bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ready = ready
	close(a.moved)
	a.moved = make(chan struct{})
}

// Handle plays the app.
func (a *app) Handle(_ context.Context, c *stream.Call) (*stream.Reply, error) {
	answer := func(status int, body string) (*stream.Reply, error) {
		return &stream.Reply{Status: status, Body: io.NopCloser(strings.NewReader(body)), Length: int64(len(body))}, nil
	}
	switch {
	case c.Path == "dapr/subscribe" && a.asked == "":
		return answer(http.StatusNotFound, "")
	case c.Path == "dapr/subscribe":
		return answer(http.StatusOK, a.asked)
	case c.Verb == http.MethodOptions && c.Path == "tick" && a.id == "ticked":
		return answer(http.StatusOK, "")
	case c.Verb == http.MethodOptions:
		return answer(http.StatusNotFound, "")
	}
	body, err := io.ReadAll(c.Body)
	if err != nil {
		return nil, err
	}
	d := arrival{path: c.Path, contentType: c.Header.Get("Content-Type"), instance: a}
	_ = json.Unmarshal(body, &d.event) // events of bindings have none
	a.got <- d
	if a.reply != nil {
		return answer(a.reply(c.Path, body))
	}
	return answer(http.StatusOK, "")
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// run serves an app until the test ends; got may be shared by instances.
func (w *world) run(a *app, declared ...resource.Subscription) *Deliverer {
	w.t.Helper()
	a.world, a.moved = w, make(chan struct{})
	if a.got == nil {
		a.got = make(chan arrival, 100)
	}
	d := New(Options{AppID: a.id, Components: w.live.App(a.id), App: a, RPC: a.rpc, Gate: a, Flows: flow.NewRecorder(), Log: quiet()})
	d.Declare(declared)
	ctx, stop := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	a.set(true)
	return d
}

// subscribed waits until an app subscribes to so many topics.
func subscribed(t *testing.T, d *Deliverer, n int) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(d.Subscriptions()) != n {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the app subscribes to %v, want %d topics", d.Subscriptions(), n)
		}
	}
}

func next(t *testing.T, got <-chan arrival) arrival {
	t.Helper()
	select {
	case d := <-got:
		return d
	case <-time.After(patience):
		t.Fatal("nothing is delivered")
		return arrival{}
	}
}

// first publishes an event until one arrives.
func (w *world) first(topic string, e component.Event, got <-chan arrival) arrival {
	w.t.Helper()
	return arrives(w, topic, e, got)
}

// arrives is first for apps that note other things than arrivals.
func arrives[T any](w *world, topic string, e component.Event, got <-chan T) T {
	w.t.Helper()
	return repeat(w.t, func() { w.publish(topic, e) }, got)
}

// repeat publishes until something arrives: a broker in memory has no queue for
// a topic before someone reads it.
func repeat[T any](t *testing.T, publish func(), got <-chan T) (one T) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		publish()
		select {
		case one = <-got:
			return one
		case <-tick.C:
		case <-deadline:
			t.Fatal("nothing is delivered")
		}
	}
}

// drained empties the channel.
func drained(got chan arrival) chan arrival {
	for len(got) > 0 {
		<-got
	}
	return got
}

// onPath gives a channel with the deliveries to one path only.
func onPath(t *testing.T, got chan arrival, path string) <-chan arrival {
	t.Helper()
	out := make(chan arrival)
	go func() { // ends with the first that fits
		for d := range got {
			if d.path == path {
				out <- d
				return
			}
		}
	}()
	return out
}
