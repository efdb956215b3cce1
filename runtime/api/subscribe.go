package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mesh/runtime/component"
)

// Topic is what a streaming subscription is for.
type Topic struct {
	PubSub, Topic string
	DeadLetter    string // topic for messages that are given up; "": they are not kept
	Metadata      map[string]string
}

// ErrDrop is what a subscriber says to a message that it does not want again.
var ErrDrop = errors.New("the app dropped the message")

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
// that each came from. What take fails with is delivered again, unless it is
// ErrDrop or the topic has dead letters.
func (a *API) Subscribe(ctx context.Context, t Topic, take func(ctx context.Context, topic string, event map[string]any) error) error {
	if err := a.MaySubscribe(t); err != nil {
		return err
	}
	defer a.begin(&t)()
	broker := a.o.Components.PubSub(t.PubSub)
	raw := truth(t.Metadata, "rawPayload")
	broker.Subscribe(ctx, t.Topic, mergeMetadata(t.Metadata, nil), func(hctx context.Context, m *component.Message) (err error) {
		f := a.record("delivery", t.PubSub, "stream", t.Topic, len(m.Data))
		defer func() { f.end(0, err) }()
		event, err := m.Open(t.PubSub, raw)
		switch {
		case err != nil:
			err = fmt.Errorf("%w: %w", ErrDrop, err)
		case component.Expired(event):
			err = fmt.Errorf("%w: it has expired", ErrDrop)
		default:
			err = take(hctx, m.Topic, event)
		}
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
