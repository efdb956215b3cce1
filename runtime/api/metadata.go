package api

import "slices"

// Metadata describes a sidecar to its app. Its JSON is that of Dapr's metadata
// API.
type Metadata struct {
	ID                string            `json:"id,omitempty"`
	RuntimeVersion    string            `json:"runtimeVersion,omitempty"`
	EnabledFeatures   []string          `json:"enabledFeatures,omitempty"`
	ActiveActors      []ActorCount      `json:"actors,omitempty"`
	Components        []Component       `json:"components,omitempty"`
	Extended          map[string]string `json:"extended,omitempty"`
	Subscriptions     []Subscription    `json:"subscriptions,omitempty"`
	HTTPEndpoints     []HTTPEndpoint    `json:"httpEndpoints,omitempty"`
	App               AppConnection     `json:"appConnectionProperties"`
	Actors            ActorRuntime      `json:"actorRuntime"`
	Scheduler         *Scheduler        `json:"scheduler,omitempty"`
	Workflows         *Workflows        `json:"workflows,omitempty"`
	MCPServers        []Named           `json:"mcpServers,omitempty"`
	WorkflowAccess    []Named           `json:"workflowAccessPolicies,omitempty"`
	ResiliencyObjects []Named           `json:"resiliencies,omitempty"`
}

// Inventory is the part of Metadata that changes while a sidecar runs.
type Inventory struct {
	EnabledFeatures []string
	Components      []Component
	Subscriptions   []Subscription
	HTTPEndpoints   []HTTPEndpoint
	Resiliencies    []Named
}

// Component is a loaded component.
type Component struct {
	Name         string   `json:"name"`
	Type         string   `json:"type"`
	Version      string   `json:"version"`
	Capabilities []string `json:"capabilities"`
}

// Subscription is a topic that the app receives.
type Subscription struct {
	PubsubName      string            `json:"pubsubname"`
	Topic           string            `json:"topic"`
	Metadata        map[string]string `json:"metadata,omitempty"`
	Rules           []Rule            `json:"rules,omitempty"`
	DeadLetterTopic string            `json:"deadLetterTopic"`
	Type            string            `json:"type"` // DECLARATIVE, PROGRAMMATIC or STREAMING
}

// Rule sends the events of a subscription that match to a path.
type Rule struct {
	Match string `json:"match,omitempty"`
	Path  string `json:"path,omitempty"`
}

// HTTPEndpoint is a configured service outside the mesh.
type HTTPEndpoint struct {
	Name string `json:"name"`
}

// Named is a loaded resource of which only the name is told.
type Named struct {
	Name string `json:"name"`
}

// AppConnection says how the sidecar reaches the app.
type AppConnection struct {
	Port           int        `json:"port,omitempty"`
	Protocol       string     `json:"protocol,omitempty"`
	ChannelAddress string     `json:"channelAddress,omitempty"`
	MaxConcurrency int        `json:"maxConcurrency,omitempty"`
	Health         *AppHealth `json:"health,omitempty"` // nil: the app's health is not checked
}

// AppHealth says how the app's health is checked. Durations are in Go's form.
type AppHealth struct {
	Path      string `json:"healthCheckPath,omitempty"`
	Interval  string `json:"healthProbeInterval,omitempty"`
	Timeout   string `json:"healthProbeTimeout,omitempty"`
	Threshold int    `json:"healthThreshold,omitempty"`
}

// ActorCount is how many actors of one type are active.
type ActorCount struct {
	Type  string `json:"type"`
	Count int    `json:"count"`
}

// ActorRuntime is the state of the actor building block.
type ActorRuntime struct {
	Status       string       `json:"runtimeStatus"` // INITIALIZING, DISABLED or RUNNING
	ActiveActors []ActorCount `json:"activeActors,omitempty"`
	HostReady    bool         `json:"hostReady"`
	Placement    string       `json:"placement,omitempty"`
}

// Scheduler says which schedulers the sidecar is connected to.
type Scheduler struct {
	ConnectedAddresses []string `json:"connected_addresses"`
}

// Workflows is the state of the workflow building block.
type Workflows struct {
	ConnectedWorkers int `json:"connectedWorkers"`
}

// Metadata describes the sidecar as it is now.
func (a *API) Metadata() Metadata {
	var inv Inventory
	if a.o.Inventory != nil {
		inv = a.o.Inventory()
	}
	return Metadata{
		ID:                a.o.AppID,
		RuntimeVersion:    a.o.Version,
		EnabledFeatures:   inv.EnabledFeatures,
		Components:        inv.Components,
		Extended:          a.extendedMetadata(),
		Subscriptions:     append(slices.Clip(inv.Subscriptions), a.streams()...),
		HTTPEndpoints:     inv.HTTPEndpoints,
		App:               a.appConnection(),
		Actors:            ActorRuntime{Status: "DISABLED"},
		ResiliencyObjects: inv.Resiliencies,
	}
}
