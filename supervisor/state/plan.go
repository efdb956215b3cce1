package state

import "time"

// Plan is what another configuration would change of the running mesh.
type Plan struct {
	Items []PlanItem `json:"items"` // apps first, those that nothing happens to included
}

// Candidate is a configuration that may become that of the mesh.
type Candidate struct {
	Text      []byte   // of a mesh.toml in the project folder; nil: the file as it is
	Resources []string // folders with Dapr YAML, absolute, instead of those that it names
}

// Empty says whether the mesh would stay as it is.
func (p *Plan) Empty() bool {
	for _, i := range p.Items {
		if i.Action != PlanNothing {
			return false
		}
	}
	return true
}

// Edit is an edit of mesh.toml, or of what it names, and what became of it.
type Edit struct {
	At    time.Time     `json:"at"` // when it was noticed
	State EditState     `json:"state"`
	Took  time.Duration `json:"took,omitempty"` // until it counted, in nanoseconds
	Plan  *Plan         `json:"plan,omitempty"` // what it changes; nil: the file cannot be read
	Error string        `json:"error,omitempty"`
}

// EditState is how far an edit has come.
type EditState string

// The states of an edit. Of a broken one nothing counts; of one that failed,
// Error says what did not work.
const (
	EditPending  EditState = "pending" // waits for Apply
	EditApplying EditState = "applying"
	EditApplied  EditState = "applied"
	EditBroken   EditState = "broken"
	EditFailed   EditState = "failed"
)

// PlanItem is what would happen to one thing of the mesh.
type PlanItem struct {
	Kind    string   `json:"kind"`           // app, component, subscriptions, resiliency, fault, configuration or mesh
	Name    string   `json:"name,omitempty"` // "" for subscriptions and configuration; a key for mesh
	Action  Action   `json:"action"`
	Why     []string `json:"why,omitempty"` // the keys that differ, such as "hold 15s → 30s"
	Streams int      `json:"streams"`       // calls under way that would have to end first
}

// Action is what happens to an item of a plan.
type Action string

// The actions. PlanSwap counts at once while calls go on; PlanAdd and PlanRemove
// are of things without a process; PlanRebuild is a restart with a new sidecar.
const (
	PlanNothing Action = "nothing"
	PlanSwap    Action = "hot-swap"
	PlanAdd     Action = "add"
	PlanRemove  Action = "remove"
	PlanScale   Action = "scale"
	PlanRestart Action = "restart"
	PlanRebuild Action = "restart with a new sidecar"
	PlanStart   Action = "start"
	PlanStop    Action = "stop"
)
