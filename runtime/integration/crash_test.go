package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"mesh/runtime/component"
	"mesh/runtime/component/servertest"
)

// TestBrokerCrash: a broker that keeps what it has on disk is killed twice while
// messages are published, and started again. What it has acknowledged arrives;
// while it is away publishing fails with an error that says so, and the
// component is shown as degraded; and all goes on by itself when it is back.
func TestBrokerCrash(t *testing.T) {
	t.Parallel()
	for _, b := range []struct {
		name  string
		start func(t *testing.T) (*servertest.Server, string)
	}{
		{"redis", func(t *testing.T) (*servertest.Server, string) {
			s := servertest.Redis(t) // appendonly, and every write synced
			return s, yaml("broker", "pubsub.redis", "redisHost", s.Addr, "processingTimeout", "2s", "redeliverInterval", "1s", "redisMaxRetries", "0")
		}},
		{"jetstream", func(t *testing.T) (*servertest.Server, string) {
			s := servertest.NATS(t) // streams in files
			servertest.JetStreams(t, s, topics()...)
			return s, yaml("broker", "pubsub.jetstream", "natsURL", "nats://"+s.Addr, "durableName", "{appID}", "queueGroupName", "{appID}", "ackWait", "2s")
		}},
		{"rabbitmq", func(t *testing.T) (*servertest.Server, string) {
			s := servertest.RabbitMQ(t) // durable queues, persistent messages, publishers confirmed
			return s, rabbit(s.Addr)
		}},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			s, components := b.start(t)
			testBrokerCrash(t, s, components)
		})
	}
}

// tally is what became of the messages of a test.
type tally struct {
	mu                 sync.Mutex
	published, refused int
	acknowledged       map[string]bool
	delivered          map[string]int
	refusal            string // the first
}

func (c *tally) sent(id, answer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.published++
	if answer == "204 " {
		c.acknowledged[id] = true
		return
	}
	c.refused++
	if c.refusal == "" {
		c.refusal = answer
	}
}

// ServeHTTP is the app.
func (c *tally) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/dapr/subscribe":
		_, _ = fmt.Fprint(w, `[{"pubsubname":"broker","topic":"orders","route":"/orders"}]`)
	case r.Method == http.MethodPost:
		var event struct{ Data order }
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.delivered[event.Data.ID]++
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// awaitFirst waits until messages get through: some brokers keep nothing for
// those who subscribe later.
func (c *tally) awaitFirst(t *testing.T, r *rig) {
	t.Helper()
	eventually(t, "a first message", func() bool {
		_ = r.call(http.MethodPost, "publish/broker/orders", `{"id":"first"}`)
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.delivered["first"] > 0
	})
}

// acks says how many messages were acknowledged so far.
func (c *tally) acks() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acknowledged)
}

// missing says how many of those have not arrived.
func (c *tally) missing() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.acknowledged {
		if c.delivered[id] == 0 {
			n++
		}
	}
	return n
}

func testBrokerCrash(t *testing.T, s *servertest.Server, components string) {
	t.Helper()
	r := newRig(t, components)
	c := &tally{acknowledged: map[string]bool{}, delivered: map[string]int{}}
	r.subscriber(c)
	c.awaitFirst(t, r)
	ctx, stop := context.WithCancel(t.Context())
	var publishers sync.WaitGroup
	defer publishers.Wait()
	defer stop()
	for p := range 4 {
		publishers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("%d-%d", p, i)
				c.sent(id, r.call(http.MethodPost, "publish/broker/orders", fmt.Sprintf(`{"id":%q}`, id)))
			}
		})
	}
	const load = 100 // messages that are acknowledged before a crash
	var away []time.Duration
	for range 2 {
		before := c.acks()
		eventually(t, "messages flow", func() bool { return c.acks() >= before+load })
		s.Kill(t)
		eventually(t, "the broker to be shown as degraded", func() bool { return r.live.Status()[0].Condition == component.Degraded })
		if reason := r.live.Status()[0].Reason; !strings.Contains(reason, "refused") {
			t.Errorf("the reason is %q", reason)
		}
		s.Start(t)
		back, before := time.Now(), c.acks()
		eventually(t, "messages flow again", func() bool { return c.acks() > before })
		away = append(away, time.Since(back).Round(time.Millisecond))
		eventually(t, "the broker to be shown as ready", func() bool { return r.live.Status()[0].Condition == component.Ready })
	}
	before := c.acks()
	eventually(t, "messages flow at last", func() bool { return c.acks() >= before+load })
	stop()
	publishers.Wait()
	eventually(t, "all that was acknowledged arrives", func() bool { return c.missing() == 0 })
	if c.refused == 0 || !strings.HasPrefix(c.refusal, "500 ") || !strings.Contains(c.refusal, "ERR_PUBSUB_PUBLISH_MESSAGE") {
		t.Errorf("%d messages were refused, the first with %s", c.refused, c.refusal)
	}
	delivered := 0
	delete(c.delivered, "first")
	for _, n := range c.delivered {
		delivered += n
	}
	t.Logf("%d published, %d acknowledged, %d refused while the broker was away; %d delivered, of which %d once more; 0 acknowledged are missing; publishing went on %v after the broker was back",
		c.published, len(c.acknowledged), c.refused, delivered, delivered-len(c.delivered), away)
	t.Logf("the first refusal: %s", c.refusal)
}
