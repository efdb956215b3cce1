package api

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"mesh/runtime/api/apitest"
	"mesh/runtime/flow"
	"mesh/runtime/policy"
)

// TestStreamingSubscriptionsAreTold: metadata tell of a streaming subscription
// beside the others, as long as it lasts.
func TestStreamingSubscriptionsAreTold(t *testing.T) {
	others := []Subscription{{PubsubName: "broker", Topic: "declared", Type: "DECLARATIVE"}}
	a := New(Options{AppID: "me", Components: apitest.Start(t), Inventory: func() Inventory { return Inventory{Subscriptions: others} }})
	told := func(n int) []Subscription {
		t.Helper()
		deadline := time.After(10 * time.Second)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			all := a.Metadata().Subscriptions
			if len(all) == n {
				return all
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("told of %+v, want %d subscriptions", all, n)
			}
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- a.Subscribe(ctx, Topic{PubSub: "broker", Topic: "orders", DeadLetter: "dead", Metadata: map[string]string{"a": "b"}},
			func(context.Context, string, map[string]any) error { return nil })
	}()
	got := told(2)[1]
	if got.Type != "STREAMING" || got.PubsubName != "broker" || got.Topic != "orders" || got.DeadLetterTopic != "dead" || got.Metadata["a"] != "b" {
		t.Errorf("told of %+v", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	told(1)
	if err := a.Subscribe(t.Context(), Topic{PubSub: "nope", Topic: "x"}, nil); err == nil || len(a.Metadata().Subscriptions) != 1 {
		t.Errorf("a subscription that failed (%v) is told of: %+v", err, a.Metadata().Subscriptions)
	}
}

// TestStreamedDeliveries: what comes down a streaming subscription is delivered
// as to any other: under the policy for what its broker delivers, seen and
// counted, and a dead letter after the last try.
func TestStreamedDeliveries(t *testing.T) {
	var book policy.Book
	book.SetComponents(map[policy.Component][]policy.Scoped{
		{Name: "broker", Inbound: true}: {{Policy: policy.Policy{Retry: &policy.Retry{Max: 2, Interval: time.Millisecond}}}},
	})
	flows := flow.NewRecorder()
	defer flows.Watch()()
	outcomes := make(chan string, 1000)
	a := New(Options{AppID: "me", Components: apitest.Start(t), Flows: flows, Policies: &book, Used: func(u Use) {
		if u.Kind == "delivery" && u.Path == "orders" {
			outcomes <- u.Operation
		}
	}})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	subscribe := func(topic, dead string, take func(id any) error) {
		running.Go(func() {
			err := a.Subscribe(ctx, Topic{PubSub: "broker", Topic: topic, DeadLetter: dead}, func(_ context.Context, _ string, event map[string]any) error {
				return take(event["id"])
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	arrived, tries := make(chan any, 1000), make(chan any, 1000)
	subscribe("raw", "", func(id any) error {
		arrived <- id
		return nil
	})
	subscribe("orders", "raw", func(id any) error {
		tries <- id
		switch id {
		case "fails":
			return errors.New("not now")
		case "unwanted":
			return ErrDrop
		}
		return nil
	})
	publish := func(topic, id string) {
		t.Helper()
		if err := a.Publish(ctx, Publish{PubSub: "broker", Topic: topic, Data: []byte("x"), Metadata: map[string]string{"cloudevent.id": id}}); err != nil {
			t.Fatal(err)
		}
	}
	await := func(from chan any, want any, probe string) {
		t.Helper()
		deadline, tick := time.After(30*time.Second), time.NewTicker(10*time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case got := <-from:
				if got == want {
					return
				}
			case <-tick.C:
				if probe != "" { // the broker in memory keeps nothing for those who come later
					publish(probe, "probe")
				}
			case <-deadline:
				t.Fatalf("%v does not come", want)
			}
		}
	}
	await(arrived, "probe", "raw")
	await(tries, "probe", "orders")
	publish("orders", "unwanted")
	publish("orders", "fails")
	publish("orders", "last")
	await(arrived, "unwanted", "")
	await(arrived, "fails", "")
	counts := map[any]int{}
	for id := any(nil); id != "last"; counts[id]++ {
		select {
		case id = <-tries:
		case <-time.After(30 * time.Second):
			t.Fatalf("the last event does not come; came: %v", counts)
		}
	}
	if counts["unwanted"] != 1 || counts["fails"] != 3 {
		t.Errorf("the events were tried so often: %v, want the failing one three times and the unwanted one once", counts)
	}
	said := map[string]int{}
	for said["success"] == 0 || said["drop"] == 0 || said["retry"] == 0 {
		select {
		case o := <-outcomes:
			said[o]++
		case <-time.After(30 * time.Second):
			t.Fatalf("counted are %v", said)
		}
	}
	if said["drop"] != 1 || said["retry"] != 1 {
		t.Errorf("counted are %v, want one drop and one that was given up", said)
	}
	seen := false
	for _, v := range flows.Views(50) {
		if v.Kind != "delivery" {
			continue
		}
		seen = true
		if v.Caller != "broker" || v.Callee != "me" || v.Path != "/orders" && v.Path != "/raw" {
			t.Errorf("a delivery goes from %s to %s at %s", v.Caller, v.Callee, v.Path)
		}
	}
	if !seen {
		t.Error("no delivery is seen")
	}
}
