package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mesh/runtime"
	"mesh/runtime/component"
	"mesh/runtime/resiliency"
	"mesh/runtime/resource"
	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

// stock is the components of the mesh while they run.
type stock struct {
	live    *component.Live
	changed chan struct{} // holds a token when the condition of one has changed
	loaded  chan struct{} // closed when all have been tried once

	// Owned by the loop; New fills them before it runs.
	have  *supplies
	since map[string]since // by component
}

// since is when a component came to be as it is.
type since struct {
	state string
	at    time.Time
}

// supplies is what mesh.toml and the YAML in its resources folders declare
// together.
type supplies struct {
	want       component.Desired
	sidecars   runtime.Declared
	resiliency []resource.Resiliency
	names      []resource.NameResolution // in order
}

// Resources reads what a mesh declares for Dapr's building blocks and says what
// can never work: the error has every mistake, each with its place. It gives the
// number of components, those that stand in for missing ones not counted.
func Resources(m *config.Mesh) (components int, err error) {
	s, err := supply(m)
	if err != nil {
		return 0, err
	}
	for i := range s.want.Components {
		if s.want.Components[i].Place != (resource.Place{}) {
			components++
		}
	}
	return components, nil
}

// supply puts the declarations of mesh.toml and of the resources folders
// together, with what stands in for those that are missing.
func supply(m *config.Mesh) (*supplies, error) {
	found, err := resource.Load(m.Resources...)
	var errs resource.Errors
	if many, ok := errors.AsType[resource.Errors](err); ok {
		errs = many
	} else if err != nil {
		return nil, err
	}
	for i := range m.Components {
		c := declaredComponent(m, &m.Components[i])
		for j := range found.Components {
			if other := &found.Components[j]; other.Name == c.Name {
				errs = append(errs, &resource.Error{
					Place: other.Place, Msg: fmt.Sprintf("there is a second component named %q", c.Name),
					Hint: fmt.Sprintf("the first is at %s: rename or remove one", c.Place),
				})
			}
		}
		found.Components = append(found.Components, c)
	}
	s := &supplies{resiliency: found.Resiliency}
	for i := range found.Configurations {
		c := &found.Configurations[i]
		s.want.Denied = append(s.want.Denied, c.Denied...)
		s.sidecars.SecretScopes = append(s.sidecars.SecretScopes, c.SecretScopes...)
		s.sidecars.HTTPPipeline = append(s.sidecars.HTTPPipeline, c.HTTPPipeline...)
		s.sidecars.AppPipeline = append(s.sidecars.AppPipeline, c.AppPipeline...)
		if c.Sampling != nil {
			s.sidecars.Sampling = c.Sampling
		}
	}
	s.names = namesOf(m, found.Configurations)
	errs = append(errs, checkNames(s.names)...)
	s.want.Components = component.WithDefaults(found.Components)
	for i := range m.Apps {
		s.want.Apps = append(s.want.Apps, m.Apps[i].ID)
	}
	for i := range m.Subscriptions {
		s.sidecars.Subscriptions = append(s.sidecars.Subscriptions, declaredSubscription(m, i))
	}
	s.sidecars.Subscriptions = append(s.sidecars.Subscriptions, found.Subscriptions...)
	errs = append(errs, runtime.CheckSubscriptions(s.sidecars.Subscriptions)...)
	s.sidecars.Endpoints = found.Endpoints
	errs = append(errs, runtime.CheckEndpoints(found.Endpoints)...)
	for i := range found.Resiliency {
		s.sidecars.Resiliencies = append(s.sidecars.Resiliencies, found.Resiliency[i].Name)
		errs = append(errs, resiliency.Check(&found.Resiliency[i])...)
	}
	errs = append(errs, component.CheckPipelines(found.Configurations, s.want.Components)...)
	if more, ok := errors.AsType[resource.Errors](component.Check(s.want.Components, s.want.Denied)); ok {
		errs = append(errs, more...)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return s, nil
}

// declaredComponent makes a component of a [components.*] table.
func declaredComponent(m *config.Mesh, c *config.Component) resource.Component {
	at := func(keys ...string) resource.Place {
		path := "components." + c.Name
		if p, ok := m.Places[strings.Join(append([]string{path}, keys...), ".")]; ok {
			return resource.Place(p)
		}
		if p, ok := m.Places[path]; ok {
			return resource.Place(p)
		}
		return resource.Place{File: m.File}
	}
	r := resource.Component{
		Name: c.Name, Type: c.Type, Version: c.Version, Scopes: c.Scopes, SecretStore: c.SecretStore,
		IgnoreErrors: c.IgnoreErrors, InitTimeout: c.InitTimeout, Place: at("type"),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Metadata)) {
		r.Metadata = append(r.Metadata, resource.Property{Name: name, Value: c.Metadata[name], Place: at("metadata", name)})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		r.Metadata = append(r.Metadata, resource.Property{Name: name, Secret: resource.SecretRef(c.Secrets[name]), Place: at("metadata", name)})
	}
	return r
}

// declaredSubscription makes a subscription of a [[subscriptions]] table.
func declaredSubscription(m *config.Mesh, i int) resource.Subscription {
	s := &m.Subscriptions[i]
	name := fmt.Sprintf("subscriptions[%d]", i)
	r := resource.Subscription{
		Name: name, PubSub: s.PubSub, Topic: s.Topic, Default: s.Route, DeadLetter: s.DeadLetter,
		Metadata: s.Metadata, Scopes: s.Scopes, Place: resource.Place(m.Places[name+".topic"]),
	}
	for _, rule := range s.Rules {
		r.Rules = append(r.Rules, resource.Rule(rule))
	}
	return r
}

// newStock makes the stock of the first mesh. Nothing is started.
func (s *Supervisor) newStock() error {
	have, err := supply(s.cfg)
	if err != nil {
		return err
	}
	vars := newEnviron(s.o.Environ)
	s.stock = stock{
		changed: make(chan struct{}, 1), loaded: make(chan struct{}), have: have, since: map[string]since{},
	}
	s.stock.live = component.New(component.Options{
		Dir: s.cfg.Dir, Log: s.o.Log,
		Env: func(name string) (string, bool) { v, ok := vars.value[name]; return v, ok },
		Changed: func() {
			select {
			case s.stock.changed <- struct{}{}:
			default: // the loop will look, and see this change too
			}
		},
	})
	return nil
}

// stockUp starts the first components. Processes wait for it, sidecars do not.
func (s *Supervisor) stockUp(ctx context.Context) {
	unlock, err := s.lockEdits(ctx)
	if err != nil {
		return
	}
	defer unlock()
	defer close(s.stock.loaded)
	if err := s.restock(ctx, s.stock.have); err != nil && ctx.Err() == nil {
		s.post(func() { s.notice(state.Notice{Level: "error", Code: "components", Text: err.Error()}) })
	}
}

// restock makes the components those of h. The caller holds the edit lock.
func (s *Supervisor) restock(ctx context.Context, h *supplies) error {
	// For the databases of the embedded store and of components beside it.
	if err := os.MkdirAll(filepath.Join(s.o.First.Dir, ".mesh"), 0o755); err != nil {
		return fmt.Errorf("making room for the embedded state store: %w", err)
	}
	return s.stock.live.Apply(ctx, h.want)
}

// declare tells a sidecar what is declared for it. Only the loop, and New
// before it, call it.
func (s *Supervisor) declare(u *unit) {
	u.sidecar.Declare(s.stock.have.sidecars)
	s.findBy(u, u.want.Load().mesh, s.stock.have)
}

// restocked makes what is declared that of h; only the loop calls it.
func (s *Supervisor) restocked(h *supplies) {
	s.stock.have = h
	for _, u := range s.units {
		s.declare(u)
	}
}

// shownComponents tells how the components are, and makes a notice of those
// that are not well.
func (s *Supervisor) shownComponents() []state.Component {
	var all []state.Component
	var ill []string
	now := time.Now()
	for _, st := range s.stock.live.Status() {
		key := st.Name + " " + st.App
		was := s.stock.since[key]
		if was.state != string(st.Condition) {
			was = since{state: string(st.Condition), at: now}
			s.stock.since[key] = was
		}
		if st.Condition == component.Ready && st.Began.After(was.at) {
			was.at = st.Began // another one serves since
			s.stock.since[key] = was
		}
		place := ""
		if st.Place.File != "" {
			place = st.Place.String()
		}
		all = append(all, state.Component{
			Name: st.Name, Type: st.Type, Version: st.Version, Scopes: st.Scopes, App: st.App,
			State: string(st.Condition), Reason: st.Reason, Since: was.at, Next: st.Next, Place: place,
		})
		if st.Condition != component.Ready {
			at := ""
			if place != "" {
				at = st.Place.From(s.o.First.Dir).String() + ": " // it may be what stands there that is wrong
			}
			ill = append(ill, fmt.Sprintf("%s%s (%s) is %s: %s", at, st.Name, st.Type, st.Condition, st.Reason))
		}
	}
	s.noticeComponents(ill)
	return append(all, s.loading(all)...)
}

// loading gives the components that are being started for the first time.
func (s *Supervisor) loading(known []state.Component) (more []state.Component) {
	select {
	case <-s.stock.loaded:
		return nil
	default:
	}
	for _, c := range s.stock.have.want.Components {
		if slices.ContainsFunc(known, func(k state.Component) bool { return k.Name == c.Name }) {
			continue
		}
		place := ""
		if c.Place.File != "" {
			place = c.Place.String()
		}
		more = append(more, state.Component{
			Name: c.Name, Type: c.Type, Version: c.Version, Scopes: c.Scopes, State: "loading", Since: s.started, Place: place,
		})
	}
	return more
}

// noticeComponents shows which components are not well, once.
func (s *Supervisor) noticeComponents(ill []string) {
	const code = "component"
	text := strings.Join(ill, "\n")
	i := slices.IndexFunc(s.notices, func(n state.Notice) bool { return n.Code == code })
	switch {
	case text == "":
		s.withdraw(code, "")
	case i < 0 || s.notices[i].Text != text:
		s.notice(state.Notice{
			Level: "warning", Code: code, Text: text,
			Hint: "calls to it fail until it answers; it is tried again by itself",
		})
	}
}
