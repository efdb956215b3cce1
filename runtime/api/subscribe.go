package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/policy"
)

// Topic is what a streaming subscription is for.
type Topic struct {
	PubSub, Topic string
	DeadLetter    string // topic for messages that are given up; "": they are not kept
	Metadata      map[string]string
}

// ErrDrop is what a subscriber says to a message that it does not want again.
var ErrDrop = errors.New("the app dropped the message")

// ErrAgain is what a subscriber says to a message that it wants once more.
var ErrAgain = errors.New("the app asks for the message again (RETRY)")

// MaySubscribe says why the app cannot subscribe to a topic.
func (a *API) MaySubscribe(t Topic) error {
	switch {
	case t.PubSub == "":
		return Errorf(ErrPubsubEmpty, "pubsub name is empty")
	case t.Topic == "":
		return Errorf(ErrTopicNameEmpty, "topic is empty in pubsub %s", t.PubSub)
	}
	ok, err := a.o.Components.PubSub(t.PubSub).MaySubscribe(t.Topic)
	if err != nil {
		return publishError(err, t.PubSub, t.Topic)
	}
	if !ok {
		return Errorf(ErrPubsubForbidden, "topic %s is not allowed for app id %s", t.Topic, a.o.AppID)
	}
	return nil
}

// Subscribe hands the events of a topic to take until ctx ends, with the topic
// that each came from, under the policy for what the broker delivers. What take
// fails with is delivered again, unless it is ErrDrop or the topic has dead
// letters.
func (a *API) Subscribe(ctx context.Context, t Topic, take func(ctx context.Context, topic string, event map[string]any) error) error {
	if err := a.MaySubscribe(t); err != nil {
		return err
	}
	defer a.begin(&t)()
	broker := a.o.Components.PubSub(t.PubSub)
	raw := truth(t.Metadata, "rawPayload")
	broker.Subscribe(ctx, t.Topic, mergeMetadata(t.Metadata, nil), func(hctx context.Context, m *component.Message) error {
		began := time.Now()
		event, _, err := m.Open(t.PubSub, raw)
		switch {
		case err != nil:
			err = fmt.Errorf("%w: %w", ErrDrop, err)
		case component.Expired(event):
			err = fmt.Errorf("%w: it has expired", ErrDrop)
		default:
			err = a.stream(hctx, &t, m, event, take)
		}
		a.streamed(&t, began, err)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if t.DeadLetter != "" {
			return broker.Publish(hctx, &component.Message{Topic: t.DeadLetter, Data: m.Data, ContentType: m.ContentType, Metadata: m.Metadata})
		}
		if errors.Is(err, ErrDrop) {
			return nil
		}
		return err
	})
	return nil
}

// stream hands one event to take, again as the policy says; each try is a flow
// from the broker to the app.
func (a *API) stream(ctx context.Context, t *Topic, m *component.Message, event map[string]any, take func(ctx context.Context, topic string, event map[string]any) error) error {
	return a.o.Policies.Inbound(ctx, a.o.AppID, t.PubSub, func(ctx context.Context) error {
		f := a.o.Flows.Begin(flow.Head{Caller: t.PubSub, Callee: a.o.AppID, Verb: "stream", Path: "/" + t.Topic, Kind: "delivery"})
		f.Mark(flow.Request, flow.CallerIn, len(m.Data))
		err := take(ctx, m.Topic, event)
		if errors.Is(err, ErrDrop) || errors.Is(err, ErrAgain) {
			f.Answered(err)
		}
		f.End(err)
		if errors.Is(err, ErrDrop) {
			return policy.Final(err)
		}
		return err
	})
}

// streamed tells how a delivery ended, after all its tries.
func (a *API) streamed(t *Topic, began time.Time, err error) {
	if a.o.Used == nil {
		return
	}
	status := "success"
	switch {
	case errors.Is(err, ErrDrop):
		status = "drop"
	case err != nil:
		status = "retry"
	}
	a.o.Used(Use{Kind: "delivery", Component: t.PubSub, Operation: status, Path: t.Topic, Took: time.Since(began), Failed: err != nil})
}

// begin adds a streaming subscription to those that are told of until end.
func (a *API) begin(t *Topic) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streaming = append(a.streaming, t)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.streaming = slices.DeleteFunc(a.streaming, func(o *Topic) bool { return o == t })
	}
}

// streams lists the streaming subscriptions.
func (a *API) streams() (all []Subscription) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.streaming {
		all = append(all, Subscription{
			PubsubName: t.PubSub, Topic: t.Topic, Metadata: t.Metadata, DeadLetterTopic: t.DeadLetter, Type: "STREAMING",
		})
	}
	return all
}
