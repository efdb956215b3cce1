package policy

import (
	"context"
	"slices"
)

// Component is what policies of components are about: what an app sends to one,
// or what one delivers.
type Component struct {
	Name    string
	Inbound bool
}

// Scoped is a policy for what some apps ask for; without Scopes for all.
type Scoped struct {
	Policy

	Scopes []string
	Source string // the Resiliency resource that declares it; empty: mesh.toml
}

// inScope gives the first policy that is for an app, the zero Policy when none is.
func inScope(all []Scoped, app string) Policy {
	for _, s := range all {
		if len(s.Scopes) == 0 || slices.Contains(s.Scopes, app) {
			return s.Policy
		}
	}
	return Policy{}
}

// declared gives the policy of a source, the zero Policy when it has none.
func declared(all []Scoped, source string) Policy {
	for _, s := range all {
		if s.Source == source {
			return s.Policy
		}
	}
	return Policy{}
}

// SetComponents replaces the policies of components, the first that is in scope
// wins; all is not to be changed afterwards.
func (b *Book) SetComponents(all map[Component][]Scoped) { b.components.Store(&all) }

// DeclaredComponent gives the policy that a source declares for a component,
// whichever apps it is for; the zero Policy when it declares none.
func (b *Book) DeclaredComponent(source string, c Component) Policy {
	if all := b.components.Load(); all != nil {
		return declared((*all)[c], source)
	}
	return Policy{}
}

// Component gives the policy of a component for an app, the zero Policy when it
// has none.
func (b *Book) Component(app string, c Component) Policy {
	if all := b.components.Load(); all != nil {
		return inScope((*all)[c], app)
	}
	return Policy{}
}

// Outbound runs what an app asks of a component under its policy. A nil Book
// only runs it.
func (b *Book) Outbound(ctx context.Context, app, component string, f func(context.Context) error) error {
	return b.through(ctx, app, Component{Name: component}, f)
}

// Inbound runs what a component delivers to an app under its policy. A nil Book
// only runs it.
func (b *Book) Inbound(ctx context.Context, app, component string, f func(context.Context) error) error {
	return b.through(ctx, app, Component{Name: component, Inbound: true}, f)
}

func (b *Book) through(ctx context.Context, app string, c Component, f func(context.Context) error) error {
	if b == nil {
		return Policy{}.Do(ctx, f)
	}
	return b.Component(app, c).Do(ctx, f)
}
