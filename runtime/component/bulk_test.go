package component

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"mesh/runtime/component/servertest"
	"mesh/runtime/resource"
)

// TestBulk: messages come together, and of those only the failed ones again,
// from a broker that delivers bulks and from one that does not.
func TestBulk(t *testing.T) {
	for name, spec := range map[string]func(*testing.T) resource.Component{
		"in-memory": func(*testing.T) resource.Component { return declare("pubsub", "pubsub.in-memory") },
		"redis": func(t *testing.T) resource.Component {
			t.Helper()
			return declare("pubsub", "pubsub.redis", "redisHost", servertest.Redis(t).Addr)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := running(t, Options{})
			apply(t, l, spec(t))
			p := l.App("app").PubSub("pubsub")
			var mu sync.Mutex
			seen := map[string]int{}
			sizes := []int{}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				p.SubscribeBulk(ctx, "t", nil, Bulk{MaxMessages: 5, MaxAwait: 100 * time.Millisecond}, func(_ context.Context, all []*Message) []error {
					mu.Lock()
					defer mu.Unlock()
					sizes = append(sizes, len(all))
					errs := make([]error, len(all))
					for i, m := range all {
						if m.Topic != "t" || m.ID == "" {
							t.Errorf("got %+v", m)
						}
						if seen[string(m.Data)]++; string(m.Data) == "3" && seen["3"] == 1 {
							errs[i] = errors.New("not now")
						}
					}
					return errs
				})
			}()
			eventually(t, "subscribed", func() bool {
				l.turns.Lock()
				defer l.turns.Unlock()
				for _, at := range l.turns.followers {
					return at != nil
				}
				return false
			})
			var messages []*Message
			for i := range 12 {
				messages = append(messages, &Message{ID: strconv.Itoa(i), Data: []byte(strconv.Itoa(i))})
			}
			if err := p.PublishAll(t.Context(), "t", messages, nil); err != nil {
				t.Fatal(err)
			}
			eventually(t, "all arrive, and what failed again", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(seen) == 12 && seen["3"] == 2
			})
			cancel()
			<-done
			most := 0
			for _, n := range sizes {
				most = max(most, n)
			}
			if most < 2 || most > 5 {
				t.Errorf("bulks of %v, want up to 5 at a time", sizes)
			}
			for m, n := range seen {
				if want := 1 + map[bool]int{true: 1}[m == "3"]; n != want {
					t.Errorf("%s came %d times, want %d: %s", m, n, want, fmt.Sprint(sizes))
				}
			}
		})
	}
}
