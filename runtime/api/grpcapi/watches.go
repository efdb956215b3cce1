package grpcapi

import (
	"context"
	"crypto/rand"
	"sync"
)

// watches are the streams that an app may end by their names.
type watches struct {
	mu   sync.Mutex
	open map[string]context.CancelFunc
}

// begin names a stream; end is called when it is over.
func (w *watches) begin(ctx context.Context) (_ context.Context, id string, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	id = rand.Text()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		w.open = map[string]context.CancelFunc{}
	}
	w.open[id] = cancel
	return ctx, id, func() {
		cancel()
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.open, id)
	}
}

// stop ends a stream and says whether there was one.
func (w *watches) stop(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	cancel := w.open[id]
	if cancel != nil {
		cancel()
	}
	return cancel != nil
}
