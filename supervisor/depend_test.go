package supervisor

import (
	"testing"

	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

func TestUnmet(t *testing.T) {
	mesh := func(phases ...state.Phase) *state.Mesh {
		a := state.App{ID: "db"}
		for _, p := range phases {
			a.Instances = append(a.Instances, state.Instance{Name: "db", Phase: p})
		}
		return &state.Mesh{Apps: []state.App{a}}
	}
	for _, tt := range []struct {
		condition string
		mesh      *state.Mesh
		want      string
	}{
		{"ready", mesh(state.Starting), "db to be ready"},
		{"ready", mesh(state.Ready), ""},
		{"ready", mesh(state.Starting, state.Ready), ""}, // one instance is enough
		{"ready", mesh(state.Failed), "db, which has failed"},
		{"started", mesh(state.Pending), "db to be started"},
		{"started", mesh(state.Starting), ""},
		{"started", mesh(state.Done), ""},
		{"completed", mesh(state.Ready), "db to be completed"},
		{"completed", mesh(state.Done), ""},
		{"ready", &state.Mesh{}, "db, which does not run"},
	} {
		got, _ := unmet(tt.mesh, []config.Dependency{{App: "db", Condition: tt.condition}})
		if got != tt.want {
			t.Errorf("%s with %v: %q, want %q", tt.condition, tt.mesh.Apps, got, tt.want)
		}
	}
}
