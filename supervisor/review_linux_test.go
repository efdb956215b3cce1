package supervisor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

// TestEditsAreAccountedFor edits a file: applied, broken, mended, and waiting
// for a command.
func TestEditsAreAccountedFor(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mesh.toml")
	app := "[apps.web]\ncommand = \"exec sleep 1000\"\n"
	load := func() (*config.Mesh, error) { return config.Load(file, config.Options{}) }
	save := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	save(app)
	first, err := load()
	if err != nil {
		t.Fatal(err)
	}
	l := start(t, first, func(o *Options) { o.Load = load })
	defer l.end()
	l.settle()
	if e := l.State().Edit; e != nil {
		t.Errorf("before any edit there is %+v", e)
	}

	save(app + "instances = 2\n")
	l.Look()
	e := l.edit(state.EditApplied)
	if want := (state.PlanItem{Kind: "app", Name: "web", Action: state.PlanScale}); e.Plan == nil || len(e.Plan.Items) != 1 ||
		e.Plan.Items[0].Kind != want.Kind || e.Plan.Items[0].Name != want.Name || e.Plan.Items[0].Action != want.Action {
		t.Errorf("the edit that scales an app is shown as %+v", e.Plan)
	}

	save(app + "instances = many\n")
	l.Look()
	if e := l.edit(state.EditBroken); !strings.HasPrefix(e.Error, "mesh.toml:3") {
		t.Errorf("the broken file is shown as %q", e.Error)
	}
	save(app + "instances = 2\n")
	l.Look()
	l.edit(state.EditApplied)

	if err := l.Do(t.Context(), state.Command{Op: state.Review}); err != nil {
		t.Fatal(err)
	}
	save(app + "instances = 3\n")
	l.Look()
	e = l.edit(state.EditPending)
	if m := l.State(); !m.Review || len(m.Apps[0].Instances) != 2 || e.Plan.Items[0].Action != state.PlanScale {
		t.Errorf("what waits is %+v of %+v", e.Plan, m.Apps[0].Instances)
	}
	if err := l.Do(t.Context(), state.Command{Op: state.Apply}); err != nil {
		t.Fatal(err)
	}
	l.edit(state.EditApplied)
	if m := l.State(); m.Review || len(m.Apps[0].Instances) != 3 {
		t.Errorf("after the command there are %d instances, and review is %v", len(m.Apps[0].Instances), m.Review)
	}
}

// edit waits until the last edit is in a state.
func (l *live) edit(want state.EditState) *state.Edit {
	l.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if e := l.State().Edit; e != nil && e.State == want {
			return e
		}
		select {
		case <-tick.C:
		case <-deadline:
			l.t.Fatalf("the edit is %+v, not %s", l.State().Edit, want)
		}
	}
}
