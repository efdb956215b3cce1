// Package pane holds the parts of the screen: apps, streams, chunk lanes, logs,
// topology, components and the plan of an edit.
//
// A pane is a plain struct. The screen hands it a World, the snapshot that all
// panes look at, and an area to draw on; the pane hands back its key bindings,
// from which the help, the palette and the line of hints are made as well. A
// pane starts nothing and waits for nothing: what is to be done outside it is
// the Action that a binding returns. Panes belong to the goroutine of the
// screen.
package pane

import (
	"slices"
	"time"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
)

// World is what every pane looks at. Panes read it and do not change it.
type World struct {
	Now    time.Time   // when the snapshot that is shown was taken
	Mesh   *state.Mesh // never nil
	Flows  []flow.View // the live ones first, the latest first
	Stats  flow.Stats  // how much is remembered of them
	Theme  *Theme
	Frozen bool // the view stands still while recording goes on
}

// View names one of the screen's views.
type View int

// The views, in the order of their keys 1 to 7.
const (
	ViewApps View = iota
	ViewStreams
	ViewLanes
	ViewLogs
	ViewTopology
	ViewComponents
	ViewPlan
	Views // how many there are
)

// String gives the title of the view.
func (v View) String() string {
	if v < 0 || v >= Views {
		return "?"
	}
	return [...]string{"Apps", "Streams", "Lanes", "Logs", "Topology", "Components", "Plan"}[v]
}

// Short gives a title for narrow terminals.
func (v View) Short() string {
	switch v {
	case ViewTopology:
		return "Topo"
	case ViewComponents:
		return "Comps"
	case ViewApps, ViewStreams, ViewLanes, ViewLogs, ViewPlan, Views:
	}
	return v.String()
}

// Action is what a key asks the screen to do; nil asks for nothing.
type Action interface{ action() }

// Do asks the mesh to carry out a command, after a question when Ask is set.
type Do struct {
	Command state.Command
	Ask     string
}

// Show switches to a view; Back goes to the one before instead.
type Show struct {
	View   View
	Back   bool
	App    string    // whose lines the logs show
	At     time.Time // the moment that the logs show; zero: the end
	Flow   string    // whose chunks the lanes show
	Filter string    // of the streams
}

// Open opens a file of the mesh in the user's editor. Place is "file:line:column",
// "" for mesh.toml at its first mistake.
type Open struct{ Place string }

// Find asks where an app is found.
type Find struct{ App string }

// Attach goes to the terminal of an app, or of an instance, until the user comes
// back.
type Attach struct{ App string }

// Prompt opens the line for input.
type Prompt struct {
	Kind PromptKind
	Text string // what stands in it at first
}

// Say shows a short message, Bad when something did not work.
type Say struct {
	Text string
	Bad  bool
}

// Copy puts a flow, or bytes of it, into the clipboard of the terminal and into a
// file, or with File only into a file.
type Copy struct {
	Flow string
	As   Format
	Span Span // for FormatBytes
	File bool
}

// Format is a form in which a flow leaves the screen.
type Format string

// The formats.
const (
	FormatBytes  Format = "bytes"
	FormatCurl   Format = "curl"
	FormatNDJSON Format = "ndjson"
	FormatHAR    Format = "har"
)

// Again makes the call of a flow once more, after the user has edited it when
// Edit is set.
type Again struct {
	Flow string
	Edit bool
}

// PromptKind is what the line for input is for.
type PromptKind int

// The kinds of input.
const (
	PromptFilter  PromptKind = iota // of the list that is shown
	PromptSearch                    // in the logs
	PromptPalette                   // for a command
)

// Ask is something that only the screen as a whole can do.
type Ask int

// What the screen can do.
const (
	AskQuit    Ask = iota
	AskRaw         // show the logs as they come, without the screen
	AskUndo        // put mesh.toml back to what ran before
	AskFreeze      // or thaw
	AskBack        // to the view before
	AskHelp        // show the keys
	AskNotices     // show everything that the mesh has to say
)

func (Ask) action()    {}
func (Do) action()     {}
func (Open) action()   {}
func (Show) action()   {}
func (Find) action()   {}
func (Attach) action() {}
func (Prompt) action() {}
func (Say) action()    {}
func (Copy) action()   {}
func (Again) action()  {}

// Binding ties keys to something that can be done.
type Binding struct {
	Keys []string // as Bubble Tea names them, the one to show first; none: only in the palette
	Name string   // in the palette, in lower case
	Arg  string   // what the palette takes after the name, such as "[APP]"; "": nothing
	Help string   // what it does, in a few words
	Hint string   // a word for the line of hints; "": not in it
	Do   func(arg string) Action
}

// Press carries out the first binding for a key; ok is false when there is none.
func Press(bindings []Binding, key string) (a Action, ok bool) {
	for i := range bindings {
		if slices.Contains(bindings[i].Keys, key) {
			return bindings[i].Do(""), true
		}
	}
	return nil, false
}

// move is a Binding that only changes the pane itself.
func move(keys []string, name, help string, f func()) Binding {
	return Binding{Keys: keys, Name: name, Help: help, Do: func(string) Action { f(); return nil }}
}

// scroll gives the first of n rows to show in h lines so that row sel is seen,
// staying as near to top as it can.
func scroll(top, sel, n, h int) int {
	return max(0, min(top, sel, n-h), min(sel-h+1, n-1))
}
