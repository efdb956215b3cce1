package names

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// The pauses between tries to start a source.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 15 * time.Second
)

// firstTry is how long whoever asks waits for the first try to start a source,
// so that nobody is told of nothing while sources are exchanged.
const firstTry = 5 * time.Second

// Started is a source that runs; closing it takes back what it has registered.
type Started interface {
	Resolver
	io.Closer
}

// Late is a source that is started by Run and tried again until it works: the
// server behind it may come up after us.
type Late struct {
	kind  string
	start func(ctx context.Context) (Started, error)
	log   *slog.Logger
	tried chan struct{} // closed when the first try is over

	mu  sync.RWMutex
	now Started
	err error // why it does not run
}

// NewLate gives a source that start starts.
func NewLate(kind string, log *slog.Logger, start func(ctx context.Context) (Started, error)) *Late {
	return &Late{kind: kind, start: start, log: log, tried: make(chan struct{}), err: errors.New("it has not been started yet")}
}

// Run starts the source, however often that takes, and closes it when ctx ends.
func (l *Late) Run(ctx context.Context) error {
	tried := sync.OnceFunc(func() { close(l.tried) })
	defer tried()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		s, err := l.start(ctx)
		l.mu.Lock()
		if l.err = err; err == nil {
			l.now = s
		}
		l.mu.Unlock()
		tried()
		if err == nil {
			return l.serve(ctx, s)
		}
		l.log.WarnContext(ctx, "names cannot be resolved by this source for now", slog.String("source", l.kind), slog.Any("error", err), slog.Duration("again_in", pause))
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

func (l *Late) serve(ctx context.Context, s Started) error {
	l.log.InfoContext(ctx, "names are resolved", slog.String("source", l.kind))
	<-ctx.Done()
	l.mu.Lock()
	l.now, l.err = nil, errors.New("it has been stopped")
	l.mu.Unlock()
	return s.Close()
}

// Resolve asks the source. The first try to start it is waited for, a moment;
// until one has worked the error says why none has.
func (l *Late) Resolve(ctx context.Context, appID string) ([]netip.AddrPort, error) {
	if err := await(ctx, l.tried); err != nil {
		return nil, err
	}
	l.mu.RLock()
	s, err := l.now, l.err
	l.mu.RUnlock()
	if s == nil {
		return nil, fmt.Errorf("%s cannot be asked: %w", l.kind, err)
	}
	return s.Resolve(ctx, appID)
}

// await waits for something to begin, a moment at most; the error is that of ctx.
func await(ctx context.Context, begun <-chan struct{}) error {
	select {
	case <-begun:
		return nil
	default:
	}
	limit := time.NewTimer(firstTry)
	defer limit.Stop()
	select {
	case <-begun:
	case <-limit.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
