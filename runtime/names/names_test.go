package names

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// book is a source that knows some apps, after a while.
type book struct {
	apps   map[string]string
	err    error
	slow   time.Duration
	asked  atomic.Int32
	failed []string
	closed atomic.Bool
}

func (b *book) Resolve(_ context.Context, appID string) ([]netip.AddrPort, error) {
	b.asked.Add(1)
	time.Sleep(b.slow) // in a bubble: costs no time
	if addr, ok := b.apps[appID]; ok {
		return []netip.AddrPort{netip.MustParseAddrPort(addr)}, nil
	}
	return nil, b.err
}

func (b *book) Failed(appID string, _ netip.AddrPort) { b.failed = append(b.failed, appID) }

func (b *book) Close() error { b.closed.Store(true); return nil }

// cached also has what it knows at hand.
type cached struct{ book }

func (c *cached) Known(appID string) []netip.AddrPort {
	if addr, ok := c.apps[appID]; ok {
		return []netip.AddrPort{netip.MustParseAddrPort(addr)}
	}
	return nil
}

func resolve(t *testing.T, c *Chain, appID string) string {
	t.Helper()
	addrs, err := c.Resolve(t.Context(), appID)
	if err != nil || len(addrs) == 0 {
		return ""
	}
	return addrs[0].String()
}

func TestChainAsksInOrderAndSaysWhoKnew(t *testing.T) {
	first := &book{apps: map[string]string{"both": "127.0.0.1:1"}}
	second := &book{apps: map[string]string{"both": "127.0.0.1:2", "only": "127.0.0.1:3"}}
	c := NewChain(Source{"mdns", first}, Source{"consul", second})
	for appID, want := range map[string][2]string{"both": {"127.0.0.1:1", "mdns"}, "only": {"127.0.0.1:3", "consul"}} {
		if got := resolve(t, c, appID); got != want[0] || c.Found(appID) != want[1] {
			t.Errorf("%s is at %q by %q, want %v", appID, got, c.Found(appID), want)
		}
	}
	c.Failed("only", netip.AddrPort{})
	if len(first.failed) != 1 || len(second.failed) != 1 {
		t.Error("not every source hears that an address does not answer")
	}
}

func TestSlowSourceHoldsUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &book{slow: time.Second}
		c := NewChain(Source{"mdns", slow}, Source{"consul", &book{apps: map[string]string{"a": "127.0.0.1:1"}}})
		for i, want := range []time.Duration{time.Second, 0, 0} {
			began := time.Now()
			if resolve(t, c, "a") == "" || time.Since(began) != want {
				t.Errorf("call %d took %v, want %v", i, time.Since(began), want)
			}
		}
		known := NewChain(Source{"consul", slow}, Source{"mdns", &cached{book{apps: map[string]string{"b": "127.0.0.1:2"}}}})
		began := time.Now()
		if resolve(t, known, "b") == "" || time.Since(began) != 0 {
			t.Errorf("what is at hand took %v", time.Since(began))
		}
	})
}

func TestChainFollowsAnAppThatMoves(t *testing.T) {
	first, second := &book{apps: map[string]string{}}, &book{apps: map[string]string{"a": "127.0.0.1:2"}}
	c := NewChain(Source{"one", first}, Source{"two", second})
	resolve(t, c, "a")
	delete(second.apps, "a")
	first.apps["a"] = "127.0.0.1:1"
	if got := resolve(t, c, "a"); got != "127.0.0.1:1" || c.Found("a") != "one" {
		t.Errorf("the app is at %q by %q", got, c.Found("a"))
	}
}

func TestUnknownAppSaysWhatEachSourceSaid(t *testing.T) {
	c := NewChain(Source{"mdns", &book{}}, Source{"consul", &book{err: errors.New("the agent is gone")}})
	_, err := c.Resolve(t.Context(), "ghost")
	if err == nil || !strings.Contains(err.Error(), "couldn't find service: ghost (mdns: not known; consul: the agent is gone)") {
		t.Errorf("the error is %v", err)
	}
	said, found := c.Explain(t.Context(), "ghost")
	if got := strings.Join(said, "\n"); found || got != "mdns: ghost is not known\nconsul: the agent is gone" {
		t.Errorf("it is explained as\n%s", got)
	}
}

func TestLateSourceStartsWhenItsServerDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{apps: map[string]string{"a": "127.0.0.1:1"}}
		tries := 0
		l := NewLate("consul", slog.New(slog.DiscardHandler), func(context.Context) (Started, error) {
			if tries++; tries < 4 {
				return nil, errors.New("connection refused")
			}
			return b, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		synctest.Wait()
		if _, err := l.Resolve(ctx, "a"); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("before it has started the error is %v", err)
		}
		time.Sleep(10 * time.Second) // of the bubble
		synctest.Wait()
		if got := resolve(t, NewChain(Source{"consul", l}), "a"); got != "127.0.0.1:1" {
			t.Errorf("after it has started, a is at %q", got)
		}
		stop()
		if err := <-ended; err != nil || !b.closed.Load() {
			t.Errorf("it ended with %v, closed: %v", err, b.closed.Load())
		}
	})
}

func TestExpandIsDeepAndLeavesTheOriginal(t *testing.T) {
	config := map[string]any{"meta": []any{map[string]any{"PORT": "${DAPR_PORT}"}, 7}, "name": "${APP_ID}-x"}
	variable := func(name string) string { return map[string]string{"DAPR_PORT": "50002", "APP_ID": "a"}[name] }
	if got := fmt.Sprint(Expand(config, variable)); got != "map[meta:[map[PORT:50002] 7] name:a-x]" {
		t.Errorf("it becomes %s", got)
	}
	if config["name"] != "${APP_ID}-x" {
		t.Errorf("the original has become %v", config)
	}
}
