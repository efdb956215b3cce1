package component

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/dapr/components-contrib/pubsub"
)

// PubSub is a broker as an app sees it.
type PubSub struct {
	app  *App
	name string
}

// PubSub gives the broker of a name. That it is there is checked by each
// operation, not here.
func (a *App) PubSub(name string) *PubSub { return &PubSub{app: a, name: name} }

// Message is what travels: usually a CloudEvent as JSON.
type Message struct {
	ID          string // tells the messages of one bulk apart
	Topic       string
	Data        []byte
	ContentType string
	Metadata    map[string]string
}

// Handler takes a message that arrived. When it fails, the broker delivers the
// message again, as brokers do.
type Handler func(ctx context.Context, m *Message) error

// Publish sends a message.
func (p *PubSub) Publish(ctx context.Context, m *Message) error {
	for {
		broker, s, done, err := use[pubsub.PubSub](p.app, KindPubSub, p.name)
		if err != nil {
			return err
		}
		err = s.audience.publish(ctx, m.Topic, func() error { return broker.Publish(ctx, p.request(m)) })
		done()
		if !errors.Is(err, errGone) {
			return err
		}
	}
}

func (p *PubSub) request(m *Message) *pubsub.PublishRequest {
	req := &pubsub.PublishRequest{Data: m.Data, PubsubName: p.name, Topic: m.Topic, Metadata: m.Metadata}
	if m.ContentType != "" {
		req.ContentType = &m.ContentType
	}
	return req
}

// PublishAll sends several messages to a topic, at once where the broker can.
// The error joins a MessageError for each that failed.
func (p *PubSub) PublishAll(ctx context.Context, topic string, messages []*Message, metadata map[string]string) error {
	broker, _, done, err := use[pubsub.PubSub](p.app, KindPubSub, p.name)
	if err != nil {
		return err
	}
	defer done()
	bulk, ok := broker.(pubsub.BulkPublisher)
	if !ok {
		var errs []error
		for _, m := range messages {
			one := *m
			one.Topic = topic
			if err := p.Publish(ctx, &one); err != nil {
				errs = append(errs, &MessageError{ID: m.ID, Err: err})
			}
		}
		return errors.Join(errs...)
	}
	req := &pubsub.BulkPublishRequest{PubsubName: p.name, Topic: topic, Metadata: metadata}
	for _, m := range messages {
		req.Entries = append(req.Entries, pubsub.BulkMessageEntry{EntryId: m.ID, Event: m.Data, ContentType: m.ContentType, Metadata: m.Metadata})
	}
	got, err := bulk.BulkPublish(ctx, req)
	if err == nil {
		return nil
	}
	var errs []error
	for _, f := range got.FailedEntries {
		if f.Error == nil {
			f.Error = err
		}
		errs = append(errs, &MessageError{ID: f.EntryId, Err: f.Error})
	}
	if len(errs) == 0 {
		return err
	}
	return errors.Join(errs...)
}

// MessageError is the failure of one message among several.
type MessageError struct {
	ID  string
	Err error
}

func (e *MessageError) Error() string { return fmt.Sprintf("message %s: %v", e.ID, e.Err) }
func (e *MessageError) Unwrap() error { return e.Err }

// Subscribe hands the messages of a topic to a handler until ctx ends. It goes
// on while the component is swapped, away, or not there yet, and trouble is
// logged; it returns when the last handler has returned. The app is one
// consumer group: calls of Subscribe for the same app and topic compete.
func (p *PubSub) Subscribe(ctx context.Context, topic string, metadata map[string]string, handle Handler) {
	p.app.live.follow(ctx, &follower{
		app: p.app.id, kind: KindPubSub, name: p.name,
		attach: func(ctx context.Context, s *slot) (*unit, func(), error) {
			return p.attach(ctx, s, topic, metadata, func(reading context.Context, broker pubsub.PubSub, req pubsub.SubscribeRequest, running *inflight) error {
				return broker.Subscribe(reading, req, p.keep(ctx, s, handle, running))
			})
		},
	})
}

// attach begins to read a topic with what a slot has for the app. begin makes
// the subscription; what it makes ends with its context.
func (p *PubSub) attach(ctx context.Context, s *slot, topic string, metadata map[string]string,
	begin func(reading context.Context, broker pubsub.PubSub, req pubsub.SubscribeRequest, running *inflight) error,
) (*unit, func(), error) {
	u, err := s.reader(ctx, p.app.id)
	if err != nil {
		return nil, nil, err
	}
	broker, ok := u.raw.(pubsub.PubSub)
	if !ok {
		s.release(u)
		return nil, nil, unsupported(p.name, "subscribing")
	}
	md := map[string]string{}
	maps.Copy(md, metadata)
	if s.maker.shared && md[pubsub.RuntimeConsumerIDKey] == "" {
		md[pubsub.RuntimeConsumerIDKey] = p.app.id
	}
	running := &inflight{}
	// The handlers run on when reading ends: an app that is at work on a message
	// may finish.
	reading, stop := context.WithCancel(ctx)
	if err := begin(reading, broker, pubsub.SubscribeRequest{Topic: topic, Metadata: md}, running); err != nil {
		stop()
		s.release(u)
		return nil, nil, fmt.Errorf("subscribing to %s of %s: %w", topic, p.name, err)
	}
	leave := func() {}
	if m, ok := u.raw.(absentee); ok {
		leave = s.audience.join(m, topic)
	}
	return u, func() {
		leave()
		d, ok := u.raw.(drainer)
		if ok && ctx.Err() == nil && !p.app.live.set.Load().has(s) {
			d.drain(ctx, topic, md[pubsub.RuntimeConsumerIDKey])
		}
		if s.maker.closesFirst {
			s.release(u)
			u.awaitClosed(drainTime)
			stop()
			return
		}
		stop()
		running.wait(drainTime)
		s.release(u)
	}, nil
}

// keep makes a handler for contrib that lives as long as the subscription,
// whatever becomes of the context of a delivery.
func (*PubSub) keep(life context.Context, s *slot, handle Handler, running *inflight) pubsub.Handler {
	return func(mctx context.Context, m *pubsub.NewMessage) error {
		running.begin()
		defer running.end()
		hctx, cancel := outlive(mctx, life)
		defer cancel()
		msg := Message{Topic: m.Topic, Data: m.Data, ContentType: deref(m.ContentType), Metadata: m.Metadata}
		err := handle(hctx, &msg)
		if err != nil && s.maker.forgets {
			err = insist(mctx, func() error { return handle(hctx, &msg) })
		}
		return err
	}
}

// insist tries a failed delivery again, after growing pauses, until it succeeds
// or the context of the delivery ends. Only then does a component that forgets
// leave the message with its server, which delivers it again.
func insist(ctx context.Context, again func() error) error {
	for tries := 1; ; tries++ {
		t := time.NewTimer(backoff(tries))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
		if err := again(); err == nil {
			return nil
		}
	}
}

// drainer is a broker that keeps messages nowhere but in this process, so that
// a subscription should see them all before it moves to another broker. After
// that, publishing gives errGone.
type drainer interface {
	drain(ctx context.Context, topic, group string)
}

// outlive gives a context with the values of one context that ends with
// another one.
func outlive(values, life context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(values))
	stop := context.AfterFunc(life, func() { cancel(context.Cause(life)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
