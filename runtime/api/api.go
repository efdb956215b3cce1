// Package api is what a sidecar offers its app, once, as Go methods: health,
// metadata and service invocation, and the building blocks beside them, one
// small file each. It speaks neither HTTP nor gRPC; packages httpapi and
// grpcapi say the same in those two dialects. Its errors carry what both need.
package api

import (
	"context"
	"maps"
	"sync"

	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/policy"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// Options are what an API is made of. AppID and Invoke are needed.
type Options struct {
	AppID     string
	Namespace string         // "": "default"
	Version   string         // reported as the runtime's version
	App       AppConnection  // how the app is reached
	Invoke    stream.Handler // finds the app that a call names and sends the call to it

	Components   *component.App                // what the app sees of the mesh's components; nil: there are none
	SecretScopes func() []resource.SecretScope // which secrets apps may read; nil: all
	Flows        *flow.Recorder                // records what building blocks do; nil: nothing does
	Policies     *policy.Book                  // of components; nil: there are none
	Used         func(Use)                     // told of every call of a component; nil: nobody is

	// MaxBody is the most, in bytes, of a payload that is held whole; 0, or
	// nil: as package component and the dialects have it.
	MaxBody func() int64

	Watcher Watcher // tells the app of changed configuration; nil: it has no server to be told at

	Ready         func() error     // whether sidecar and app are ready; nil: always
	OutboundReady func() error     // whether the app may use the sidecar; nil: always
	Inventory     func() Inventory // what is loaded at the moment; nil: nothing
	Shutdown      func(force bool) // asks the sidecar to stop, with force at once, without waiting; nil: not possible
}

// API is the building blocks of one sidecar. Its methods may be called from
// several goroutines.
type API struct {
	o Options

	mu        sync.Mutex // held while what follows is copied or changed
	health    *AppHealth
	extended  map[string]string
	streaming []*Topic // streaming subscriptions that are under way
}

// New gives the API of one sidecar.
func New(o Options) *API {
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	return &API{o: o, health: o.App.Health, extended: map[string]string{"daprRuntimeVersion": o.Version}}
}

// AppID gives the id of the sidecar's own app.
func (a *API) AppID() string { return a.o.AppID }

// Invoke sends the call to the app that it names. An error is an *Error.
func (a *API) Invoke(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	if a.o.Invoke == nil {
		return nil, Errorf(ErrDirectInvoke, "invoke API is not ready")
	}
	r, err := a.o.Invoke.Handle(ctx, c)
	if err != nil {
		return nil, Wrap(ErrDirectInvoke, err, "failed to invoke, id: %s, err: %v", c.AppID, err)
	}
	return r, nil
}

// Shutdown asks the sidecar to stop and returns at once. With force, calls in
// flight are not waited for.
func (a *API) Shutdown(force bool) error {
	if a.o.Shutdown == nil {
		return Errorf(ErrUnavailable, "this sidecar cannot be stopped by its app: it ends with the mesh")
	}
	a.o.Shutdown(force)
	return nil
}

// Health says whether the sidecar and its app are ready. appID is the id that
// the caller believes to be talking to, "" when it does not say.
func (a *API) Health(appID string) error {
	if appID != "" && appID != a.o.AppID {
		return Errorf(ErrHealthAppIDNotMatch, "dapr app-id does not match: this is the sidecar of %s", a.o.AppID)
	}
	if a.o.Ready != nil {
		if err := a.o.Ready(); err != nil {
			return Wrap(ErrHealthNotReady, err, "dapr is not ready: %v", err)
		}
	}
	return nil
}

// OutboundHealth says whether the app may use the sidecar. It holds before the
// app is up: apps wait for it before they listen.
func (a *API) OutboundHealth() error {
	if a.o.OutboundReady != nil {
		if err := a.o.OutboundReady(); err != nil {
			return Wrap(ErrOutboundHealthNotReady, err, "dapr outbound is not ready: %v", err)
		}
	}
	return nil
}

// SetMetadata adds to what Metadata reports as extended, or changes it.
func (a *API) SetMetadata(key, value string) error {
	if key == "" {
		return Errorf(ErrMalformedRequest, "a metadata attribute needs a name")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.extended[key]; !ok && len(a.extended) >= maxExtended {
		return Errorf(ErrMalformedRequest, "there are %d extended metadata attributes already (the limit)", maxExtended)
	}
	a.extended[key] = value
	return nil
}

// SetAppHealth changes what Metadata says of how the app's health is checked;
// nil: it is not.
func (a *API) SetAppHealth(h *AppHealth) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.health = h
}

// appConnection says how the app is reached now.
func (a *API) appConnection() AppConnection {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.o.App
	c.Health = a.health
	return c
}

// maxExtended bounds what an app can make its sidecar keep.
const maxExtended = 1024

func (a *API) extendedMetadata() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.extended)
}
