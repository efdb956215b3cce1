package component

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain demands that nothing of ours stays behind. What may stay is the
// library's: the in-memory state store, whose Close and cleaner can wait for each
// other for ever, which memoryState bounds and says; and a connection to NATS,
// whose Close goes on for up to five seconds when the server is gone.
func TestMain(m *testing.M) {
	const store = "github.com/dapr/components-contrib/state/in-memory.(*InMemoryStore)."
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(store+"Close"), goleak.IgnoreAnyFunction(store+"doCleanExpiredItems"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats%2ego.(*Conn).drainConnection"))
}
