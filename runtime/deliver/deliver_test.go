package deliver

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
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
const patience = 10 * time.Second

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

// keep publishes until something arrives: a broker in memory has no queue for a
// topic before someone reads it.
func (w *world) first(topic string, e component.Event, got <-chan arrival) arrival {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		w.publish(topic, e)
		select {
		case d := <-got:
			return d
		case <-tick.C:
		case <-deadline:
			w.t.Fatal("nothing is delivered")
		}
	}
}

func TestSubscriptionsOfTheApp(t *testing.T) {
	w := newWorld(t)
	a := &app{id: "a", asked: `[
		{"pubsubname":"broker","topic":"plain","route":"/plain"},
		{"pubsubname":"broker","topic":"routed","routes":{"rules":[
			{"match":"event.type == 'big' && event.data.n > 5","path":"/big"},{"match":"event.nope == 1","path":"/never"}],"default":"/small"}},
		{"pubsubname":"broker","topic":"broken","routes":{"rules":[{"match":"((","path":"/x"}]}}]`}
	// What files say of the same topic counts less than what the app says.
	d := w.run(a, resource.Subscription{PubSub: "broker", Topic: "plain", Default: "/declared"},
		resource.Subscription{PubSub: "broker", Topic: "other", Default: "/other"},
		resource.Subscription{PubSub: "broker", Topic: "theirs", Default: "/theirs", Scopes: []string{"b"}})
	subscribed(t, d, 3)
	got := w.first("plain", component.Event{Data: []byte(`{"n":1}`), ContentType: "application/json"}, a.got)
	if got.path != "plain" || got.contentType != "application/cloudevents+json" || got.event["source"] != "sender" ||
		got.event["pubsubname"] != "broker" || got.event["topic"] != "plain" || fmt.Sprint(got.event["data"]) != "map[n:1]" {
		t.Errorf("the message arrives as %+v", got)
	}
	if got := w.first("other", component.Event{Data: []byte("text")}, drained(a.got)); got.path != "other" || got.event["data"] != "text" {
		t.Errorf("the declared subscription gets %+v", got)
	}
	for n, want := range map[int]string{1: "small", 6: "big"} {
		e := component.Event{Data: fmt.Appendf(nil, `{"n":%d}`, n), ContentType: "application/json", Metadata: map[string]string{"cloudevent.type": "big"}}
		if got := w.first("routed", e, drained(a.got)); got.path != want {
			t.Errorf("with n = %d the message goes to %s, want %s", n, got.path, want)
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

// TestAnswers: what the app says to a message decides what becomes of it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		text   string
		want   string // "taken", "again" or "dead"
	}{
		"nothing":          {200, "", "taken"},
		"words":            {200, "thanks", "taken"},
		"SUCCESS":          {200, `{"status":"SUCCESS"}`, "taken"},
		"RETRY":            {200, `{"status":"RETRY"}`, "again"},
		"an unknown word":  {200, `{"status":"MAYBE"}`, "again"},
		"an error":         {500, "", "again"},
		"DROP":             {200, `{"status":"DROP"}`, "dropped"},
		"no such route":    {404, "", "dropped"},
		"RETRY, dead":      {200, `{"status":"RETRY"}`, "dead"},
		"DROP, dead":       {200, `{"status":"DROP"}`, "dead"},
		"an error, dead":   {500, "", "dead"},
		"taken, not dead!": {200, "", "taken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := &app{id: "a"}
			var bad int
			a.reply = func(path string, _ []byte) (int, string) {
				if path == "orders" && bad < 1 {
					bad++
					return tc.status, tc.text
				}
				return http.StatusOK, ""
			}
			sub := resource.Subscription{PubSub: "broker", Topic: "orders", Default: "/orders"}
			if strings.Contains(name, "dead") {
				sub.DeadLetter = "dead"
			}
			w.run(a, sub, resource.Subscription{PubSub: "broker", Topic: "dead", Default: "/dead"}, resource.Subscription{PubSub: "broker", Topic: "probe", Default: "/probe"})
			w.first("dead", component.Event{Data: []byte("probe")}, a.got)
			w.first("probe", component.Event{Data: []byte("probe")}, drained(a.got))
			one := w.first("orders", component.Event{Data: []byte("1")}, onPath(t, a.got, "orders"))
			w.publish("orders", component.Event{Data: []byte("last")})
			id := one.event["id"]
			seen, dead := 0, 0
			for {
				d := next(t, a.got)
				if d.event["id"] == id && d.path == "orders" {
					seen++
				}
				if d.event["id"] == id && d.path == "dead" {
					dead++
				}
				if (tc.want == "again" && seen > 0) || (tc.want == "dead" && dead > 0) {
					return
				}
				if (tc.want == "taken" || tc.want == "dropped") && d.event["data"] == "last" {
					break
				}
			}
			if seen+dead > 0 {
				t.Errorf("the message came again %d times, and %d times as dead letter", seen, dead)
			}
		})
	}
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

func TestInstancesCompeteAndPause(t *testing.T) {
	w := newWorld(t)
	got := make(chan arrival, 100)
	sub := resource.Subscription{PubSub: "broker", Topic: "orders", Default: "/orders"}
	one, two := &app{id: "a", got: got}, &app{id: "a", got: got}
	first, second := w.run(one, sub), w.run(two, sub)
	subscribed(t, first, 1)
	subscribed(t, second, 1)
	w.first("orders", component.Event{Data: []byte("probe")}, got)
	one.set(false)
	subscribed(t, first, 0) // its instance pauses: the other one gets everything
	const n = 20
	for i := range n {
		w.publish("orders", component.Event{Data: fmt.Append(nil, i)})
	}
	seen := map[any]int{}
	for len(seen) < n {
		d := next(t, got)
		if d.event["data"] == "probe" {
			continue
		}
		seen[d.event["data"]]++
	}
	for data, times := range seen {
		if times != 1 {
			t.Errorf("message %v came %d times", data, times)
		}
	}
	two.set(false)
	subscribed(t, second, 0)
	w.publish("orders", component.Event{Data: []byte("kept")})
	one.set(true) // what was published while nobody was ready is not lost
	for {
		if d := next(t, got); d.event["data"] == "kept" {
			if d.instance != one {
				t.Error("an instance that is not ready got a message")
			}
			return
		}
	}
}

func TestBulk(t *testing.T) {
	w := newWorld(t)
	bulks := make(chan int, 100)
	a := &app{id: "a"}
	a.reply = func(path string, body []byte) (int, string) {
		var bulk struct {
			Entries []struct{ EntryID string }
		}
		if path != "bulk" || json.NewDecoder(bytes.NewReader(body)).Decode(&bulk) != nil {
			return http.StatusOK, ""
		}
		bulks <- len(bulk.Entries)
		var statuses []string
		for _, e := range bulk.Entries {
			statuses = append(statuses, fmt.Sprintf(`{"entryId":%q,"status":"SUCCESS"}`, e.EntryID))
		}
		return http.StatusOK, `{"statuses":[` + strings.Join(statuses, ",") + `]}`
	}
	w.run(a, resource.Subscription{PubSub: "broker", Topic: "t", Default: "/bulk", Bulk: &resource.Bulk{MaxMessages: 5, MaxAwait: 200 * time.Millisecond}})
	w.first("t", component.Event{Data: []byte("probe")}, a.got)
	for range 5 {
		w.publish("t", component.Event{Data: []byte("x")})
	}
	for {
		select {
		case n := <-bulks:
			if n > 1 {
				return // several at once
			}
		case <-time.After(patience):
			t.Fatal("messages never come together")
		}
	}
}

func TestInputBinding(t *testing.T) {
	w := newWorld(t)
	a, b := &app{id: "ticked"}, &app{id: "deaf"}
	w.run(a)
	w.run(b)
	if d := next(t, a.got); d.path != "tick" {
		t.Errorf("the binding's event goes to %s", d.path)
	}
	next(t, a.got)
	if len(b.got) > 0 {
		t.Error("an app that does not want the binding gets its events")
	}
}

func TestCheckNamesTheRule(t *testing.T) {
	errs := Check([]resource.Subscription{{
		Name: "s", Rules: []resource.Rule{{Match: "event.type ==", Path: "/x"}}, Place: resource.Place{File: "s.yaml", Line: 3, Column: 1},
	}})
	if len(errs) != 1 || !strings.Contains(errs.Error(), "s.yaml:3:1") || !strings.Contains(errs.Error(), "event.type ==") {
		t.Errorf("%v", errs)
	}
	if !errors.Is(word("DROP"), errDrop) {
		t.Error("DROP does not drop")
	}
}

// TestRawPayload: what is no CloudEvent becomes the data of one, and in a bulk
// stays the bytes that it is.
func TestRawPayload(t *testing.T) {
	w := newWorld(t)
	bodies := make(chan []byte, 100)
	a := &app{id: "a", reply: func(path string, body []byte) (int, string) {
		if path == "one" || path == "many" {
			bodies <- body
		}
		return http.StatusOK, `{"statuses":[]}` // a bulk so answered comes again
	}}
	raw := map[string]string{"rawpayload": "true"} // whatever its case
	d := w.run(a, resource.Subscription{PubSub: "broker", Topic: "one", Default: "/one", Metadata: raw},
		resource.Subscription{PubSub: "broker", Topic: "many", Default: "/many", Metadata: raw, Bulk: &resource.Bulk{MaxMessages: 2, MaxAwait: 10 * time.Millisecond}})
	subscribed(t, d, 2)
	const payload = "\x00not JSON"
	body := func(topic string) []byte {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		deadline := time.After(patience)
		for {
			if err := w.live.App("sender").PubSub("broker").Publish(w.ctx, &component.Message{Topic: topic, Data: []byte(payload)}); err != nil {
				t.Fatal(err)
			}
			select {
			case b := <-bodies:
				return b
			case <-tick.C:
			case <-deadline:
				t.Fatal("nothing is delivered")
			}
		}
	}
	coded := base64.StdEncoding.EncodeToString([]byte(payload))
	var event map[string]any
	if err := json.Unmarshal(body("one"), &event); err != nil {
		t.Fatal(err)
	}
	if event["data_base64"] != coded || event["datacontenttype"] != "application/octet-stream" || event["topic"] != "one" || event["pubsubname"] != "broker" || event["id"] == "" {
		t.Errorf("a raw message arrives as %v", event)
	}
	var bulk struct {
		Entries []struct{ Event, ContentType string }
	}
	for got := body("many"); ; got = body("many") {
		if err := json.Unmarshal(got, &bulk); err == nil && len(bulk.Entries) > 0 {
			break // what came before was of the other topic
		}
	}
	if e := bulk.Entries[0]; e.Event != coded || e.ContentType != "application/octet-stream" {
		t.Errorf("in a bulk a raw message arrives as %+v", e)
	}
}

// TestDirectionOfBindings: an app is not asked for a binding that is declared as
// an input.
func TestDirectionOfBindings(t *testing.T) {
	w := newWorld(t)
	a := &app{id: "pushed"}
	w.run(a)
	if d := next(t, a.got); d.path != "push/here" {
		t.Errorf("the event goes to %s", d.path)
	}
}
