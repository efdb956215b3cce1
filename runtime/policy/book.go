package policy

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
)

// Book holds the policies of a mesh by target, and its faults. All sidecars of
// the mesh share one, so that a breaker counts what all of them see; which
// policies hold depends on the app that calls. It can be changed while calls run.
type Book struct {
	Faults Faults

	targets    atomic.Pointer[map[string][]Scoped]
	components atomic.Pointer[map[Component][]Scoped]
}

// Set replaces the policies, the first of a target that is in scope wins; the
// map is not to be changed afterwards. Calls under way keep the policy that they
// began with.
func (b *Book) Set(targets map[string][]Scoped) { b.targets.Store(&targets) }

// Find gives the policy of a target for the calls of an app, the zero Policy
// when it has none.
func (b *Book) Find(app, target string) Policy {
	if t := b.targets.Load(); t != nil {
		return inScope((*t)[target], app)
	}
	return Policy{}
}

// Declared gives the policy that a source declares for a target, whichever apps
// it is for; the zero Policy when it declares none.
func (b *Book) Declared(source, target string) Policy {
	if t := b.targets.Load(); t != nil {
		return declared((*t)[target], source)
	}
	return Policy{}
}

// Targets names everything that has a policy for any app, sorted.
func (b *Book) Targets() []string {
	if t := b.targets.Load(); t != nil {
		return slices.Sorted(maps.Keys(*t))
	}
	return nil
}

// target gives the app of an id, which may have a namespace.
func target(appID string) string {
	app, _, _ := strings.Cut(appID, ".")
	return app
}
