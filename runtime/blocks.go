package runtime

import (
	"slices"

	"mesh/runtime/api"
	"mesh/runtime/component"
	"mesh/runtime/deliver"
	"mesh/runtime/resource"
)

// Declared is what is declared for sidecars besides components. Each takes what
// is meant for its app.
type Declared struct {
	Subscriptions []resource.Subscription
	SecretScopes  []resource.SecretScope
	Resiliencies  []string // names of the resources
	Endpoints     []resource.HTTPEndpoint
	HTTPPipeline  []resource.Handler // middleware around the sidecar's HTTP API
	AppPipeline   []resource.Handler // middleware around calls to apps that speak HTTP
	Sampling      *float64           // part of the traces that begin here which is recorded; nil: all
}

// Declare replaces what is declared; nobody changes d afterwards.
func (s *Sidecar) Declare(d Declared) {
	s.declared.Store(&d)
	s.endpoints.declare(d.Endpoints)
	rate := 1.0
	if d.Sampling != nil {
		rate = *d.Sampling
	}
	s.sampler.SetRate(rate)
	if s.deliver != nil {
		s.deliver.Declare(d.Subscriptions)
	}
}

// CheckSubscriptions finds routing rules that cannot be read.
func CheckSubscriptions(all []resource.Subscription) resource.Errors { return deliver.Check(all) }

// newDeliverer gives what brings messages to the app; nil when it has no server
// to bring them to, or there are no components.
func (s *Sidecar) newDeliverer() *deliver.Deliverer {
	if s.o.Components == nil || s.o.App.Addr == "" {
		return nil
	}
	o := deliver.Options{
		AppID: s.o.AppID, Components: s.components(), App: s.appCalls, Gate: s.app, Flows: s.o.Flows, Log: s.o.Log,
		Policies: s.o.Policies, NoAsk: s.o.NoSubscribe,
	}
	if s.meter != nil {
		o.Delivered = s.meter.delivered
	}
	if p := s.o.App.Protocol; p == "grpc" || p == "grpcs" {
		o.RPC = s.app
	}
	return deliver.New(o)
}

// components gives what the app sees of the components of the mesh.
func (s *Sidecar) components() *component.App {
	if s.o.Components == nil {
		return nil
	}
	return s.o.Components.App(s.o.AppID)
}

// inventory tells what is loaded at the moment.
func (s *Sidecar) inventory() api.Inventory {
	var inv api.Inventory
	if c := s.components(); c != nil {
		for _, st := range c.Status() {
			inv.Components = append(inv.Components, api.Component{
				Name: st.Name, Type: st.Type, Version: st.Version, Capabilities: slices.Clip(st.Capabilities),
			})
		}
	}
	if s.deliver != nil {
		for _, sub := range s.deliver.Subscriptions() {
			inv.Subscriptions = append(inv.Subscriptions, shownSubscription(&sub))
		}
	}
	for i := range s.declared.Load().Endpoints {
		if e := &s.declared.Load().Endpoints[i]; e.Visible(s.o.AppID) {
			inv.HTTPEndpoints = append(inv.HTTPEndpoints, api.HTTPEndpoint{Name: e.Name})
		}
	}
	for _, name := range s.declared.Load().Resiliencies {
		inv.Resiliencies = append(inv.Resiliencies, api.Named{Name: name})
	}
	return inv
}

// shownSubscription is a subscription as the metadata API tells it.
func shownSubscription(sub *deliver.Subscription) api.Subscription {
	shown := api.Subscription{
		PubsubName: sub.PubSub, Topic: sub.Topic, Metadata: sub.Metadata, DeadLetterTopic: sub.DeadLetter, Type: "DECLARATIVE",
	}
	if sub.Programmatic {
		shown.Type = "PROGRAMMATIC"
	}
	for _, r := range sub.Rules {
		shown.Rules = append(shown.Rules, api.Rule(r))
	}
	if sub.Default != "" {
		shown.Rules = append(shown.Rules, api.Rule{Path: sub.Default})
	}
	return shown
}
