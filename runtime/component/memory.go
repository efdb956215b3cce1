package component

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	contribmd "github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/kit/logger"
)

// memory is pubsub.in-memory. It is not contrib's of that name, because that
// one has no consumer groups, delivers each message once whatever becomes of
// it, and takes the wrong one of two subscriptions away.
//
// Each consumer group of a topic has a queue of its own, from which the
// subscriptions of the group take turns. What fails is delivered again after a
// growing pause, while others go on. A group whose subscribers are away, as
// while an app restarts, keeps its messages up to the limit of its queue.
type memory struct {
	log    logger.Logger
	limit  int // messages of a queue
	turns  int // of one subscription at a time
	mu     sync.Mutex
	queues map[queueName]*queue
	closed chan struct{}
	wg     sync.WaitGroup

	gate struct { // publishers hold it while they are at work
		sync.RWMutex
		gone bool // the broker is being replaced
	}
}

type queueName struct{ topic, group string }

const (
	memoryLimit = 10_000
	// Pauses before a failed message is delivered again.
	redeliverFirst = 100 * time.Millisecond
	redeliverMost  = 10 * time.Second
)

func newMemory(log logger.Logger) *memory {
	return &memory{log: log, limit: memoryLimit, turns: 1, queues: map[queueName]*queue{}, closed: make(chan struct{})}
}

// Init reads the optional metadata queueLimit and concurrency.
func (m *memory) Init(_ context.Context, md pubsub.Metadata) error {
	for name, to := range map[string]*int{"queueLimit": &m.limit, "concurrency": &m.turns} {
		text, ok := md.GetProperty(name)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return errors.New(name + " must be a whole number above 0")
		}
		*to = n
	}
	return nil
}

func (*memory) Features() []pubsub.Feature {
	return []pubsub.Feature{pubsub.FeatureSubscribeWildcards, pubsub.FeatureMessageTTL, pubsub.FeatureBulkPublish}
}

// Publish puts a message into the queue of every group that subscribed to the
// topic. It waits while the queue of a group that is reading is full.
func (m *memory) Publish(ctx context.Context, req *pubsub.PublishRequest) error {
	d := delivery{msg: pubsub.NewMessage{Data: req.Data, Topic: req.Topic, Metadata: req.Metadata, ContentType: req.ContentType}}
	ttl, ok, err := contribmd.TryGetTTL(req.Metadata)
	if err != nil {
		return err
	}
	if ok {
		d.until = time.Now().Add(ttl)
	}
	m.gate.RLock()
	defer m.gate.RUnlock()
	if m.gate.gone {
		return errGone
	}
	m.mu.Lock()
	var all []*queue
	for name, q := range m.queues {
		if matches(name.topic, req.Topic) {
			all = append(all, q)
		}
	}
	m.mu.Unlock()
	for _, q := range all {
		one := d // each group has its own count of tries
		if err := q.put(ctx, &one, m.closed); err != nil {
			return err
		}
	}
	return nil
}

// matches says whether a subscription to a pattern, which may end in a star,
// wants a topic.
func matches(pattern, topic string) bool {
	start, star := strings.CutSuffix(pattern, "*")
	if star {
		return len(topic) > len(start) && strings.HasPrefix(topic, start)
	}
	return pattern == topic
}

// Subscribe hands messages to the handler until ctx ends. The group is the
// consumerID of the request.
func (m *memory) Subscribe(ctx context.Context, req pubsub.SubscribeRequest, handle pubsub.Handler) error {
	return m.read(req, func(q *queue) {
		for d := q.take(ctx, m.closed, nil); d != nil; d = q.take(ctx, m.closed, nil) {
			msg := d.msg // handlers may change it
			m.settle(q, d, guard(func() error { return handle(ctx, &msg) }))
		}
	})
}

// BulkSubscribe is Subscribe for several messages at a time.
func (m *memory) BulkSubscribe(ctx context.Context, req pubsub.SubscribeRequest, handle pubsub.BulkHandler) error {
	most, await := req.BulkSubscribeConfig.MaxMessagesCount, time.Duration(req.BulkSubscribeConfig.MaxAwaitDurationMs)*time.Millisecond
	return m.read(req, func(q *queue) {
		for first := q.take(ctx, m.closed, nil); first != nil; first = q.take(ctx, m.closed, nil) {
			all := []*delivery{first}
			enough := time.NewTimer(await)
			for len(all) < most {
				d := q.take(ctx, m.closed, enough.C)
				if d == nil {
					break
				}
				all = append(all, d)
			}
			enough.Stop()
			bulk := &pubsub.BulkMessage{Topic: req.Topic}
			for i, d := range all {
				bulk.Entries = append(bulk.Entries, pubsub.BulkMessageEntry{
					EntryId: strconv.Itoa(i), Event: d.msg.Data, ContentType: deref(d.msg.ContentType), Metadata: d.msg.Metadata,
				})
			}
			var answers []pubsub.BulkSubscribeResponseEntry
			err := guard(func() (err error) {
				answers, err = handle(ctx, bulk)
				return err
			})
			for i, d := range all {
				one := err
				if i < len(answers) {
					one = answers[i].Error
				}
				m.settle(q, d, one)
			}
		}
	})
}

// read lets a function read the queue of a group, as often at a time as the
// broker was told to.
func (m *memory) read(req pubsub.SubscribeRequest, deliver func(*queue)) error {
	name := queueName{topic: req.Topic, group: req.Metadata[pubsub.RuntimeConsumerIDKey]}
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.closed:
		return errors.New("the broker is closed")
	default:
	}
	q := m.queues[name]
	if q == nil {
		q = &queue{limit: m.limit, log: m.log, name: name, more: make(chan struct{}, 1), space: make(chan struct{}, 1)}
		m.queues[name] = q
	}
	q.join(1)
	var turns sync.WaitGroup
	for range m.turns {
		turns.Go(func() { deliver(q) })
	}
	m.wg.Go(func() {
		turns.Wait()
		q.join(-1)
	})
	return nil
}

// settle ends a delivery, or sets it aside to be tried again.
func (m *memory) settle(q *queue, d *delivery, err error) {
	if err == nil || (!d.until.IsZero() && time.Now().After(d.until)) {
		q.done()
		return
	}
	d.tries++
	m.log.Debugf("delivering %s to %s again: %v", q.name.topic, q.name.group, err)
	m.wg.Go(func() { q.again(d, m.closed) })
}

// Close ends all subscriptions and waits for their handlers. Messages that are
// left are lost, as everything in memory is.
func (m *memory) Close() error {
	m.mu.Lock()
	select {
	case <-m.closed:
	default:
		close(m.closed)
	}
	m.mu.Unlock()
	m.wg.Wait()
	return nil
}

// drain takes no more messages and waits until a group has nothing more to
// read, or ctx ends.
func (m *memory) drain(ctx context.Context, topic, group string) {
	m.gate.Lock()
	m.gate.gone = true
	m.gate.Unlock()
	m.mu.Lock()
	q := m.queues[queueName{topic: topic, group: group}]
	m.mu.Unlock()
	if q == nil {
		return
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !q.idle() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// delivery is a message on its way to one group.
type delivery struct {
	msg   pubsub.NewMessage
	tries int
	until time.Time // after which it is not delivered any more; zero: for ever
}

// queue is what waits for one group.
type queue struct {
	name  queueName
	limit int
	log   logger.Logger
	more  chan struct{} // holds a token when something may wait
	space chan struct{} // holds a token when there may be room

	mu      sync.Mutex
	waiting []*delivery
	open    int // messages taken or set aside, and not done
	readers int
	lost    int // dropped because the queue was full and nobody read
}

// put adds a message. While the queue is full it waits, or drops the oldest
// when nobody reads.
func (q *queue) put(ctx context.Context, d *delivery, closed <-chan struct{}) error {
	for {
		q.mu.Lock()
		if len(q.waiting)+q.open < q.limit {
			q.push(d)
			q.mu.Unlock()
			return nil
		}
		if q.readers == 0 && len(q.waiting) > 0 {
			q.waiting[0] = nil
			q.waiting = q.waiting[1:]
			if q.lost++; q.lost == 1 {
				q.log.Warnf("the queue of %s for %s is full and nobody reads it: the oldest messages are dropped", q.name.topic, q.name.group)
			}
			q.push(d)
			q.mu.Unlock()
			return nil
		}
		q.mu.Unlock()
		select {
		case <-q.space:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-closed:
			return errors.New("the broker is closed")
		}
	}
}

// push adds to the queue; the caller has the lock.
func (q *queue) push(d *delivery) {
	q.waiting = append(q.waiting, d)
	signal(q.more)
	if len(q.waiting)+q.open < q.limit {
		signal(q.space) // for another one who waits
	}
}

// take waits for a message; nil when ctx or the broker ends, or when enough,
// which may be nil, has something to say.
func (q *queue) take(ctx context.Context, closed <-chan struct{}, enough <-chan time.Time) *delivery {
	for {
		select {
		case <-ctx.Done():
			signal(q.more) // another reader may have wanted the token
			return nil
		case <-closed:
			return nil
		default:
		}
		q.mu.Lock()
		if len(q.waiting) > 0 {
			d := q.waiting[0]
			q.waiting[0] = nil
			q.waiting = q.waiting[1:]
			if len(q.waiting) > 0 {
				signal(q.more)
			}
			if !d.until.IsZero() && time.Now().After(d.until) {
				signal(q.space)
				q.mu.Unlock()
				continue
			}
			q.open++
			q.mu.Unlock()
			return d
		}
		q.mu.Unlock()
		select {
		case <-q.more:
		case <-ctx.Done():
		case <-closed:
		case <-enough:
			return nil
		}
	}
}

// done says that a taken message is dealt with.
func (q *queue) done() {
	q.mu.Lock()
	q.open--
	q.mu.Unlock()
	signal(q.space)
}

// again puts a failed message back after a pause.
func (q *queue) again(d *delivery, closed <-chan struct{}) {
	pause := redeliverMost
	if d.tries < 10 {
		pause = min(pause, redeliverFirst<<(d.tries-1))
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-closed:
	}
	q.mu.Lock()
	q.open--
	q.waiting = append(q.waiting, d)
	q.mu.Unlock()
	signal(q.more)
}

func (q *queue) join(n int) {
	q.mu.Lock()
	q.readers += n
	q.mu.Unlock()
	signal(q.space) // whoever waits for room decides anew
}

func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0 && q.open == 0
}

// signal leaves a token unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
