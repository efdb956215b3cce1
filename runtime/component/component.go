// Package component runs the state stores, brokers, bindings, secret stores,
// configuration stores, locks and HTTP middleware of a mesh, and swaps them while they are used.
//
// A Live holds them for all apps. Apply makes it hold others: the new ones are
// started beside the old, requests move over, and the old ones close when their
// last request ends. One whose server is down does not stop anything: it stands
// as degraded, calls to it say why, and Run tries again until it works. An App
// is what one app sees: its scopes, its key prefix, its consumer group.
//
// The components themselves come from components-contrib, and this is the only
// package that knows of it.
package component

import (
	"errors"
	"fmt"
	"time"

	"mesh/runtime/resource"
)

// Kind is a building block.
type Kind string

// The kinds of components, named as the first part of their types.
const (
	KindState         Kind = "state"
	KindPubSub        Kind = "pubsub"
	KindBinding       Kind = "bindings"
	KindSecrets       Kind = "secretstores"
	KindConfiguration Kind = "configuration"
	KindLock          Kind = "lock"
	KindMiddleware    Kind = "middleware"
)

// Condition says how a component is.
type Condition string

// Conditions of a component.
const (
	Ready    Condition = "ready"
	Degraded Condition = "degraded" // its last attempt to start failed, or its server does not answer
	Outdated Condition = "outdated" // what it was before serves, because what it should be does not start
)

// Status is what is known of a component at one moment.
type Status struct {
	Began               time.Time // when what serves had started; zero when nothing does
	Name, Type, Version string
	Kind                Kind
	App                 string // the app for which it was started; empty: all that see it
	Condition           Condition
	Reason              string    // why it is not ready
	Tries               int       // failed attempts since it was last well
	Next                time.Time // of the next attempt; zero when ready
	Capabilities        []string
	Scopes              []string
	Place               resource.Place // zero for embedded defaults
}

// NotFoundError says that an app sees no component of a name.
type NotFoundError struct {
	Kind Kind
	Name string
	None bool // the app sees no component of this kind at all
}

func (e *NotFoundError) Error() string {
	if e.None {
		return fmt.Sprintf("no %s component is configured", e.Kind)
	}
	return fmt.Sprintf("%s component %q is not found", e.Kind, e.Name)
}

// DegradedError says that a component could not be started so far.
type DegradedError struct {
	Name, Type string
	Err        error     // of the last attempt
	Next       time.Time // of the next one
}

func (e *DegradedError) Error() string {
	return fmt.Sprintf("component %s (%s) is not available: %v", e.Name, e.Type, e.Err)
}

func (e *DegradedError) Unwrap() error { return e.Err }

// ErrUnsupported is the error of an operation that a component does not have.
var ErrUnsupported = errors.New("the component does not support this operation")

func unsupported(name, what string) error {
	return fmt.Errorf("%s of %s: %w", what, name, ErrUnsupported)
}

// WithDefaults adds what stands in when nothing is declared: a SQLite store
// named statestore below .mesh when there is no state store, and a broker in
// memory named pubsub when there is none.
func WithDefaults(declared []resource.Component) []resource.Component {
	has := map[Kind]bool{}
	for i := range declared {
		has[kindOf(declared[i].Type)] = true
	}
	all := append([]resource.Component(nil), declared...)
	if !has[KindState] {
		all = append(all, resource.Component{
			Name: "statestore", Type: "state.sqlite", Version: "v1",
			Metadata: []resource.Property{{Name: "connectionString", Value: ".mesh/state.db"}},
		})
	}
	if !has[KindPubSub] {
		all = append(all, resource.Component{Name: "pubsub", Type: "pubsub.in-memory", Version: "v1"})
	}
	return all
}
