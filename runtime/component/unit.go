package component

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dapr/components-contrib/metadata"
)

// initTimeout is how long a component may take to start when its declaration
// says nothing; it is Dapr's value.
const initTimeout = 5 * time.Second

// unit is one started component. It stays open until the last of its holders
// lets go: the slot it stands in, requests that use it, subscriptions.
type unit struct {
	name         string
	raw          any // see backend
	capabilities []string
	holders      atomic.Int64
	began        time.Time                   // when it had started
	ping         func(context.Context) error // whether its server answers; nil: nobody can tell
	shut         func() error
	closed       chan struct{}
}

// acquire holds the unit; false when it is closed already.
func (u *unit) acquire() bool {
	for {
		n := u.holders.Load()
		if n == 0 {
			return false
		}
		if u.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// awaitClosed waits for the end of a unit that nobody holds any more, for a
// limited time.
func (u *unit) awaitClosed(limit time.Duration) {
	if u.holders.Load() > 0 {
		return
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-u.closed:
	case <-t.C:
	}
}

// engine starts units and knows which are open.
type engine struct {
	opt   Options
	types func() map[string]maker // those that exist
	mu    sync.Mutex
	open  map[*unit]struct{}
}

// start starts a component; the caller holds the unit and releases it.
func (g *engine) start(ctx context.Context, m maker, base metadata.Base, timeout time.Duration) (*unit, error) {
	if timeout <= 0 {
		timeout = initTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it did not start within %v", timeout))
	defer cancel()
	b := m.new(contribLog{to: g.opt.Log.With(slog.String("component", base.Name))})
	done := make(chan error, 1)
	go func() { // joined below, or left alone when the component ignores its context
		err := guard(func() error { return b.init(ctx, base) })
		if err != nil || ctx.Err() != nil {
			_ = guard(b.close) // what it opened before it failed
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	u := &unit{name: base.Name, raw: b.raw, capabilities: b.capabilities(), ping: m.server.pinger(b.raw, base), shut: b.close, closed: make(chan struct{}), began: time.Now()}
	u.holders.Store(1)
	g.mu.Lock()
	g.open[u] = struct{}{}
	g.mu.Unlock()
	return u, nil
}

// release lets go of a unit; the last one to do so closes it, in the
// background because closing may wait for a server. Run waits for that.
func (g *engine) release(u *unit) {
	if u == nil || u.holders.Add(-1) > 0 {
		return
	}
	go func() { // joined through u.closed
		defer close(u.closed)
		if err := guard(u.shut); err != nil {
			g.opt.Log.Warn("closing component", slog.String("component", u.name), slog.Any("error", err))
		}
		g.mu.Lock()
		delete(g.open, u)
		g.mu.Unlock()
	}()
}

// rest waits until every unit is closed; the error names those that are not
// when ctx ends.
func (g *engine) rest(ctx context.Context) error {
	g.mu.Lock()
	var all []*unit
	for u := range g.open {
		all = append(all, u)
	}
	g.mu.Unlock()
	for _, u := range all {
		select {
		case <-u.closed:
		case <-ctx.Done():
			return fmt.Errorf("component %s does not close", u.name)
		}
	}
	return nil
}

// guard turns a panic of a component into an error: some do when their
// metadata is not what they expect.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the component panicked: %v", p)
		}
	}()
	return f()
}
