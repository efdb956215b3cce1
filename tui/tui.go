// Package tui is the screen: one Bubble Tea model over panes that are plain
// structs.
//
// The screen pulls. On its own tick it asks for the mesh's state, the flows
// and the lines of output, and draws what has changed; nothing in the mesh
// ever sends to it or waits for it. So the same screen works inside `mesh up`
// and, over the control socket, inside `mesh attach`.
package tui

import (
	"context"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
)

// Mesh is the running mesh, here or behind a control socket. Its methods may
// be called from any goroutine.
type Mesh interface {
	// State gives the present state; the value is shared and not to be changed.
	State() *state.Mesh
	// Do carries out a command and returns when it is done.
	Do(ctx context.Context, c state.Command) error
	// Lines gives up to limit lines of output numbered above after, of one app
	// (an app id or an instance name) or of all when app is "": the latest ones
	// when there are more than that.
	Lines(app string, after uint64, limit int) []state.Line
}

// Flows is what the screen reads of the invocations.
type Flows interface {
	// Views gives the live flows, latest first, then up to recent ended ones.
	Views(recent int) []flow.View
	// Detail gives one flow with the marks after the cursor; ok is false when
	// the flow is no longer remembered.
	Detail(id string, after flow.Cursor) (d flow.Detail, ok bool)
	// Body gives what was captured of one direction of a flow, of the bytes from
	// one offset to another; ok is false when the flow is no longer remembered.
	Body(id string, d flow.Dir, from, to uint64) (b flow.Body, ok bool)
	// Stats says how much is remembered, and what has been let go of.
	Stats() flow.Stats
}
