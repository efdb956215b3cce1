// Package resource reads the YAML that Dapr calls resources: components,
// subscriptions, resiliency, configurations and HTTP endpoints.
//
// Load turns folders of such files into plain values, each with the place
// where it stands, and gives every mistake at once. It knows the format and
// nothing of what the values mean: which types of components exist, or what a
// policy does, is for those who use them.
package resource

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Place is where something stands in a file; lines and columns count from 1.
type Place struct {
	File         string
	Line, Column int
}

// String gives "file:line:column", or the file alone when no line is known.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// From gives the same place with the shortest name that its file has from a
// folder: that of a file in it, or below it, begins there.
func (p Place) From(dir string) Place {
	if rel, err := filepath.Rel(dir, p.File); err == nil && filepath.IsLocal(rel) {
		p.File = rel
	}
	return p
}

// Resources is all that was found, in the order of folders, files and
// documents.
type Resources struct {
	Components     []Component
	Subscriptions  []Subscription
	Resiliency     []Resiliency
	Configurations []Configuration
	Endpoints      []HTTPEndpoint
}

// Component declares one state store, broker, binding, secret store,
// configuration store or lock.
type Component struct {
	Name         string
	Type         string // such as state.redis
	Version      string // v1 when the file says nothing
	Metadata     []Property
	Scopes       []string // app ids that may use it; empty: all
	SecretStore  string   // where secretKeyRef looks
	IgnoreErrors bool
	InitTimeout  time.Duration // 0: the default of whoever starts it
	Place        Place
}

// Visible says whether an app may use the component.
func (c *Component) Visible(app string) bool { return visible(c.Scopes, app) }

// Property is one entry of a metadata list. It has a value, or says where the
// value is to be found.
type Property struct {
	Name   string
	Value  string
	Secret SecretRef // Name is empty when the value is no secret
	Env    string    // name of an environment variable; empty: none
	Place  Place
}

// SecretRef names a value in a secret store.
type SecretRef struct {
	Name string
	Key  string
}

// Subscription binds a topic to routes of the apps in its scopes.
type Subscription struct {
	Name       string
	PubSub     string
	Topic      string
	Rules      []Rule // tried in order
	Default    string // path when no rule matches; may be empty
	DeadLetter string // topic for messages that are given up
	Metadata   map[string]string
	Bulk       *Bulk
	Scopes     []string
	Place      Place
}

// Visible says whether the subscription is one of an app.
func (s *Subscription) Visible(app string) bool { return visible(s.Scopes, app) }

// Rule sends the messages that match to a path. Match is a CEL expression.
type Rule struct{ Match, Path string }

// Bulk makes a subscription deliver several messages at once.
type Bulk struct {
	MaxMessages int           // 0: the default of whoever delivers
	MaxAwait    time.Duration // 0: the default of whoever delivers
}

// HTTPEndpoint is a server outside the mesh that can be invoked by name.
type HTTPEndpoint struct {
	Name        string
	BaseURL     string
	Headers     []Property
	SecretStore string
	TLS         TLS
	Scopes      []string
	Place       Place
}

// Visible says whether an app may call the endpoint.
func (e *HTTPEndpoint) Visible(app string) bool { return visible(e.Scopes, app) }

// TLS is what a client presents and trusts; properties without a name are not
// set.
type TLS struct {
	RootCA, Certificate, PrivateKey Property
	Renegotiation                   string
}

// Resiliency names policies and what they are applied to.
type Resiliency struct {
	Name       string
	Timeouts   map[string]time.Duration
	Retries    map[string]Retry
	Breakers   map[string]Breaker
	Apps       map[string]Target
	Components map[string]Directions
	Scopes     []string
	Place      Place
}

// Retry says how often and how fast something is tried again.
type Retry struct {
	Policy      string        // constant or exponential
	Duration    time.Duration // between tries of the constant policy
	MaxInterval time.Duration // longest pause of the exponential policy
	MaxRetries  int           // after the first try; -1: without end
	HTTPCodes   string        // such as "429,500-599"; empty: every failure
	GRPCCodes   string
	Place       Place
}

// Breaker stops calls after failures.
type Breaker struct {
	MaxRequests int           // let through while half open
	Interval    time.Duration // after which counters start anew; 0: never
	Timeout     time.Duration // until half open
	Trip        string        // CEL expression over the counters
	Place       Place
}

// Target names the policies of one app or one direction of a component; empty
// names are not set.
type Target struct {
	Timeout, Retry, Breaker string
	Place                   Place
}

// Directions are the policies of a component for what the app sends and for
// what the component delivers.
type Directions struct{ Outbound, Inbound Target }

// Configuration is what this project uses of a Dapr Configuration.
type Configuration struct {
	Name           string
	NameResolution *NameResolution
	HTTPPipeline   []Handler // around the sidecar's API
	AppPipeline    []Handler // around calls to the app
	SecretScopes   []SecretScope
	Features       map[string]bool
	Denied         []string // types of components that may not be used
	Sampling       *float64 // part of the traces that begin here which is recorded, from 0 to 1; nil: not said
	Place          Place
}

// NameResolution chooses how peers are found. Options is the configuration as
// the file has it: strings, numbers, booleans, lists and maps.
type NameResolution struct {
	Component, Version string
	Options            any
	Place              Place
}

// Handler is one middleware of a pipeline.
type Handler struct {
	Name, Type string
	Place      Place
}

// SecretScope says which secrets of a store apps may read.
type SecretScope struct {
	Store         string
	DefaultAccess string // allow or deny
	Allowed       []string
	Denied        []string
}

func visible(scopes []string, app string) bool {
	return len(scopes) == 0 || slices.Contains(scopes, app)
}

// Error is one mistake in a file.
type Error struct {
	Place Place
	Msg   string // what is wrong
	Hint  string // what to do; may be empty
	Line  string // the line of the file; may be empty
}

// Error gives "file:line:column: what", the line, a caret under the column and
// the hint, each on a line of its own.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Place.String() + ": " + e.Msg)
	if e.Line != "" && e.Place.Column > 0 {
		line := strings.ReplaceAll(e.Line, "\t", " ")
		fmt.Fprintf(&b, "\n  %s\n  %s^", line, strings.Repeat(" ", min(e.Place.Column-1, len(line))))
	}
	if e.Hint != "" {
		b.WriteString("\n  " + e.Hint)
	}
	return b.String()
}

// Errors is every mistake that was found.
type Errors []*Error

// Error gives the mistakes one after the other, with a blank line between.
func (es Errors) Error() string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "\n\n")
}

// From gives the same mistakes with places as Place.From has them, in hints, too.
func (es Errors) From(dir string) Errors {
	short := make(Errors, len(es))
	for i, e := range es {
		here := *e
		here.Place = e.Place.From(dir)
		here.Hint = strings.ReplaceAll(e.Hint, filepath.Clean(dir)+string(filepath.Separator), "")
		short[i] = &here
	}
	return short
}

// Unwrap lets errors.As find a single *Error.
func (es Errors) Unwrap() []error {
	all := make([]error, len(es))
	for i, e := range es {
		all[i] = e
	}
	return all
}
