package api

import (
	"context"
	"testing"
	"time"

	"mesh/runtime/api/apitest"
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
