package state

// Plan is what another configuration would change of the running mesh.
type Plan struct {
	Items []PlanItem `json:"items"` // apps first, those that nothing happens to included
}

// Empty says whether the mesh would stay as it is.
func (p *Plan) Empty() bool {
	for _, i := range p.Items {
		if i.Action != Nothing {
			return false
		}
	}
	return true
}

// PlanItem is what would happen to one thing of the mesh.
type PlanItem struct {
	Kind    string   `json:"kind"`           // app, component, subscriptions, resiliency, fault or mesh
	Name    string   `json:"name,omitempty"` // "" for subscriptions; a key for mesh
	Action  Action   `json:"action"`
	Why     []string `json:"why,omitempty"` // the keys that differ, such as "hold 15s → 30s"
	Streams int      `json:"streams"`       // calls under way that would have to end first
}

// Action is what happens to an item of a plan.
type Action string

// The actions. Swap counts at once while calls go on; New and Gone are things
// that come and go without a process; Rebuild is a Restart with a new sidecar.
const (
	Nothing     Action = "nothing"
	Swap        Action = "hot-swap"
	New         Action = "add"
	Gone        Action = "remove"
	ScaleTo     Action = "scale"
	RestartApp  Action = "restart"
	RebuildApp  Action = "restart with a new sidecar"
	StartApp    Action = "start"
	StopForGood Action = "stop"
)
