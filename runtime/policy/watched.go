package policy

import (
	"context"
	"errors"
	"sync/atomic"

	"mesh/runtime/stream"
)

// The kinds of policies, as metrics of Dapr call them.
const (
	KindTimeout = "timeout"
	KindRetry   = "retry"
	KindBreaker = "circuitbreaker"
)

// Watched is a Book as one app sees it that calls others. Its policies tell Seen
// what they do: that one of a kind was put around a call of a target, and each
// time that it has struck.
type Watched struct {
	*Book

	App  string                                 // the app that calls; policies with scopes hold when they name it
	Seen func(kind, target string, struck bool) // may be nil
}

// Concerns says whether any policy or fault may apply to calls of an app.
func (w Watched) Concerns(appID string) bool {
	return w.Book != nil && (w.Faults.set.Load() != nil || w.Find(w.App, target(appID)) != Policy{})
}

// Wrap puts the policies and faults of the app that a call names around next.
// Without a Book, or an entry for the app, it costs a look.
func (w Watched) Wrap(next stream.Handler) stream.Handler {
	if w.Book == nil {
		return next
	}
	disturbed := w.Faults.Wrap(next)
	return stream.HandlerFunc(func(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
		id := target(c.AppID)
		p := w.Find(w.App, id)
		if p == (Policy{}) {
			return disturbed.Handle(ctx, c)
		}
		if w.Seen == nil {
			return p.Wrap(disturbed).Handle(ctx, c)
		}
		return w.handle(ctx, c, id, p, disturbed)
	})
}

// handle puts p around next and tells Seen of it.
func (w Watched) handle(ctx context.Context, c *stream.Call, id string, p Policy, next stream.Handler) (*stream.Reply, error) {
	var tries atomic.Int32
	counted := stream.HandlerFunc(func(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
		if tries.Add(1) > 1 {
			w.Seen(KindRetry, id, true)
		}
		return next.Handle(ctx, c)
	})
	for kind, there := range map[string]bool{KindTimeout: p.Timeout != Timeout{}, KindRetry: p.Retry != nil, KindBreaker: p.Breaker != nil} {
		if there {
			w.Seen(kind, id, false)
		}
	}
	r, err := p.Wrap(counted).Handle(ctx, c)
	if err != nil {
		w.ended(id, err)
		return nil, err
	}
	if p.Timeout == (Timeout{}) {
		return r, nil
	}
	reply := *r
	reply.Body = &endBody{ReadCloser: r.Body, read: func(_ int, err error) { w.ended(id, err) }, end: func() {}}
	return &reply, nil
}

// ended tells Seen of a policy that has ended a call.
func (w Watched) ended(id string, err error) {
	if err == nil {
		return
	}
	if _, ok := errors.AsType[*TimeoutError](err); ok {
		w.Seen(KindTimeout, id, true)
	}
	if _, ok := errors.AsType[*OpenError](err); ok {
		w.Seen(KindBreaker, id, true)
	}
}
