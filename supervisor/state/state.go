// Package state is the running mesh as an immutable value.
//
// The supervisor builds a new Mesh whenever something changes and publishes
// it; the screen, the control socket, headless output and tests only read.
// Nobody edits a published Mesh. Package state also names the commands that
// change a mesh.
package state

import "time"

// Mesh is the whole mesh at one moment.
type Mesh struct {
	Version    uint64      `json:"version"` // grows with every change
	Name       string      `json:"name"`
	Dir        string      `json:"dir"`  // the project folder, absolute
	File       string      `json:"file"` // mesh.toml, absolute
	PID        int         `json:"pid"`  // of mesh itself
	Started    time.Time   `json:"started"`
	Transport  string      `json:"transport"`            // auto, grpc or unary
	Apps       []App       `json:"apps"`                 // sorted by id
	Notices    []Notice    `json:"notices"`              // what the user should know now, oldest first
	Components []Component `json:"components,omitempty"` // state stores, brokers … sorted by name
	Faults     []Fault     `json:"faults,omitempty"`     // disturbances that there are, on or off, sorted by name
	Capture    int         `json:"capture,omitempty"`    // bytes that are kept of each body of new invocations; 0: none
	Stopping   bool        `json:"stopping,omitempty"`
	Edit       *Edit       `json:"edit,omitempty"`   // what became of the last edit; nil: there was none
	Review     bool        `json:"review,omitempty"` // edits wait until they are applied by a command
}

// App is one service of the mesh.
type App struct {
	ID        string       `json:"id"`
	External  bool         `json:"external,omitempty"` // started by someone else
	Protocol  string       `json:"protocol"`
	DependsOn []Dependency `json:"depends_on,omitempty"`
	Instances []Instance   `json:"instances"`
}

// Dependency is what an app waits for before it starts.
type Dependency struct {
	App       string `json:"app"`
	Condition string `json:"condition"` // started, ready or completed
}

// Startup is how an instance came up with the mesh. Restarts do not change it.
type Startup struct {
	Asked   time.Time `json:"asked,omitzero"`   // when its first process was asked for; until Started it waited for others
	Started time.Time `json:"started,omitzero"` // when its first process was started; zero: it is external
	Ready   time.Time `json:"ready,omitzero"`   // when it was ready, or done, for the first time
}

// Instance is one process of an app together with its sidecar.
type Instance struct {
	Name       string    `json:"name"` // "orders" is the first one, then "orders-2", "orders-3" …
	Phase      Phase     `json:"phase"`
	Reason     string    `json:"reason,omitempty"`  // why it is in this phase, in words
	Since      time.Time `json:"since"`             // when it entered the phase
	Asked      time.Time `json:"asked,omitzero"`    // when the present process was asked for; until Started it waited for others
	Started    time.Time `json:"started,omitzero"`  // when the present process was started
	ReadyAt    time.Time `json:"ready_at,omitzero"` // when the present process became ready
	Startup    Startup   `json:"startup,omitzero"`  // how it came up with the mesh; zero when an edit or a command has added it later
	Blocked    bool      `json:"blocked,omitempty"` // pending for something that will not happen by itself
	Generation uint64    `json:"generation"`        // grows with every start that was asked for: by a command, an edit or a changed source
	Next       time.Time `json:"next,omitzero"`     // when a backing off instance is tried again
	PID        int       `json:"pid,omitempty"`
	Starts     int       `json:"starts"`             // how often a process was started
	Restarts   int       `json:"restarts"`           // how often one was started again after it had ended on its own
	AppPort    int       `json:"app_port,omitempty"` // where the app listens
	HTTPPort   int       `json:"http_port"`          // the sidecar's HTTP API
	GRPCPort   int       `json:"grpc_port"`          // the sidecar's gRPC API
	PeerPort   int       `json:"internal_port"`      // where other sidecars call
	CPU        float64   `json:"cpu"`                // share of one core, 0.5 is half a core
	Memory     uint64    `json:"memory"`             // resident bytes
	Calls      int       `json:"calls"`              // calls in flight to the app
	Waiting    int       `json:"waiting"`            // calls held until the app is ready
}

// Component is a state store, a broker or another building block's component.
type Component struct {
	Name    string    `json:"name"`
	Type    string    `json:"type"`              // such as state.redis
	Version string    `json:"version,omitempty"` // of the type, such as v1
	Scopes  []string  `json:"scopes,omitempty"`  // the apps that see it; none: all do
	App     string    `json:"app,omitempty"`     // the app it was started for; "": all that see it
	State   string    `json:"state"`             // loading, ready, degraded or outdated
	Reason  string    `json:"reason,omitempty"`  // why it is not ready
	Since   time.Time `json:"since"`
	Next    time.Time `json:"next,omitzero"`   // when a degraded one is tried again
	Place   string    `json:"place,omitempty"` // where it is declared; "": it stands in because nothing is
}

// Phase is where an instance stands in its life.
type Phase string

// The phases. Pending waits for a dependency; Backoff waits to be started
// again after a failure; Failed has given up; Done has exited with success and
// is not to be started again.
const (
	Pending  Phase = "pending"
	Starting Phase = "starting"
	Ready    Phase = "ready"
	Stopping Phase = "stopping"
	Stopped  Phase = "stopped"
	Backoff  Phase = "backoff"
	Done     Phase = "done"
	Failed   Phase = "failed"
)

// Live says whether the phase has a running process.
func (p Phase) Live() bool { return p == Starting || p == Ready || p == Stopping }

// Notice is something that the user should know.
type Notice struct {
	At    time.Time `json:"at"`
	Level string    `json:"level"` // error, warning or info
	App   string    `json:"app,omitempty"`
	Code  string    `json:"code"`           // stable name of the kind of notice: "config", "crash", "reload", …
	Text  string    `json:"text"`           // what and why; may have several lines
	Hint  string    `json:"hint,omitempty"` // what to do
}

// Line is one line that an app has printed.
type Line struct {
	Seq      uint64    `json:"seq"` // grows by one with every line of the mesh
	At       time.Time `json:"at"`
	App      string    `json:"app"`
	Instance string    `json:"instance"`
	Stream   string    `json:"stream"`            // stdout, stderr, mesh for our own words, or mark for the user's
	Text     string    `json:"text"`              // without the newline; may hold escape sequences and any bytes
	Partial  bool      `json:"partial,omitempty"` // the line goes on in the next one of this instance and stream
}

// Op is what a Command does.
type Op string

// The operations.
const (
	Restart Op = "restart"
	Stop    Op = "stop"
	Start   Op = "start"
	Scale   Op = "scale"
	Down    Op = "down"
	Review  Op = "review" // from now on edits of mesh.toml wait for Apply
	Apply   Op = "apply"  // what waits counts now, and edits count at once again

	SetFault   Op = "fault"   // switch one, or make one
	SetCapture Op = "capture" // keep bytes of bodies, or no longer
)

// Command asks the mesh to change something.
type Command struct {
	Op    Op     `json:"op"`
	App   string `json:"app,omitempty"`   // app id or instance name; every app when empty
	Count int    `json:"count,omitempty"` // for Scale
	Name  string `json:"name,omitempty"`  // for SetFault: the fault, or the app whose fault it is
	Fault *Fault `json:"fault,omitempty"` // for SetFault: the one to make; nil: one that there is
	Flow  string `json:"flow,omitempty"`  // for SetCapture: a live invocation; "": all that begin from now on
	Bytes int    `json:"bytes,omitempty"` // for SetCapture: how much of each body; 0: the default
	On    bool   `json:"on,omitempty"`    // for SetFault and SetCapture
}

// DefaultCapture is how many bytes of a body are captured when nobody says.
const DefaultCapture = 64 << 10

// Find gives the app of that id, nil when there is none.
func (m *Mesh) Find(id string) *App {
	for i := range m.Apps {
		if m.Apps[i].ID == id {
			return &m.Apps[i]
		}
	}
	return nil
}
