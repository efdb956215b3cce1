package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"mesh/runtime/component/servertest"
)

// topics are what the subscriber asks for.
func topics() []string { return []string{"orders", "doomed", "dead", "raw"} }

// order is the data of a message: how the app is to answer it, one word after
// the other, and then with SUCCESS.
type order struct {
	ID      string   `json:"id"`
	Answers []string `json:"answers,omitempty"`
}

// inbox is an app that subscribes to topics and keeps what it gets.
type inbox struct {
	mu     sync.Mutex
	events []map[string]any
	routes []string // on which they came
	asked  bool     // for the subscriptions
}

// ServeHTTP is the app.
func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case r.URL.Path == "/dapr/subscribe":
		i.asked = true
		var subs []map[string]any
		for _, topic := range topics() {
			sub := map[string]any{"pubsubname": "broker", "topic": topic, "route": "/" + topic}
			switch topic {
			case "doomed":
				sub["deadLetterTopic"] = "dead"
			case "raw":
				sub["metadata"] = map[string]string{"rawPayload": "true"}
			}
			subs = append(subs, sub)
		}
		_ = json.NewEncoder(w).Encode(subs)
		return
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var event map[string]any
	d := json.NewDecoder(r.Body)
	if err := d.Decode(&event); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	i.events, i.routes = append(i.events, event), append(i.routes, r.URL.Path)
	var what order
	b, _ := json.Marshal(event["data"])
	_ = json.Unmarshal(b, &what)
	n := i.count(r.URL.Path, what.ID)
	answer := "SUCCESS"
	if r.URL.Path != "/dead" && n > 0 && n <= len(what.Answers) {
		answer = what.Answers[n-1]
	}
	if answer == "500" {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"status": answer})
}

// count says how often an order came on a route; i.mu is held.
func (i *inbox) count(route, id string) (n int) {
	for k, e := range i.events {
		if data, ok := e["data"].(map[string]any); ok && i.routes[k] == route && data["id"] == id {
			n++
		}
	}
	return n
}

// got is count for those who do not hold i.mu.
func (i *inbox) got(route, id string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.count(route, id)
}

// find gives an event of a route.
func (i *inbox) find(route string, match func(map[string]any) bool) map[string]any {
	i.mu.Lock()
	defer i.mu.Unlock()
	for k, e := range i.events {
		if i.routes[k] == route && match(e) {
			return e
		}
	}
	return nil
}

// TestPubSub: on every broker messages go from the API of one app to another
// app as CloudEvents; what the app says to them decides what becomes of them.
func TestPubSub(t *testing.T) {
	t.Parallel()
	for _, b := range []struct {
		name  string
		start func(t *testing.T) (yaml string)
	}{
		{"in-memory", func(*testing.T) string { return yaml("broker", "pubsub.in-memory") }},
		{"redis", func(t *testing.T) string {
			return yaml("broker", "pubsub.redis", "redisHost", servertest.Redis(t).Addr, "processingTimeout", "2s", "redeliverInterval", "1s")
		}},
		{"jetstream", func(t *testing.T) string {
			s := servertest.NATS(t)
			servertest.JetStreams(t, s, topics()...)
			return yaml("broker", "pubsub.jetstream", "natsURL", "nats://"+s.Addr, "durableName", "{appID}", "queueGroupName", "{appID}", "ackWait", "2s")
		}},
		{"rabbitmq", func(t *testing.T) string { return rabbit(servertest.RabbitMQ(t).Addr) }},
		{"mosquitto", func(t *testing.T) string {
			return yaml("broker", "pubsub.mqtt3", "url", "mqtt://"+servertest.Mosquitto(t).Addr, "qos", "1", "cleanSession", "false")
		}},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			if b.name == "mosquitto" && raceDetector {
				// Its client's own goroutines race with each other when it connects.
				return
			}
			testPubSub(t, b.start(t))
		})
	}
}

func rabbit(addr string) string {
	return yaml("broker", "pubsub.rabbitmq", "connectionString", "amqp://guest:guest@"+addr, "requeueInFailure", "true", "durable", "true", "deliveryMode", "2", "publisherConfirm", "true", "deletedWhenUnused", "false")
}

func testPubSub(t *testing.T, components string) {
	t.Helper()
	r := newRig(t, components)
	in := &inbox{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(in)
		}
	})
	r.subscriber(in)
	in.awaitSubscriptions(t, r)

	publish := func(topic string, o order, query ...string) {
		t.Helper()
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.call(http.MethodPost, "publish/broker/"+topic+strings.Join(query, ""), string(b), "traceparent", trace); got != "204 " {
			t.Errorf("publishing %+v to %s: %s", o, topic, got)
		}
	}
	var want []string
	for i := range 20 {
		id := fmt.Sprint("plain-", i)
		want = append(want, id)
		publish("orders", order{ID: id})
	}
	publish("orders", order{ID: "dropped", Answers: []string{"DROP", "DROP"}})
	publish("orders", order{ID: "again", Answers: []string{"RETRY", "RETRY"}})
	publish("orders", order{ID: "failed", Answers: []string{"500"}})
	publish("doomed", order{ID: "given up", Answers: slices.Repeat([]string{"500"}, 100)})
	publish("doomed", order{ID: "unwanted", Answers: slices.Repeat([]string{"DROP"}, 100)})
	publish("raw", order{ID: "bare"}, "?metadata.rawPayload=true")
	got := r.call(http.MethodPost, "publish/bulk/broker/orders", `[{"entryId":"1","event":{"id":"bulk-1"},"contentType":"application/json"},{"entryId":"2","event":{"id":"bulk-2"},"contentType":"application/json"}]`)
	if got != "204 " {
		t.Errorf("publishing several: %s", got)
	}
	want = append(want, "bulk-1", "bulk-2")

	for _, id := range want {
		eventually(t, id, func() bool { return in.got("/orders", id) > 0 })
	}
	eventually(t, "a message that is asked for again twice", func() bool { return in.got("/orders", "again") == 3 })
	eventually(t, "a message that failed once", func() bool { return in.got("/orders", "failed") == 2 })
	for _, id := range []string{"given up", "unwanted"} {
		eventually(t, id+" among the dead letters", func() bool { return in.got("/dead", id) == 1 })
	}
	eventually(t, "a raw payload", func() bool {
		return in.find("/raw", func(e map[string]any) bool { return e["data_base64"] != nil }) != nil
	})
	if n := in.got("/orders", "dropped"); n != 1 {
		t.Errorf("a message that was dropped came %d times", n)
	}
	for _, id := range want {
		if n := in.got("/orders", id); n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	e := in.find("/orders", func(map[string]any) bool { return true })
	for key, value := range map[string]any{
		"specversion": "1.0", "type": "com.dapr.event.sent", "source": "pub", "topic": "orders", "pubsubname": "broker",
		"datacontenttype": "application/json", "traceparent": trace, "traceid": trace,
	} {
		if e[key] != value {
			t.Errorf("the event has %s %v, want %v", key, e[key], value)
		}
	}
	if e["id"] == "" || e["time"] == nil {
		t.Errorf("the event lacks its id or time: %v", e)
	}
}

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// awaitSubscriptions waits until a message gets through on every topic: only
// then the brokers that keep nothing for those who come later have the
// subscriptions.
func (i *inbox) awaitSubscriptions(t *testing.T, r *rig) {
	t.Helper()
	for _, topic := range topics() {
		eventually(t, "a first message on "+topic, func() bool {
			if got := r.call(http.MethodPost, "publish/broker/"+topic, `{"id":"first"}`); got != "204 " {
				t.Fatalf("publishing to %s: %s", topic, got)
			}
			return i.find("/"+topic, func(map[string]any) bool { return true }) != nil
		})
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	keep := func(e map[string]any) bool {
		data, _ := e["data"].(map[string]any)
		return data["id"] != "first" && e["data_base64"] == nil
	}
	var events []map[string]any
	var routes []string
	for k, e := range i.events {
		if keep(e) {
			events, routes = append(events, e), append(routes, i.routes[k])
		}
	}
	i.events, i.routes = events, routes
}

// String says what came, for tests that fail.
func (i *inbox) String() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var b strings.Builder
	for k, e := range i.events {
		fmt.Fprintf(&b, "%s %v %v\n", i.routes[k], e["data"], e["data_base64"])
	}
	return b.String()
}
