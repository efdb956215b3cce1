package component

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mesh/runtime/resource"
)

const (
	// settleTime is how long the components of an edit wait for each other before
	// those that have started serve.
	settleTime = 250 * time.Millisecond
	// moveTime is how long subscriptions may take to begin at the new
	// components before the publishers are sent there as well.
	moveTime = 3 * time.Second
	// closeTime is how long components may take to close at the end.
	closeTime = 10 * time.Second
	// pingEvery is how often running components are asked whether they are well.
	pingEvery = 5 * time.Second
)

// Options are what a Live needs of the world. All fields but Dir may be left
// out.
type Options struct {
	Dir       string // of the project, absolute; file names in metadata start from it
	Namespace string // of the apps; may be empty
	Log       *slog.Logger
	Env       func(name string) (string, bool) // looks up an environment variable
	Changed   func()                           // called when the condition of a component changed; must not block
}

// Desired is what should run.
type Desired struct {
	Components []resource.Component
	Apps       []string // all of the mesh; matters for metadata that name the app
	Denied     []string // types that may not be used
}

// Live is the components of a mesh while they run and change.
type Live struct {
	*engine
	set   atomic.Pointer[set] // requests use it
	ahead atomic.Pointer[set] // subscriptions use it: it changes first

	applying sync.Mutex // one Apply at a time
	ended    bool       // guarded by applying

	turns struct {
		sync.Mutex
		next      chan struct{} // closed when set or ahead changes
		followers map[*follower]*set
	}
	progress chan struct{} // a follower saw the newest set
	over     chan struct{} // closed when Run ends
	wake     chan struct{} // Run looks for what to retry
}

// New makes a Live without components. Run must be called for degraded ones to
// recover, and to close them all.
func New(o Options) *Live {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Env == nil {
		o.Env = func(string) (string, bool) { return "", false }
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	l := &Live{
		engine:   &engine{opt: o, types: makers, open: map[*unit]struct{}{}},
		progress: make(chan struct{}, 1),
		over:     make(chan struct{}),
		wake:     make(chan struct{}, 1),
	}
	l.set.Store(&set{})
	l.ahead.Store(&set{})
	l.turns.next = make(chan struct{})
	l.turns.followers = map[*follower]*set{}
	return l
}

// ErrEnded is the error of a Live whose Run has ended.
var ErrEnded = errors.New("the components are shut down")

// Run tries degraded components again and asks running ones whether they are
// well, until ctx ends; then it closes all and waits for them.
func (l *Live) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for ctx.Err() == nil {
		next := l.retry(ctx, &wg)
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-timer.C:
		case <-ping.C:
			for _, e := range l.set.Load().entries {
				wg.Go(func() {
					if e.ping(ctx) {
						l.turn()
					}
				})
			}
		}
		timer.Stop()
	}
	close(l.over)
	wg.Wait()
	l.applying.Lock()
	defer l.applying.Unlock()
	l.ended = true
	old := l.set.Swap(&set{})
	l.ahead.Store(l.set.Load())
	l.turn()
	l.dropAllBut(old, &set{})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return l.rest(ctx)
}

// retry begins the attempts that are due and says how long until the next.
func (l *Live) retry(ctx context.Context, wg *sync.WaitGroup) time.Duration {
	now := time.Now()
	wait := retryMost
	for _, e := range l.set.Load().entries {
		due, at := e.due(now)
		if due {
			wg.Go(func() {
				if e.recover(ctx) {
					l.turn() // what waits for it may begin
				}
				select {
				case l.wake <- struct{}{}:
				default:
				}
			})
		}
		if !at.IsZero() {
			wait = min(wait, time.Until(at))
		}
	}
	return max(wait, 0)
}

// Status tells how every component is, sorted by name.
func (l *Live) Status() []Status {
	var all []Status
	for _, e := range l.set.Load().entries {
		all = append(all, e.report(e.scopes))
	}
	return all
}

// App gives what one app sees; it stays valid while components change.
func (l *Live) App(id string) *App { return &App{live: l, id: id} }

// App is the components as one app sees them; a nil one sees none.
type App struct {
	live *Live
	id   string
}

// Status tells how the components that the app sees are.
func (a *App) Status() []Status {
	var all []Status
	for _, e := range a.live.set.Load().entries {
		if e.visible(a.id) {
			all = append(all, e.report(e.scopes))
		}
	}
	return all
}

// Metadata gives a metadata value as declared, its name in any case; for what
// is of interest to those who use a component rather than to itself.
func (a *App) Metadata(kind Kind, component, name string) (string, error) {
	if a == nil {
		return "", &NotFoundError{Kind: kind, Name: component, None: true}
	}
	e, err := a.live.set.Load().find(kind, a.id, component)
	if err != nil {
		return "", err
	}
	return e.property(name), nil
}

// use holds a component of contrib for one request; the caller calls done.
func use[T any](a *App, kind Kind, name string) (c T, s *slot, done func(), err error) {
	if a == nil {
		return c, nil, nil, &NotFoundError{Kind: kind, Name: name, None: true}
	}
	for {
		e, err := a.live.set.Load().find(kind, a.id, name)
		if err != nil {
			return c, nil, nil, err
		}
		u, err := e.hold()
		if errors.Is(err, errGone) {
			continue // swapped away between the two lines above
		}
		if err != nil {
			return c, nil, nil, err
		}
		c, ok := u.raw.(T)
		if !ok {
			a.live.release(u)
			return c, nil, nil, unsupported(name, "this use")
		}
		return c, e.slot, func() { a.live.release(u) }, nil
	}
}
