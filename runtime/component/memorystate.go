package component

import (
	"time"

	"github.com/dapr/components-contrib/state"
	statememory "github.com/dapr/components-contrib/state/in-memory"
	"github.com/dapr/kit/logger"
)

// memoryState is contrib's store in memory with a Close that returns: contrib's
// waits for its cleaner while it holds the lock that the cleaner may be waiting
// for.
type memoryState struct {
	*statememory.InMemoryStore
}

// memoryCloseTime is how long the store is given to close; it needs no time
// unless it hangs, and then nothing but memory is lost.
const memoryCloseTime = 500 * time.Millisecond

var _ state.Store = memoryState{}

func newMemoryState(log logger.Logger) memoryState {
	store, _ := statememory.NewInMemoryStateStore(log).(*statememory.InMemoryStore)
	return memoryState{InMemoryStore: store}
}

// Close is described with memoryState.
func (m memoryState) Close() error {
	done := make(chan error, 1)
	go func() { done <- m.InMemoryStore.Close() }()
	t := time.NewTimer(memoryCloseTime)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return nil
	}
}
