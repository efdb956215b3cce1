package standalone

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"mesh/runtime"
	"mesh/runtime/component"
	"mesh/runtime/policy"
	"mesh/runtime/resiliency"
	"mesh/runtime/resource"
)

// supplies is what the resources folders and the configurations declare.
type supplies struct {
	want     component.Desired
	declared runtime.Declared
	names    []resource.NameResolution // in order; mDNS when none is asked for
	policies []resource.Resiliency     // those that are in scope
}

// supply reads the folders and files. The error has every mistake.
func (s *Sidecar) supply() (*supplies, error) {
	found, err := resource.Load(s.o.Resources...)
	if err != nil {
		return nil, fmt.Errorf("reading the resources: %w", err)
	}
	configs, err := s.configurations()
	if err != nil {
		return nil, err
	}
	have := &supplies{want: component.Desired{Apps: []string{s.o.AppID}}}
	for i := range found.Components {
		if c := &found.Components[i]; c.Visible(s.o.AppID) {
			have.want.Components = append(have.want.Components, *c)
		}
	}
	have.declared.Subscriptions = found.Subscriptions
	if errs := runtime.CheckSubscriptions(found.Subscriptions); len(errs) > 0 {
		return nil, fmt.Errorf("reading the resources: %w", errs)
	}
	have.declared.Endpoints = found.Endpoints
	if errs := runtime.CheckEndpoints(found.Endpoints); len(errs) > 0 {
		return nil, fmt.Errorf("reading the resources: %w", errs)
	}
	for i := range found.Resiliency {
		r := &found.Resiliency[i]
		if len(r.Scopes) > 0 && !slices.Contains(r.Scopes, s.o.AppID) {
			continue
		}
		if errs := resiliency.Check(r); len(errs) > 0 {
			return nil, fmt.Errorf("reading the resources: %w", errs)
		}
		have.policies = append(have.policies, *r)
		have.declared.Resiliencies = append(have.declared.Resiliencies, r.Name)
	}
	for i := range configs {
		have.want.Denied = append(have.want.Denied, configs[i].Denied...)
		have.declared.SecretScopes = append(have.declared.SecretScopes, configs[i].SecretScopes...)
		have.declared.HTTPPipeline = append(have.declared.HTTPPipeline, configs[i].HTTPPipeline...)
		have.declared.AppPipeline = append(have.declared.AppPipeline, configs[i].AppPipeline...)
		if configs[i].Sampling != nil {
			have.declared.Sampling = configs[i].Sampling
		}
	}
	if have.names, err = resolvers(configs); err != nil {
		return nil, err
	}
	if errs := component.CheckPipelines(configs, have.want.Components); len(errs) > 0 {
		return nil, fmt.Errorf("reading the configuration: %w", errs)
	}
	if err := component.Check(have.want.Components, have.want.Denied); err != nil {
		return nil, fmt.Errorf("reading the resources: %w", err)
	}
	return have, nil
}

// newStock gives the components, none of them started.
func (s *Sidecar) newStock() *component.Live {
	return component.New(component.Options{
		Dir: s.o.Dir, Namespace: s.o.Namespace, Log: s.o.Log, Changed: func() {},
		Env: func(name string) (string, bool) {
			v := s.o.Environ(name)
			return v, v != ""
		},
	})
}

// restock makes the components those that are wanted. Until it has been done
// once, the sidecar is not ready.
func (s *Sidecar) restock(ctx context.Context, have *supplies) {
	s.inner.Declare(have.declared)
	targets := map[string][]policy.Scoped{}
	resiliency.Add(targets, have.policies, s.policed, s.policies)
	s.policies.Set(targets)
	s.policies.SetComponents(resiliency.Components(have.policies, s.policed, s.policies))
	s.policed = have.policies
	if err := s.stock.Apply(ctx, have.want); err != nil && ctx.Err() == nil {
		s.o.Log.ErrorContext(ctx, "the components are not those that are declared", slog.Any("error", err))
	}
	for _, st := range s.stock.Status() {
		if st.Condition != component.Ready {
			s.o.Log.WarnContext(ctx, "a component does not work yet and is tried again", slog.String("component", st.Name), slog.String("component_type", st.Type), slog.String("reason", st.Reason))
			continue
		}
		s.o.Log.InfoContext(ctx, "component loaded", slog.String("component", st.Name), slog.String("component_type", st.Type))
	}
}
