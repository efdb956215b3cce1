// Package config turns mesh.toml into values.
//
// Load reads the file, the env files it names and the environment, and gives
// either a complete Mesh or every mistake at once, each with file, line,
// column, the line itself and a suggestion. A Mesh is plain data: nothing in
// it is looked up later. Diff says what changed between two of them, and
// Schema describes the file to editors. One table of keys drives the decoder
// and the schema, so that neither knows a key that the other does not.
package config

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Mesh is what mesh.toml says, complete: defaults filled in, variables
// expanded, paths absolute.
type Mesh struct {
	Name      string
	Dir       string     // folder of the file, absolute
	File      string     // the file, absolute
	Transport string     // auto, grpc or unary
	Balance   string     // how calls to apps that run elsewhere are spread: round-robin or least-in-flight
	APIToken  string     // "", "auto" or the token itself
	Resources []string   // absolute folders with Dapr YAML; they need not exist
	EnvFiles  []string   // absolute; they need not exist
	Interface string     // for mDNS: loopback, all, or the name of an interface
	Resolvers []Resolver // by which apps of others are found, in order; none: as Configurations in Resources say
	Env       []string   // KEY=value from EnvFiles, for every app, sorted; without what the environment sets, which wins
	Apps      []App      // sorted by ID

	Components    []Component       // sorted by Name
	Subscriptions []Subscription    // in the order of the file
	Resiliency    map[string]Target // by app id or component name
	Faults        map[string]Fault  // by name
	Capture       int64             // bytes of each body that the screen can show; 0: none
	Places        map[string]Place  // where a key such as "apps.orders.port" or "subscriptions[0].topic" stands
	Warnings      Errors            // what is allowed but likely not meant
}

// Find gives the app of that id, nil when there is none.
func (m *Mesh) Find(id string) *App {
	for i := range m.Apps {
		if m.Apps[i].ID == id {
			return &m.Apps[i]
		}
	}
	return nil
}

// Environ gives what the file adds to the environment of an app as sorted
// KEY=value: the env files of the mesh, then those of the app, then its env
// table; the later wins.
func (m *Mesh) Environ(a *App) []string {
	vars := map[string]string{}
	for _, pairs := range [][]string{m.Env, a.FileEnv} {
		for _, pair := range pairs {
			key, value, _ := strings.Cut(pair, "=")
			vars[key] = value
		}
	}
	maps.Copy(vars, a.Env)
	return pairs(vars)
}

// pairs gives the variables as sorted KEY=value, nil when there are none.
func pairs(vars map[string]string) []string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(vars)) {
		list = append(list, key+"="+vars[key])
	}
	return list
}

// App is one service.
type App struct {
	ID           string
	Shell        string   // command given as a string: a line for the shell
	Argv         []string // command given as an array
	Dir          string   // absolute
	Port         int      // fixed port; 0: none, or automatic
	AutoPort     bool     // the port is picked and handed over in APP_PORT
	Protocol     string   // http, https, h2c, grpc or grpcs
	Instances    int
	Build        string   // a line for the shell, run before a restart for changed sources
	Watch        []string // globs below Dir
	Ignore       []string
	Env          map[string]string
	EnvFiles     []string     // absolute
	FileEnv      []string     // KEY=value from EnvFiles, sorted; without what the environment sets, which wins
	DependsOn    []Dependency // sorted by App
	Ready        *Probe       // nil: a TCP check when there is a port, else ready once started
	Live         *Probe       // nil: none; an app that fails it is started again
	Health       *Health      // nil: none; an app that fails it gets no calls and no messages
	Restart      string       // always, on-failure or never
	SuccessCodes []int        // exit codes that are no failure, sorted
	Hold         time.Duration
	StopSignal   string // SIGTERM …
	StopGrace    time.Duration
	PTY          bool // runs at a terminal of its own
	HTTPPort     int  // of the first instance's sidecar; 0: a stable port derived from project, app and instance
	GRPCPort     int

	MaxConcurrency int    // calls that an instance works on at once; 0: no limit
	MaxBody        int64  // bytes of a request body that its sidecar accepts; 0: no limit but that of building blocks
	HeaderLimit    int64  // bytes of the headers of a request that its sidecar accepts
	Balance        string // how calls to it are spread over its instances: round-robin or least-in-flight
	AppToken       string // "", "auto" or the token that the sidecar sends to the app, which finds it in APP_API_TOKEN
}

// External says whether the app is started by someone else.
func (a *App) External() bool { return a.Shell == "" && len(a.Argv) == 0 }

// HasPort says whether the app listens at all.
func (a *App) HasPort() bool { return a.AutoPort || a.Port != 0 }

// Resolver is one way to find the apps of others.
type Resolver struct {
	Kind     string         // mdns, consul, sqlite or nameformat
	Settings map[string]any // as Dapr's Configuration has them, ${NAME} not expanded: it differs from sidecar to sidecar
}

// Dependency makes an app wait for another one.
type Dependency struct {
	App       string
	Condition string // started, ready or completed
}

// Probe says how to tell that an app is ready, or alive. Exactly one of the
// kinds is set.
type Probe struct {
	HTTP      string // path on the app's port, or a whole URL
	TCP       bool   // the app's port accepts a connection
	GRPC      string // service name for the gRPC health check; "*" for the server as a whole
	Log       string // regular expression that a line of output matches
	Exec      string // a line for the shell that exits with 0
	Interval  time.Duration
	Timeout   time.Duration
	Threshold int // failures in a row after which the app is no longer alive; of Live only
}

// Health is the app health check of Dapr: an HTTP GET of Path, or the gRPC
// method HealthCheck when the app speaks gRPC.
type Health struct {
	Path      string
	Interval  time.Duration
	Timeout   time.Duration
	Threshold int // failures in a row after which the app is unhealthy
}

// Component is one [components.*] table, with the meaning of Dapr's Component.
type Component struct {
	Name         string
	Type         string // such as state.sqlite
	Version      string
	Metadata     map[string]string
	Secrets      map[string]Secret // metadata that comes from a secret store, by metadata name
	SecretStore  string            // the component that Secrets are read from
	Scopes       []string
	IgnoreErrors bool          // a component that does not start is left out
	InitTimeout  time.Duration // 0: as the runtime thinks fit
}

// Secret names one value in a secret store.
type Secret struct{ Name, Key string }

// Subscription is one [[subscriptions]] table.
type Subscription struct {
	PubSub, Topic, Route, DeadLetter string
	Rules                            []Rule // tried in order before Route
	Metadata                         map[string]string
	Scopes                           []string
}

// Rule routes the messages that a CEL expression matches.
type Rule struct{ Match, Path string }

// Target is what [resiliency.targets.*] says of one app or component.
type Target struct {
	FirstByte, Idle, Total time.Duration // 0: no limit
	Retry                  *Retry
	Breaker                *Breaker
}

// Retry says how often and how fast a call is tried again.
type Retry struct {
	Policy             string        // constant or exponential
	Max                int           // tries after the first; -1: without end
	Duration, Interval time.Duration // between tries, or before the first of the exponential policy; its longest pause
}

// Breaker opens a circuit after failures in a row.
type Breaker struct {
	Failures int
	Timeout  time.Duration // how long it stays open
}

// Fault disturbs calls on purpose.
type Fault struct {
	Target    string // app id
	Delay     time.Duration
	Rate      float64 // share of the calls, 0 to 1
	Abort     int     // HTTP status to answer with; 0: none
	Bandwidth int64   // bytes per second; 0: no limit
	CutAfter  int64   // bytes of the reply after which it breaks off; 0: never
	Off       bool    // declared, but switched off until switched on
}

// Place is where something stands in a file; lines and columns count from 1,
// columns in characters.
type Place struct {
	File         string
	Line, Column int
}
