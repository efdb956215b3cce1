package runtime

import (
	"slices"

	"mesh/runtime/api"
	"mesh/runtime/component"
	"mesh/runtime/resource"
)

// Declared is what is declared for sidecars besides components. Each takes what
// is meant for its app.
type Declared struct {
	SecretScopes []resource.SecretScope
	Resiliencies []string // names of the resources
}

// Declare replaces what is declared; nobody changes d afterwards.
func (s *Sidecar) Declare(d Declared) { s.declared.Store(&d) }

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
	for _, name := range s.declared.Load().Resiliencies {
		inv.Resiliencies = append(inv.Resiliencies, api.Named{Name: name})
	}
	return inv
}
