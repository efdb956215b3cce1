package component

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain demands that nothing of ours stays behind. What may stay is the
// library's in-memory state store, whose Close and cleaner can wait for each
// other for ever; memoryState bounds that, and says so.
func TestMain(m *testing.M) {
	const store = "github.com/dapr/components-contrib/state/in-memory.(*InMemoryStore)."
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(store+"Close"), goleak.IgnoreAnyFunction(store+"doCleanExpiredItems"))
}
