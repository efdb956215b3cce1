package names

import (
	"context"
	"log/slog"
	"net/netip"
	"reflect"
	"sync/atomic"
)

// Want is one source that is wished for. Sources of the same kind and the same
// configuration are the same.
type Want struct {
	Kind   string
	Config any    // as YAML or TOML has it, variables expanded
	Host   string // where others reach what the source makes known; "": it makes nothing known
}

// Make gives the source of a Want and, when it has to run to be of use, what
// runs it until its context ends; run may be nil.
type Make func(Want) (r Resolver, run func(ctx context.Context) error)

// Finder finds by sources that can be exchanged while it is in use. Make it with
// NewFinder, say what is wanted with Set and serve it with Run.
//
// A source that is wanted before and after a change goes on as it is. One that
// is not wanted any more ends before a new one starts, since both may register
// the same name with the same server; whoever asks meanwhile waits.
type Finder struct {
	make  Make
	log   *slog.Logger
	want  atomic.Pointer[[]Want]
	wake  chan struct{} // holds a token when want has changed
	begun chan struct{} // closed when chain is there for the first time
	chain atomic.Pointer[Chain]
	shown func(kinds []string)
}

// running is a source while it runs.
type running struct {
	want   Want
	source Source
	run    func(context.Context) error
	cancel context.CancelFunc // nil before it has been started
	ended  chan struct{}
}

// NewFinder gives a Finder. changed is told the kinds in use whenever they have
// changed; it may be nil.
func NewFinder(sources Make, log *slog.Logger, changed func(kinds []string)) *Finder {
	f := &Finder{make: sources, log: log, wake: make(chan struct{}, 1), begun: make(chan struct{}), shown: changed}
	f.want.Store(&[]Want{})
	return f
}

// Set says which sources are wanted, in the order in which they are asked.
func (f *Finder) Set(wants []Want) {
	f.want.Store(&wants)
	select {
	case f.wake <- struct{}{}:
	default: // Run has not looked since the last change, and will see this one too
	}
}

// Run keeps the sources like the wanted ones until ctx ends.
func (f *Finder) Run(ctx context.Context) error {
	var have []*running
	defer func() { stopAll(have) }()
	for {
		have = f.exchange(ctx, have, *f.want.Load())
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
		}
	}
}

// exchange makes the sources those that are wanted.
func (f *Finder) exchange(ctx context.Context, have []*running, wants []Want) []*running {
	var next []*running
	var sources []Source
	for _, w := range wants {
		r := take(&have, w)
		if r == nil {
			resolver, run := f.make(w)
			r = &running{want: w, source: Source{w.Kind, resolver}, run: run}
		}
		next, sources = append(next, r), append(sources, r.source)
	}
	chain := NewChain(sources...)
	if f.chain.Swap(chain) == nil {
		close(f.begun)
	}
	stopAll(have)
	for _, r := range next {
		if r.run != nil && r.cancel == nil {
			r.start(ctx, f.log)
		}
	}
	if f.shown != nil {
		f.shown(chain.Kinds())
	}
	return next
}

// take removes the source of a want from those that run; nil when there is none.
func take(have *[]*running, w Want) *running {
	for i, r := range *have {
		if r.want.Kind == w.Kind && r.want.Host == w.Host && reflect.DeepEqual(r.want.Config, w.Config) {
			*have = append((*have)[:i:i], (*have)[i+1:]...)
			return r
		}
	}
	return nil
}

func (r *running) start(ctx context.Context, log *slog.Logger) {
	ctx, r.cancel = context.WithCancel(ctx)
	r.ended = make(chan struct{})
	go func() { // joined by stopAll
		defer close(r.ended)
		if err := r.run(ctx); err != nil {
			log.WarnContext(ctx, "a way to find names ended badly", slog.String("source", r.want.Kind), slog.Any("error", err))
		}
	}()
}

// stopAll ends sources and returns when all have ended.
func stopAll(all []*running) {
	for _, r := range all {
		if r.cancel != nil {
			r.cancel()
		}
	}
	for _, r := range all {
		if r.cancel != nil {
			<-r.ended
		}
	}
}

// Resolve gives what the first source that knows the app says; nothing when
// there is no source.
func (f *Finder) Resolve(ctx context.Context, appID string) ([]netip.AddrPort, error) {
	if err := await(ctx, f.begun); err != nil {
		return nil, err
	}
	if c := f.chain.Load(); c != nil && len(c.sources) > 0 {
		return c.Resolve(ctx, appID)
	}
	return nil, nil
}

// Failed tells every source that nobody was reached at an address.
func (f *Finder) Failed(appID string, addr netip.AddrPort) {
	if c := f.chain.Load(); c != nil {
		c.Failed(appID, addr)
	}
}

// Explain looks for an app and says in sentences what each source knows of it.
func (f *Finder) Explain(ctx context.Context, appID string) (said []string, found bool) {
	c := f.chain.Load()
	if c == nil || len(c.sources) == 0 {
		return []string{"nobody is asked for apps of others"}, false
	}
	return c.Explain(ctx, appID)
}
