package supervisor

import (
	"slices"

	"mesh/supervisor/config"
)

// step is one thing to be done to get from one configuration to another.
type step struct {
	app string
	do  stepKind
}

// edit is a change of the mesh. Nothing of it holds before commit.
type edit struct {
	mesh   *config.Mesh
	have   *supplies
	scaled map[string]int // instances asked for by a command, by app id
	steps  []step
	back   bool // it takes another one back: what cannot be had is left out
}

type stepKind int

const (
	stepAdopt   stepKind = iota // the new values take effect without touching the process
	stepScale                   // more or fewer instances; the others are left alone
	stepRestart                 // the processes are restarted, their sidecars stay
	stepRebuild                 // sidecars and processes are replaced
	stepAdd
	stepRemove
)

// plan turns a change into steps. Adding comes first and removing last, so that
// whatever can be had before something goes, is.
func plan(c config.Change) []step {
	var steps []step
	for _, id := range c.Added {
		steps = append(steps, step{id, stepAdd})
	}
	for _, a := range c.Changed {
		switch {
		case a.Effect&config.Sidecar != 0:
			steps = append(steps, step{a.ID, stepRebuild})
			continue
		case a.Effect&config.Restart != 0:
			steps = append(steps, step{a.ID, stepRestart})
		case a.Effect&config.Scale == 0:
			steps = append(steps, step{a.ID, stepAdopt})
		}
		if a.Effect&config.Scale != 0 {
			steps = append(steps, step{a.ID, stepScale})
		}
	}
	for _, id := range c.Removed {
		steps = append(steps, step{id, stepRemove})
	}
	return steps
}

// steps gives the edit its steps: plan with regard to what runs: an app may be missing because it
// could not be had, or because only some were asked for and another one now
// depends on it.
func (s *Supervisor) steps(e *edit, c config.Change) {
	m := e.mesh
	var add, change, remove []step
	for i := range m.Apps {
		a := &m.Apps[i]
		have := len(s.of(a.ID))
		switch diff := c.App(a.ID); {
		case !s.wanted(m, a.ID):
			if have > 0 {
				remove = append(remove, step{a.ID, stepRemove})
			}
		case have == 0:
			if e.count(a) > 0 {
				add = append(add, step{a.ID, stepAdd})
			}
		case diff == nil:
		case s.external(s.cfg.Find(a.ID)) != s.external(a):
			change = append(change, step{a.ID, stepRebuild})
		default:
			change = append(change, plan(config.Change{Changed: []config.AppChange{*diff}})...)
		}
	}
	for _, id := range c.Removed {
		remove = append(remove, step{id, stepRemove})
	}
	e.steps = slices.Concat(add, change, remove)
}
