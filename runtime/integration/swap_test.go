package integration

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"mesh/runtime/component/servertest"
)

// TestSwapLosesNothing: while messages are published, their broker is exchanged
// again and again; every message is taken, and every one arrives.
func TestSwapLosesNothing(t *testing.T) {
	t.Parallel()
	for _, b := range []struct {
		name    string
		declare func(i int, redis string) string
	}{
		{"in-memory", func(i int, _ string) string {
			return yaml("broker", "pubsub.in-memory", "generation", strconv.Itoa(i))
		}},
		{"redis", func(i int, redis string) string {
			return yaml("broker", "pubsub.redis", "redisHost", redis, "processingTimeout", "2s", "redeliverInterval", "1s", "queueDepth", strconv.Itoa(100+i))
		}},
		{"from one to the other", func(i int, redis string) string {
			if i%2 == 1 { // what Redis has not delivered stays there until Redis is the broker again, as in the end
				return yaml("broker", "pubsub.in-memory")
			}
			return yaml("broker", "pubsub.redis", "redisHost", redis, "processingTimeout", "2s", "redeliverInterval", "1s")
		}},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			redis := servertest.Redis(t).Addr
			r := newRig(t, b.declare(0, redis))
			c := &tally{acknowledged: map[string]bool{}, delivered: map[string]int{}}
			r.subscriber(c)
			c.awaitFirst(t, r)
			ctx, stop := context.WithCancel(t.Context())
			var publishers sync.WaitGroup
			for p := range 4 {
				publishers.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						id := fmt.Sprintf("%d-%d", p, i)
						c.sent(id, r.call(http.MethodPost, "publish/broker/orders", fmt.Sprintf(`{"id":%q}`, id)))
					}
				})
			}
			for i := range 20 {
				before := c.acks()
				r.apply(b.declare(i+1, redis))
				eventually(t, "messages flow on", func() bool { return c.acks() > before+20 })
			}
			stop()
			publishers.Wait()
			eventually(t, "every message arrives", func() bool { return c.missing() == 0 })
			if c.refused > 0 {
				t.Errorf("%d of %d messages were refused, the first with %s", c.refused, c.published, c.refusal)
			}
			t.Logf("%d messages during 20 swaps, %d refused, 0 lost", c.published, c.refused)
		})
	}
}
