package deliver

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// rpcApp is an app that speaks gRPC.
type rpcApp struct {
	app

	topics   []*runtimev1.TopicSubscription // nil: it has no ListTopicSubscriptions
	bindings []string
	old      bool // it knows bulks only by their older name
	events   chan *runtimev1.TopicEventRequest
	bulks    chan *runtimev1.TopicEventBulkRequest
	ticks    chan *runtimev1.BindingEventRequest
	header   chan string // of events, if anyone reads it

	mu     sync.Mutex
	said   runtimev1.TopicEventResponse_TopicEventResponseStatus
	failed error
	answer *runtimev1.BindingEventResponse
}

func newRPCApp(id string) *rpcApp {
	return &rpcApp{
		app: app{id: id}, header: make(chan string, 1),
		events: make(chan *runtimev1.TopicEventRequest, 100), bulks: make(chan *runtimev1.TopicEventBulkRequest, 100),
		ticks: make(chan *runtimev1.BindingEventRequest, 100),
	}
}

// say changes what the app answers to messages.
func (a *rpcApp) say(s runtimev1.TopicEventResponse_TopicEventResponseStatus, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said, a.failed = s, err
}

// Callback plays the app.
func (a *rpcApp) Callback(_ context.Context, c *stream.Call, req, answer proto.Message) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch c.Path {
	case runtimev1.AppCallback_ListTopicSubscriptions_FullMethodName:
		if a.topics == nil {
			return status.Error(codes.Unimplemented, "no such method")
		}
		proto.Merge(answer, &runtimev1.ListTopicSubscriptionsResponse{Subscriptions: a.topics})
		return nil
	case runtimev1.AppCallback_ListInputBindings_FullMethodName:
		proto.Merge(answer, &runtimev1.ListInputBindingsResponse{Bindings: a.bindings})
		return nil
	}
	if a.failed != nil {
		return a.failed
	}
	switch c.Path {
	case runtimev1.AppCallback_OnTopicEvent_FullMethodName:
		a.events <- taken[*runtimev1.TopicEventRequest](req)
		select {
		case a.header <- c.Header.Get("traceparent"):
		default:
		}
		proto.Merge(answer, &runtimev1.TopicEventResponse{Status: a.said})
	case runtimev1.AppCallback_OnBulkTopicEvent_FullMethodName, runtimev1.AppCallbackAlpha_OnBulkTopicEventAlpha1_FullMethodName:
		if a.old && c.Path == runtimev1.AppCallback_OnBulkTopicEvent_FullMethodName {
			return status.Error(codes.Unimplemented, "no such method")
		}
		bulk := taken[*runtimev1.TopicEventBulkRequest](req)
		a.bulks <- bulk
		res := &runtimev1.TopicEventBulkResponse{}
		for _, e := range bulk.GetEntries() {
			res.Statuses = append(res.Statuses, &runtimev1.TopicEventBulkResponseEntry{EntryId: e.GetEntryId(), Status: a.said})
		}
		proto.Merge(answer, res)
	case runtimev1.AppCallback_OnBindingEvent_FullMethodName:
		a.ticks <- taken[*runtimev1.BindingEventRequest](req)
		if a.answer != nil {
			proto.Merge(answer, a.answer)
		}
	default:
		return status.Errorf(codes.Unimplemented, "no %s", c.Path)
	}
	return nil
}

// taken gives a copy of what the app got.
func taken[M proto.Message](req proto.Message) M {
	m, _ := proto.Clone(req).(M) // nil is seen by the test
	return m
}

// rpc serves an app that speaks gRPC until the test ends.
func (w *world) rpc(a *rpcApp, declared ...resource.Subscription) *Deliverer {
	w.t.Helper()
	return w.run(&a.app, declared...)
}

// TestGRPCSubscriptions: an app that speaks gRPC is asked for its subscriptions
// and gets what it and files ask for.
func TestGRPCSubscriptions(t *testing.T) {
	w := newWorld(t)
	a := newRPCApp("a")
	a.topics = []*runtimev1.TopicSubscription{
		{PubsubName: "broker", Topic: "plain", Metadata: map[string]string{"x": "y"}},
		{PubsubName: "broker", Topic: "routed", Routes: &runtimev1.TopicRoutes{
			Rules: []*runtimev1.TopicRule{{Match: "event.data.n > 5", Path: "/big"}}, Default: "/small",
		}},
		{PubsubName: "broker", Topic: "raw", Metadata: map[string]string{"rawPayload": "true"}},
	}
	a.rpc = a
	d := w.rpc(a, resource.Subscription{PubSub: "broker", Topic: "declared", Default: "/declared"})
	subscribed(t, d, 4)

	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	got := arrives(w, "plain", component.Event{Data: []byte(`{"n":1}`), ContentType: "application/json", TraceParent: trace}, a.events)
	if got.GetTopic() != "plain" || got.GetPubsubName() != "broker" || got.GetPath() != "" || string(got.GetData()) != `{"n":1}` ||
		got.GetDataContentType() != "application/json" || got.GetSource() != "sender" || got.GetId() == "" || got.GetSpecVersion() != "1.0" {
		t.Errorf("a message arrives as %v", got)
	}
	if h := <-a.header; h != trace {
		t.Errorf("its trace arrives as %q", h)
	}
	for n, path := range map[string]string{"1": "/small", "9": "/big"} {
		for len(a.events) > 0 {
			<-a.events
		}
		if got := arrives(w, "routed", component.Event{Data: []byte(`{"n":` + n + `}`), ContentType: "application/json"}, a.events); got.GetPath() != path {
			t.Errorf("with n = %s the message has the path %q, want %s", n, got.GetPath(), path)
		}
	}
	for len(a.events) > 0 {
		<-a.events
	}
	if got := arrives(w, "declared", component.Event{Data: []byte("text")}, a.events); string(got.GetData()) != "text" || got.GetPath() != "/declared" {
		t.Errorf("what files declare arrives as %v", got)
	}
}

// TestGRPCRawPayload: a message that is no CloudEvent becomes the data of one.
func TestGRPCRawPayload(t *testing.T) {
	w := newWorld(t)
	a := newRPCApp("a")
	a.rpc = a
	d := w.rpc(a, resource.Subscription{PubSub: "broker", Topic: "t", Default: "/t", Metadata: map[string]string{"rawPayload": "true"}})
	subscribed(t, d, 1)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		if err := w.live.App("sender").PubSub("broker").Publish(w.ctx, &component.Message{Topic: "t", Data: []byte("\x00raw")}); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-a.events:
			if string(got.GetData()) != "\x00raw" || got.GetTopic() != "t" {
				t.Errorf("it arrives as %v", got)
			}
			return
		case <-tick.C:
		case <-deadline:
			t.Fatal("nothing is delivered")
		}
	}
}

// TestGRPCAnswers: what the app says to a message decides what becomes of it.
func TestGRPCAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		said   runtimev1.TopicEventResponse_TopicEventResponseStatus
		failed error
		dead   bool   // there are dead letters
		want   string // what becomes of it: "taken", "again" or "dead"
	}{
		"SUCCESS":           {said: runtimev1.TopicEventResponse_SUCCESS, want: "taken"},
		"RETRY":             {said: runtimev1.TopicEventResponse_RETRY, want: "again"},
		"DROP":              {said: runtimev1.TopicEventResponse_DROP, want: "taken"},
		"an unknown word":   {said: 7, want: "again"},
		"an error":          {failed: status.Error(codes.Unknown, "broken"), want: "again"},
		"no such method":    {failed: status.Error(codes.Unimplemented, "none"), want: "taken"},
		"RETRY, dead":       {said: runtimev1.TopicEventResponse_RETRY, dead: true, want: "dead"},
		"DROP, dead":        {said: runtimev1.TopicEventResponse_DROP, dead: true, want: "dead"},
		"no method, dead":   {failed: status.Error(codes.Unimplemented, "none"), dead: true, want: "dead"},
		"SUCCESS, not dead": {said: runtimev1.TopicEventResponse_SUCCESS, dead: true, want: "taken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := newRPCApp("a")
			a.say(tc.said, tc.failed)
			sub := &Subscription{Subscription: resource.Subscription{PubSub: "broker", Topic: "orders"}}
			if tc.dead {
				sub.DeadLetter = "dead"
			}
			letters, probes := make(chan *component.Message, 1), make(chan *component.Message, 1)
			ctx, stop := context.WithCancel(w.ctx)
			defer stop()
			var reader sync.WaitGroup
			defer reader.Wait()
			defer stop()
			reader.Go(func() {
				w.live.App("undertaker").PubSub("broker").Subscribe(ctx, "dead", nil, func(_ context.Context, m *component.Message) error {
					to := letters
					if strings.Contains(string(m.Data), "probe") {
						to = probes
					}
					select {
					case to <- m:
					default:
					}
					return nil
				})
			})
			arrives(w, "dead", component.Event{Data: []byte("probe")}, probes)
			p := w.live.App("sender").PubSub("broker")
			data, err := p.Event(component.Event{Topic: "orders", Data: []byte("x")})
			if err != nil {
				t.Fatal(err)
			}
			s := &session{Deliverer: New(Options{AppID: "a", Components: w.live.App("a"), App: a, RPC: a, Gate: a, Log: quiet()}), life: ctx}
			err = s.deliver(ctx, sub, p, &component.Message{Topic: "orders", Data: data})
			if (err != nil) != (tc.want == "again") {
				t.Fatalf("the broker is told %v", err)
			}
			if tc.want == "dead" {
				select {
				case <-letters:
				case <-time.After(patience):
					t.Error("the message is not among the dead letters")
				}
			} else if len(letters) > 0 {
				t.Error("the message is among the dead letters")
			}
		})
	}
}

// TestGRPCBulk: several messages go to the app at once, under both names of the
// method, and each has its own fate.
func TestGRPCBulk(t *testing.T) {
	for name, old := range map[string]bool{"today": false, "before": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := newRPCApp("a")
			a.old, a.rpc = old, a
			a.topics = []*runtimev1.TopicSubscription{{PubsubName: "broker", Topic: "t", BulkSubscribe: &runtimev1.BulkSubscribeConfig{
				Enabled: true, MaxMessagesCount: 5, MaxAwaitDurationMs: 200,
			}}}
			w.rpc(a)
			arrives(w, "t", component.Event{Data: []byte("probe")}, a.bulks)
			for range 5 {
				w.publish("t", component.Event{Data: []byte(`{"n":1}`), ContentType: "application/json"})
			}
			for {
				select {
				case b := <-a.bulks:
					i := slices.IndexFunc(b.GetEntries(), func(e *runtimev1.TopicEventBulkRequestEntry) bool {
						return string(e.GetCloudEvent().GetData()) == `{"n":1}` && e.GetContentType() == eventType && e.GetEntryId() != ""
					})
					if b.GetTopic() != "t" || b.GetPubsubName() != "broker" || b.GetType() != bulkType {
						t.Fatalf("a bulk arrives as %v", b)
					}
					if len(b.GetEntries()) > 1 && i >= 0 {
						return // several at once, whole
					}
				case <-time.After(patience):
					t.Fatal("messages never come together")
				}
			}
		})
	}
}

// TestGRPCInputBinding: an app that names a binding gets its events, and what it
// answers goes to the output bindings that it names.
func TestGRPCInputBinding(t *testing.T) {
	w := newWorld(t)
	a, deaf := newRPCApp("a"), newRPCApp("deaf")
	a.rpc, deaf.rpc = a, deaf
	a.bindings = []string{"tick"}
	a.answer = &runtimev1.BindingEventResponse{To: []string{"files"}, Data: []byte("from the app")}
	w.rpc(a)
	w.rpc(deaf)
	for range 2 {
		select {
		case e := <-a.ticks:
			if e.GetName() != "tick" {
				t.Errorf("the event arrives as %v", e)
			}
		case <-time.After(patience):
			t.Fatal("nothing is delivered")
		}
	}
	// The second event came after the first was answered.
	got, err := w.live.App("a").Binding("files").Invoke(w.ctx, "list", component.Payload{Data: []byte(`{}`)})
	if err != nil || !strings.Contains(string(got.Data), "/") {
		t.Errorf("the output binding has %q, %v", got.Data, err)
	}
	if len(deaf.ticks) > 0 {
		t.Error("an app that does not name the binding gets its events")
	}
}

// TestGRPCDeliveriesAreSeen: each delivery is a flow from the broker to the app.
func TestGRPCDeliveriesAreSeen(t *testing.T) {
	w := newWorld(t)
	a := newRPCApp("a")
	flows := flow.NewRecorder()
	defer flows.Watch()()
	s := &session{Deliverer: New(Options{AppID: "a", Components: w.live.App("a"), App: a, RPC: a, Gate: a, Flows: flows, Log: quiet()}), life: w.ctx}
	p := w.live.App("sender").PubSub("broker")
	data, err := p.Event(component.Event{Topic: "orders", Data: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	sub := &Subscription{Subscription: resource.Subscription{PubSub: "broker", Topic: "orders"}}
	if err := s.deliver(w.ctx, sub, p, &component.Message{Topic: "orders", Data: data}); err != nil {
		t.Fatal(err)
	}
	seen := flows.Views(10)
	if len(seen) != 1 || seen[0].Caller != "broker" || seen[0].Callee != "a" || seen[0].Kind != "delivery" || seen[0].Path != "/orders" {
		t.Errorf("seen is %+v", seen)
	}
}
