package control_test

import (
	"path/filepath"
	"testing"
	"time"

	"mesh/supervisor/control"
	"mesh/supervisor/control/controltest"
	"mesh/supervisor/state"
)

func shop() state.Mesh {
	return state.Mesh{
		Name: "shop", PID: 42, File: "mesh.toml",
		Apps: []state.App{
			{ID: "inventory", Instances: []state.Instance{{Name: "inventory", Phase: state.Ready}}},
			{ID: "orders", Instances: []state.Instance{{Name: "orders-1", Phase: state.Ready}, {Name: "orders-2", Phase: state.Starting}}},
		},
	}
}

// running is a served mesh and a client of it.
type running struct {
	*controltest.Running
	client *control.Client
}

// serve runs a server in a folder of its own until the test ends.
func serve(t *testing.T) *running {
	t.Helper()
	return serveIn(t, t.TempDir())
}

func serveIn(t *testing.T, dir string) *running {
	t.Helper()
	r := &running{Running: controltest.Serve(t, dir, shop())}
	var err error
	r.client, err = control.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.client.Close)
	return r
}

func (r *running) print(app, text string) {
	r.Logs.Print(state.Line{App: app, Instance: app, Stream: "stdout", Text: text})
}

// soon fails the test when ok does not become true.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func project(dir string, name ...string) string {
	return filepath.Join(append([]string{dir, ".mesh"}, name...)...)
}
