package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/policy"
	"mesh/runtime/stream"
)

// errDrop says that the message is not to come again.
var errDrop = errors.New("the message is dropped")

// lostError is an errDrop that nobody wished for.
type lostError struct{ why error }

func (e *lostError) Error() string   { return fmt.Sprintf("%v: %v", errDrop, e.why) }
func (e *lostError) Unwrap() []error { return []error{errDrop, e.why} }

// errAgain says that the app wants the message once more.
var errAgain = errors.New("the app asks for the message again (RETRY)")

// delivery is one message on its way to the app.
type delivery struct {
	sub   *Subscription
	m     *component.Message
	event map[string]any // the message as a CloudEvent
	made  bool           // which is not the message's own JSON
	path  string         // of the route that it takes; "": the subscription has none
}

// deliver hands one message to the app. An error makes the broker deliver it
// again.
func (s *session) deliver(ctx context.Context, sub *Subscription, broker *component.PubSub, m *component.Message) error {
	began := time.Now()
	d, err := open(sub, m)
	if err == nil {
		err = s.inbound(ctx, sub.PubSub, func(ctx context.Context) error {
			f := s.begin(d, len(m.Data))
			err := s.app.message(ctx, f, d)
			f.End(err)
			return err
		})
	}
	s.tell("delivery", sub.PubSub, sub.Topic, began, err)
	return s.settle(ctx, sub, broker, m, err)
}

// open reads a message and finds its route. An error is an errDrop.
func open(sub *Subscription, m *component.Message) (*delivery, error) {
	event, made, err := m.Open(sub.PubSub, sub.raw())
	if err != nil {
		return nil, &lostError{err}
	}
	if component.Expired(event) {
		return nil, fmt.Errorf("%w: it has expired", errDrop)
	}
	path, ok := sub.route(event)
	if !ok {
		return nil, fmt.Errorf("%w: no route matches it", errDrop)
	}
	return &delivery{sub: sub, m: m, event: event, made: made, path: path}, nil
}

// begin gives the flow of deliveries of n bytes to the path of one of them.
func (s *session) begin(d *delivery, n int) *flow.Flow {
	path := d.path
	if path == "" {
		path = d.sub.Topic
	}
	f := s.o.Flows.Begin(flow.Head{
		Caller: d.sub.PubSub, Callee: s.o.AppID, Verb: "delivery", Path: "/" + strings.TrimLeft(path, "/"), Kind: "delivery",
	})
	f.Mark(flow.Request, flow.CallerIn, n)
	return f
}

// settle decides what becomes of a message that the app did not take.
func (s *session) settle(ctx context.Context, sub *Subscription, broker *component.PubSub, m *component.Message, err error) error {
	if err == nil {
		return nil
	}
	if s.life.Err() != nil || isUnreachable(err) {
		return err // it is not the message's fault
	}
	if sub.DeadLetter != "" {
		dead := component.Message{Topic: sub.DeadLetter, Data: m.Data, ContentType: m.ContentType, Metadata: m.Metadata}
		if perr := broker.Publish(ctx, &dead); perr != nil {
			return errors.Join(err, fmt.Errorf("sending it to the dead letters: %w", perr))
		}
		return nil
	}
	if errors.Is(err, errDrop) {
		level := slog.LevelDebug
		if _, lost := errors.AsType[*lostError](err); lost {
			level = slog.LevelWarn
		}
		s.o.Log.Log(ctx, level, "a message was dropped", slog.String("topic", sub.Topic), slog.Any("reason", err))
		return nil
	}
	return err
}

func isUnreachable(err error) bool {
	_, is := errors.AsType[*stream.UnreachableError](err)
	return is
}

// deliverAll hands several messages to the app at once, one call for each route.
func (s *session) deliverAll(ctx context.Context, sub *Subscription, broker *component.PubSub, all []*component.Message) []error {
	errs := make([]error, len(all))
	byPath := map[string][]int{}
	opened := make([]*delivery, len(all))
	for i, m := range all {
		if opened[i], errs[i] = open(sub, m); errs[i] == nil {
			byPath[opened[i].path] = append(byPath[opened[i].path], i)
		}
	}
	for _, members := range byPath {
		var some []*delivery
		size := 0
		for _, i := range members {
			some = append(some, opened[i])
			size += len(all[i].Data)
		}
		began := time.Now()
		said := s.bulk(ctx, sub, some, size)
		for n, i := range members {
			errs[i] = said[n]
			s.tell("delivery", sub.PubSub, sub.Topic, began, said[n])
		}
	}
	for i, m := range all {
		errs[i] = s.settle(ctx, sub, broker, m, errs[i])
	}
	return errs
}

// bulk hands over messages of one path, and gives an error for each. A second
// try is only for those that the app did not take.
func (s *session) bulk(ctx context.Context, sub *Subscription, all []*delivery, size int) []error {
	said := make([]error, len(all))
	left := make([]int, len(all)) // indices of those to be tried
	for i := range left {
		left[i] = i
	}
	_ = s.inbound(ctx, sub.PubSub, func(ctx context.Context) error { // what it gives is in said
		some := make([]*delivery, len(left))
		for n, i := range left {
			some[n] = all[i]
		}
		f := s.begin(some[0], size)
		got := s.app.messages(ctx, f, some)
		err := errors.Join(got...)
		f.End(err)
		var again []int
		for n, i := range left {
			if said[i] = got[n]; got[n] != nil && !settled(got[n]) {
				again = append(again, i)
			}
		}
		if left = again; len(left) == 0 {
			return policy.Final(err)
		}
		return err
	})
	return said
}

// alike gives the same error for every one of n messages.
func alike(n int, err error) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// matched gives what the app said to each delivery of a bulk.
func matched(all []*delivery, said map[string]error) []error {
	errs := make([]error, len(all))
	for i, d := range all {
		err, ok := said[d.m.ID]
		if !ok {
			err = errors.New("the app says nothing to this message of the bulk")
		}
		errs[i] = err
	}
	return errs
}

func shorten(b []byte) string {
	const most = 200
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(b)
}
