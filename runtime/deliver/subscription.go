package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"

	"mesh/runtime/component"
	"mesh/runtime/resource"
)

// Subscription is a topic that the app gets.
type Subscription struct {
	resource.Subscription

	Programmatic bool // the app asked for it itself
	rules        []rule
}

// rule is a compiled one.
type rule struct {
	match cel.Program // nil: always
	path  string
}

// raw says whether messages of the topic are no CloudEvents, but become the data
// of one.
func (s *Subscription) raw() bool {
	for k, v := range s.Metadata {
		if strings.EqualFold(k, "rawPayload") {
			on, err := strconv.ParseBool(v)
			return err == nil && on
		}
	}
	return false
}

// key says in one string all that the subscription does.
func (s *Subscription) key() string {
	plain := s.Subscription
	plain.Place, plain.Name = resource.Place{}, ""
	b, err := json.Marshal(plain)
	if err != nil {
		return err.Error() // strings and numbers always marshal
	}
	return string(b)
}

// join puts what files declare and what the app asks for together: for the same
// topic the app wins, and among files the first.
func join(declared []resource.Subscription, asked []Subscription) []Subscription {
	all := slices.Clip(asked)
	for i := range declared {
		have := func(s Subscription) bool { return s.PubSub == declared[i].PubSub && s.Topic == declared[i].Topic }
		taken := false
		for _, s := range all {
			taken = taken || have(s)
		}
		if taken {
			continue
		}
		if s, err := compile(declared[i]); err == nil { // Check has seen it
			all = append(all, s)
		}
	}
	return all
}

// Check finds rules that are no CEL expressions.
func Check(all []resource.Subscription) (errs resource.Errors) {
	for i := range all {
		if _, err := compile(all[i]); err != nil {
			errs = append(errs, &resource.Error{
				Place: all[i].Place, Msg: fmt.Sprintf("subscription %s: %v", all[i].Name, err),
				Hint: `rules are CEL over the event, such as event.type == "order"`,
			})
		}
	}
	return errs
}

// compile compiles the rules of a subscription.
func compile(r resource.Subscription) (Subscription, error) {
	s := Subscription{Subscription: r}
	if len(r.Rules) == 0 {
		return s, nil
	}
	env, err := cel.NewEnv(cel.Variable("event", cel.DynType))
	if err != nil {
		return s, fmt.Errorf("preparing for rules: %w", err)
	}
	for _, from := range r.Rules {
		one := rule{path: from.Path}
		if from.Match != "" {
			ast, issues := env.Compile(from.Match)
			if issues != nil && issues.Err() != nil {
				return s, fmt.Errorf("compiling the rule %q: %w", from.Match, issues.Err())
			}
			if one.match, err = env.Program(ast); err != nil {
				return s, fmt.Errorf("compiling the rule %q: %w", from.Match, err)
			}
		}
		s.rules = append(s.rules, one)
	}
	return s, nil
}

// route gives the path for an event; false when there is none. A subscription
// without any routes has the path "", which says something to gRPC apps only.
func (s *Subscription) route(event map[string]any) (string, bool) {
	for _, r := range s.rules {
		if r.match == nil {
			return r.path, true
		}
		out, _, err := r.match.Eval(map[string]any{"event": plain(event)})
		if err != nil {
			continue // the event lacks what the rule asks for
		}
		if yes, ok := out.Value().(bool); ok && yes {
			return r.path, true
		}
	}
	return s.Default, s.Default != "" || len(s.rules) == 0
}

// plain makes the numbers of decoded JSON numbers that rules can compare.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = plain(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = plain(e)
		}
		return l
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	}
	return v
}

// ask asks the app what it wants to get; found says whether it knew an answer.
func (d *Deliverer) ask(ctx context.Context) (all []Subscription, found bool) {
	if d.o.NoAsk {
		return nil, true
	}
	const limit = 10 * time.Second
	tctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	list, found := d.app.subscriptions(tctx)
	for _, r := range list {
		s, err := compile(r)
		if err != nil || r.PubSub == "" || r.Topic == "" {
			d.o.Log.WarnContext(ctx, "a subscription of the app is left out",
				slog.String("pubsub", r.PubSub), slog.String("topic", r.Topic), slog.Any("error", err))
			continue
		}
		s.Programmatic = true
		all = append(all, s)
	}
	return all, found
}

// subscribe hands the messages of one subscription to the app until ctx ends.
func (s *session) subscribe(ctx context.Context, sub *Subscription) {
	broker := s.o.Components.PubSub(sub.PubSub)
	ok, err := broker.MaySubscribe(sub.Topic)
	if missing, is := errors.AsType[*component.NotFoundError](err); is {
		// Subscribe waits for it to be declared.
		s.o.Log.WarnContext(ctx, "subscribing to a broker that is not there", slog.String("topic", sub.Topic), slog.Any("error", missing))
		ok = true
	}
	if !ok {
		s.o.Log.WarnContext(ctx, "the app may not subscribe to the topic", slog.String("pubsub", sub.PubSub), slog.String("topic", sub.Topic))
		return
	}
	md := map[string]string{}
	maps.Copy(md, sub.Metadata)
	if sub.Bulk != nil {
		b := component.Bulk{MaxMessages: sub.Bulk.MaxMessages, MaxAwait: sub.Bulk.MaxAwait}
		broker.SubscribeBulk(ctx, sub.Topic, md, b, func(hctx context.Context, all []*component.Message) []error {
			hctx, stop := s.outlive(hctx)
			defer stop()
			return s.deliverAll(hctx, sub, broker, all)
		})
		return
	}
	broker.Subscribe(ctx, sub.Topic, md, func(hctx context.Context, m *component.Message) error {
		hctx, stop := s.outlive(hctx)
		defer stop()
		return s.deliver(hctx, sub, broker, m)
	})
}

// outlive gives a context for a delivery that may go on when the session ends,
// so that an app that is stopped politely can finish.
func (s *session) outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(s.life, func() { cancel(context.Cause(s.life)) })
	return out, func() {
		stop()
		cancel(nil)
	}
}
