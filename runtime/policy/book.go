package policy

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"mesh/runtime/stream"
)

// Book holds the policies of a mesh by target, and its faults. All sidecars of
// the mesh share one, so that a breaker counts what all of them see. It can be
// changed while calls run.
type Book struct {
	Faults Faults

	targets    atomic.Pointer[map[string]Policy]
	components atomic.Pointer[map[Component][]Scoped]
}

// Set replaces the policies; the map is not to be changed afterwards. Calls
// under way keep the policy that they began with.
func (b *Book) Set(targets map[string]Policy) { b.targets.Store(&targets) }

// Find gives the policy of a target, the zero Policy when it has none.
func (b *Book) Find(target string) Policy {
	if t := b.targets.Load(); t != nil {
		return (*t)[target]
	}
	return Policy{}
}

// Targets names everything that has a policy, sorted.
func (b *Book) Targets() []string {
	if t := b.targets.Load(); t != nil {
		return slices.Sorted(maps.Keys(*t))
	}
	return nil
}

// Wrap puts the policies and faults of the app that a call names around next. A
// nil Book, or one without an entry for the app, costs a look.
func (b *Book) Wrap(next stream.Handler) stream.Handler { return Watched{Book: b}.Wrap(next) }

// Concerns says whether any policy or fault may apply to calls of an app.
func (b *Book) Concerns(appID string) bool {
	return b != nil && (b.Faults.set.Load() != nil || b.Find(target(appID)) != Policy{})
}

// target gives the app of an id, which may have a namespace.
func target(appID string) string {
	app, _, _ := strings.Cut(appID, ".")
	return app
}
