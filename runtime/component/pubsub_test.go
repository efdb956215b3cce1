package component

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mesh/runtime/resource"
)

// inbox is a subscriber that remembers.
type inbox struct {
	mu  sync.Mutex
	got []string
}

func (i *inbox) handle(_ context.Context, m *Message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got = append(i.got, string(m.Data))
	return nil
}

func (i *inbox) all() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.got)
}

func (i *inbox) has(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%v arrives", want), func() bool { return len(i.all()) >= len(want) })
	got := i.all()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// subscribe subscribes until the test ends or the returned function is called,
// which waits for it.
func subscribe(t *testing.T, p *PubSub, topic string, h Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	turns := &p.app.live.turns
	turns.Lock()
	before := len(turns.followers)
	turns.Unlock()
	go func() {
		p.Subscribe(ctx, topic, nil, h)
		close(done)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	// Subscribed is who has been seen by the Live.
	eventually(t, "subscribed", func() bool {
		turns.Lock()
		defer turns.Unlock()
		for _, seen := range turns.followers {
			if seen == nil {
				return false
			}
		}
		return len(turns.followers) > before
	})
	return stop
}

func publish(t *testing.T, p *PubSub, topic, data string) {
	t.Helper()
	if err := p.Publish(t.Context(), &Message{Topic: topic, Data: []byte(data)}); err != nil {
		t.Fatal(err)
	}
}

// TestGroups: every app gets each message, and subscribers of one app share
// them.
func TestGroups(t *testing.T) {
	l := running(t, Options{})
	apply(t, l, declare("pubsub", "pubsub.in-memory"))
	var first, second, other inbox
	app := l.App("app").PubSub("pubsub")
	subscribe(t, app, "orders", first.handle)
	subscribe(t, app, "orders", second.handle)
	subscribe(t, l.App("other").PubSub("pubsub"), "orders", other.handle)
	var want []string
	for i := range 100 {
		want = append(want, strconv.Itoa(i))
		publish(t, app, "orders", strconv.Itoa(i))
	}
	other.has(t, slices.Clone(want)...)
	eventually(t, "all arrive", func() bool { return len(first.all())+len(second.all()) >= 100 })
	both := append(first.all(), second.all()...)
	slices.Sort(both)
	slices.Sort(want)
	if !slices.Equal(both, want) {
		t.Errorf("the two of one app got %d messages, want each once: %v", len(both), both)
	}
}

// TestRedelivery: a message that fails is delivered again, and does not hold up
// others.
func TestRedelivery(t *testing.T) {
	l := running(t, Options{})
	apply(t, l, declare("pubsub", "pubsub.in-memory"))
	var in inbox
	var tries atomic.Int64
	p := l.App("app").PubSub("pubsub")
	subscribe(t, p, "t", func(ctx context.Context, m *Message) error {
		if string(m.Data) == "hard" {
			switch tries.Add(1) {
			case 1:
				return errors.New("not yet")
			case 2:
				panic("worse")
			}
		}
		return in.handle(ctx, m)
	})
	publish(t, p, "t", "hard")
	publish(t, p, "t", "easy")
	in.has(t, "hard", "easy")
	if got := in.all(); got[0] != "easy" {
		t.Errorf("the failed message held up the other: %v", got)
	}
}

// TestAway: messages wait for an app that restarts, and one that never
// subscribed gets none.
func TestAway(t *testing.T) {
	l := running(t, Options{})
	apply(t, l, declare("pubsub", "pubsub.in-memory", "queueLimit", "3"))
	p := l.App("app").PubSub("pubsub")
	publish(t, p, "t", "too early")
	var before, after inbox
	stop := subscribe(t, p, "t", before.handle)
	publish(t, p, "t", "1")
	before.has(t, "1")
	stop()
	for i := range 5 {
		publish(t, p, "t", fmt.Sprint("away ", i))
	}
	subscribe(t, p, "t", after.handle)
	after.has(t, "away 2", "away 3", "away 4") // the oldest gave way: there is room for three
}

// TestBackPressure: a publisher waits for a reader that is behind.
func TestBackPressure(t *testing.T) {
	l := running(t, Options{})
	apply(t, l, declare("pubsub", "pubsub.in-memory", "queueLimit", "2"))
	p := l.App("app").PubSub("pubsub")
	hold := make(chan struct{})
	var in inbox
	subscribe(t, p, "t", func(ctx context.Context, m *Message) error {
		<-hold
		return in.handle(ctx, m)
	})
	publish(t, p, "t", "1")
	publish(t, p, "t", "2")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Publish(ctx, &Message{Topic: "t", Data: []byte("3")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a full queue took a message: %v", err)
	}
	close(hold)
	publish(t, p, "t", "4")
	in.has(t, "1", "2", "4")
}

func TestWildcard(t *testing.T) {
	for _, tt := range []struct {
		pattern, topic string
		want           bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"a/*", "a/b", true},
		{"a/*", "a/", false},
		{"*", "anything", true},
	} {
		if got := matches(tt.pattern, tt.topic); got != tt.want {
			t.Errorf("%s for %s: %v", tt.pattern, tt.topic, got)
		}
	}
}

func TestTTL(t *testing.T) {
	l := running(t, Options{})
	apply(t, l, declare("pubsub", "pubsub.in-memory"))
	p := l.App("app").PubSub("pubsub")
	gate := make(chan struct{})
	var in inbox
	subscribe(t, p, "t", func(ctx context.Context, m *Message) error {
		<-gate
		return in.handle(ctx, m)
	})
	publish(t, p, "t", "first") // holds the reader
	err := p.Publish(t.Context(), &Message{Topic: "t", Data: []byte("stale"), Metadata: map[string]string{"ttlInSeconds": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, p, "t", "last")
	<-time.After(1100 * time.Millisecond)
	close(gate)
	in.has(t, "first", "last")
}

// TestSubscriptionsMove: while brokers are swapped, subscriptions begin before
// publishers move and end when all is read, so that nothing is lost.
func TestSubscriptionsMove(t *testing.T) {
	l := running(t, Options{})
	generation := func(n int) resource.Component {
		return declare("pubsub", "pubsub.in-memory", "generation", strconv.Itoa(n))
	}
	apply(t, l, generation(0))
	p := l.App("app").PubSub("pubsub")
	var in inbox
	subscribe(t, p, "t", in.handle)
	ctx, cancel := context.WithCancel(t.Context())
	var want []string
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := 0; ctx.Err() == nil; i++ {
			if err := p.Publish(t.Context(), &Message{Topic: "t", Data: []byte(strconv.Itoa(i))}); err != nil {
				t.Errorf("publishing %d: %v", i, err)
			}
			want = append(want, strconv.Itoa(i))
			if i%100 == 0 {
				<-time.After(time.Millisecond)
			}
		}
	}()
	for n := range 10 {
		apply(t, l, generation(n+1))
	}
	cancel()
	<-sent
	in.has(t, want...)
	t.Logf("%d messages over 10 swaps", len(want))
}

// TestSubscribeBeforeThere: a subscription waits for its component.
func TestSubscribeBeforeThere(t *testing.T) {
	l := running(t, Options{})
	p := l.App("app").PubSub("pubsub")
	var in inbox
	subscribe(t, p, "t", in.handle)
	apply(t, l, declare("pubsub", "pubsub.in-memory"))
	publish(t, p, "t", "1")
	in.has(t, "1")
	apply(t, l)
	if err := p.Publish(t.Context(), &Message{Topic: "t"}); err == nil {
		t.Error("published to a component that was removed")
	}
	apply(t, l, declare("pubsub", "pubsub.in-memory"))
	publish(t, p, "t", "2")
	in.has(t, "1", "2")
}

// TestBinaryModeEvents: what has the attributes of a CloudEvent beside it becomes
// one, with its data as they are for their type.
func TestBinaryModeEvents(t *testing.T) {
	attributes := map[string]string{
		"CE_SpecVersion": "1.0", "ce_id": "7", "ce_source": "/mill", "ce_type": "ground", "ce_subject": "flour", "traceparent": "not of the event",
	}
	envelope := `{"specversion":"1.0","id":"8","source":"s","type":"t","data":1}`
	for name, tc := range map[string]struct {
		data, kind, header string // the header is metadata, as Kafka has it
		want               map[string]any
	}{
		"bytes":     {data: "\x00\xff", kind: "application/octet-stream", want: map[string]any{"data_base64": "AP8=", "datacontenttype": "application/octet-stream"}},
		"JSON":      {data: `{"n":12345678901234567}`, header: "application/json; charset=utf-8", want: map[string]any{"data": map[string]any{"n": json.Number("12345678901234567")}, "datacontenttype": "application/json; charset=utf-8"}},
		"a JSON":    {data: `[1]`, header: "application/vnd.mill+json", want: map[string]any{"data": []any{json.Number("1")}, "datacontenttype": "application/vnd.mill+json"}},
		"no JSON":   {data: `{} {}`, header: "application/json", want: map[string]any{"data_base64": "e30ge30=", "datacontenttype": "application/json"}},
		"text":      {data: "grüß", header: "text/plain", want: map[string]any{"data": "grüß", "datacontenttype": "text/plain"}},
		"no text":   {data: "\xff", header: "text/plain", want: map[string]any{"data_base64": "/w==", "datacontenttype": "text/plain"}},
		"untyped":   {data: `true`, want: map[string]any{"data": true}},
		"empty":     {header: "application/json", want: map[string]any{"datacontenttype": "application/json"}},
		"structure": {data: envelope, header: "application/cloudevents+json; charset=UTF-8"},
		"envelope":  {data: envelope, kind: "application/octet-stream"},
	} {
		m := Message{Topic: "sacks", Data: []byte(tc.data), ContentType: tc.kind, Metadata: maps.Clone(attributes)}
		if tc.header != "" {
			m.Metadata["Content-Type"] = tc.header
		}
		got, made, err := m.Open("broker", false)
		if tc.want == nil { // it is one by itself
			if err != nil || made || got["id"] != "8" {
				t.Errorf("%s: %v (made: %v), %v", name, got, made, err)
			}
			continue
		}
		want := map[string]any{
			"specversion": "1.0", "id": "7", "source": "/mill", "type": "ground", "subject": "flour", "topic": "sacks", "pubsubname": "broker",
		}
		maps.Copy(want, tc.want)
		if err != nil || !made || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v (made: %v), %v; want %v", name, got, made, err, want)
		}
	}
	plain := Message{Data: []byte("\x00"), ContentType: "application/octet-stream", Metadata: map[string]string{"ce_id": "7"}}
	if got, _, err := plain.Open("broker", false); err == nil {
		t.Errorf("without the version of CloudEvents it is %v", got)
	}
}
