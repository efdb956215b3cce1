package component

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/dapr/components-contrib/pubsub"
)

// Bulk says how many messages are delivered together.
type Bulk struct {
	MaxMessages int           // 0: 100
	MaxAwait    time.Duration // for the others, after the first one; 0: one second
}

// Dapr's values for what a bulk subscription leaves out.
const (
	bulkMessages = 100
	bulkAwait    = time.Second
)

// BulkHandler takes messages that arrived together, all of one topic. It gives
// an error for each of them, in their order, nil for those that are done; nil
// altogether when all are. Those that failed are delivered again.
type BulkHandler func(ctx context.Context, messages []*Message) []error

// SubscribeBulk is like Subscribe, but hands over several messages at once:
// as many as there are within the bounds of b.
func (p *PubSub) SubscribeBulk(ctx context.Context, topic string, metadata map[string]string, b Bulk, handle BulkHandler) {
	if b.MaxMessages <= 0 {
		b.MaxMessages = bulkMessages
	}
	if b.MaxAwait <= 0 {
		b.MaxAwait = bulkAwait
	}
	p.app.live.follow(ctx, &follower{
		app: p.app.id, kind: KindPubSub, name: p.name,
		attach: func(ctx context.Context, s *slot) (*unit, func(), error) {
			return p.attach(ctx, s, topic, metadata, func(reading context.Context, broker pubsub.PubSub, req pubsub.SubscribeRequest, running *inflight) error {
				req.BulkSubscribeConfig = pubsub.BulkSubscribeConfig{MaxMessagesCount: b.MaxMessages, MaxAwaitDurationMs: int(b.MaxAwait.Milliseconds())}
				bulk, ok := broker.(pubsub.BulkSubscriber)
				if !ok {
					c := &collector{bulk: b, life: ctx, handle: handle, running: running}
					return broker.Subscribe(reading, req, p.keep(ctx, s, c.add, running))
				}
				return bulk.BulkSubscribe(reading, req, func(mctx context.Context, m *pubsub.BulkMessage) ([]pubsub.BulkSubscribeResponseEntry, error) {
					running.begin()
					defer running.end()
					hctx, cancel := outlive(mctx, ctx)
					defer cancel()
					return deliverBulk(hctx, m, handle)
				})
			})
		},
	})
}

// deliverBulk hands over what a broker delivers together.
func deliverBulk(ctx context.Context, m *pubsub.BulkMessage, handle BulkHandler) ([]pubsub.BulkSubscribeResponseEntry, error) {
	messages := make([]*Message, len(m.Entries))
	for i, e := range m.Entries {
		md := maps.Clone(m.Metadata)
		if md == nil {
			md = map[string]string{}
		}
		maps.Copy(md, e.Metadata)
		messages[i] = &Message{ID: e.EntryId, Topic: m.Topic, Data: e.Event, ContentType: e.ContentType, Metadata: md}
	}
	errs := handle(ctx, messages)
	answers := make([]pubsub.BulkSubscribeResponseEntry, len(m.Entries))
	for i, e := range m.Entries {
		answers[i].EntryId = e.EntryId
		if i < len(errs) {
			answers[i].Error = errs[i]
		}
	}
	return answers, errors.Join(errs...)
}

// collector makes bulks of messages that a broker delivers one by one and, as
// it must wait for the answer to each, several at a time.
type collector struct {
	bulk    Bulk
	life    context.Context //nolint:containedctx // of the subscription; a bulk belongs to none of its messages
	handle  BulkHandler
	running *inflight

	mu      sync.Mutex
	waiting []*collected
	count   uint64 // for the names of messages
	timer   *time.Timer
}

// collected is a message that waits for its bulk.
type collected struct {
	msg  *Message
	done chan error // holds one
}

// add puts a message into the next bulk and waits for what becomes of it.
func (c *collector) add(ctx context.Context, m *Message) error {
	one := &collected{msg: m, done: make(chan error, 1)}
	c.mu.Lock()
	if c.count++; m.ID == "" {
		m.ID = strconv.FormatUint(c.count, 10)
	}
	c.waiting = append(c.waiting, one)
	switch len(c.waiting) {
	case c.bulk.MaxMessages:
		c.flush()
	case 1:
		c.timer = time.AfterFunc(c.bulk.MaxAwait, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.flush()
		})
	}
	c.mu.Unlock()
	select {
	case err := <-one.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// flush delivers what waits; the caller has the lock.
func (c *collector) flush() {
	if len(c.waiting) == 0 {
		return
	}
	all := slices.Clone(c.waiting)
	c.waiting = c.waiting[:0]
	if c.timer != nil {
		c.timer.Stop()
	}
	c.running.begin()
	go func() { // joined through running
		defer c.running.end()
		messages := make([]*Message, len(all))
		for i, one := range all {
			messages[i] = one.msg
		}
		errs := c.handle(c.life, messages)
		for i, one := range all {
			var err error
			if i < len(errs) {
				err = errs[i]
			}
			one.done <- err
		}
	}()
}
