package cli_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"mesh/supervisor/control/controltest"
	"mesh/supervisor/state"
)

// TestPlanOfRunning: the running mesh is asked with the text of the file, and its
// answer is a table or JSON.
func TestPlanOfRunning(t *testing.T) {
	s := newShell(t)
	s.file("mesh.toml", "# as it runs\n")
	s.file("next.toml", "# what is to come\n")
	r := controltest.Serve(t, s.dir, state.Mesh{Name: "shop", Dir: s.dir})
	asked := make(chan string, 10)
	r.Mesh.OnPlan(func(c state.Candidate) (*state.Plan, error) {
		asked <- strings.Join(append([]string{string(c.Text)}, c.Resources...), "|")
		return &state.Plan{Items: []state.PlanItem{
			{Kind: "app", Name: "orders", Action: state.PlanRestart, Why: []string{"command changed", "env LEVEL changed"}, Streams: 2},
			{Kind: "app", Name: "web", Action: state.PlanNothing},
			{Kind: "subscriptions", Action: state.PlanSwap},
		}}, nil
	})
	want := `app orders     restart  2 calls under way  command changed, env LEVEL changed
app web        nothing
subscriptions  hot-swap
`
	if got := s.says(0, words("plan next.toml")); got != want {
		t.Errorf("the plan is\n%s\nwant\n%s", got, want)
	}
	if got := <-asked; got != "# what is to come\n" {
		t.Errorf("the mesh was asked about %q", got)
	}
	var p state.Plan
	if err := json.Unmarshal([]byte(s.says(0, words("plan --json"))), &p); err != nil || len(p.Items) != 3 || p.Items[0].Streams != 2 {
		t.Errorf("plan --json: %+v, %v", p, err)
	}
	if got := <-asked; got != "# as it runs\n" {
		t.Errorf("the mesh was asked about %q", got)
	}

	s.file("next/db.yaml", "")
	s.says(0, words("plan --resources next"))
	if got, want := <-asked, "# as it runs\n|"+filepath.Join(s.dir, "next"); got != want {
		t.Errorf("the mesh was asked about %q, want %q", got, want)
	}
	s.says(1, words("plan --resources gone"), "gone", "no such file")

	r.Mesh.OnPlan(func(state.Candidate) (*state.Plan, error) {
		return &state.Plan{Items: []state.PlanItem{{Kind: "app", Name: "web", Action: state.PlanNothing}}}, nil
	})
	s.says(0, words("plan"), "app web  nothing", "nothing would change")

	r.Mesh.OnPlan(func(state.Candidate) (*state.Plan, error) { return nil, errors.New("the store is away") })
	s.says(1, words("plan"), "planning: the store is away")
	s.file("next.toml", "[apps.a]\ncommnd = \"x\"\n")
	s.says(1, words("plan next.toml"), "next.toml:2:1: ", `did you mean "command"?`, "^")
	s.says(1, words("plan gone.toml"), "gone.toml", "no such file")
	s.says(2, words("plan a b"), "one word too many")
}

// TestPlanOfNone: without a running mesh the plan is what would be started.
func TestPlanOfNone(t *testing.T) {
	s := newShell(t)
	s.file("mesh.toml", "[apps.web]\ncommand = \"web\"\n[components.store]\ntype = \"state.redis\"\nmetadata = { redisHost = \"localhost:6379\" }\n")
	s.file("components/bus.yaml", "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: { name: bus }\nspec: { type: pubsub.in-memory, version: v1 }\n")
	stdout, stderr, code := s.run("plan")
	if code != 0 || !strings.Contains(stderr, "no mesh runs here") || stdout != "app web          start\ncomponent bus    add\ncomponent store  add\n" {
		t.Errorf("plan exits with %d and says\n%s%s", code, stdout, stderr)
	}
	s.file("mesh.toml", "[apps.web]\nport = \"x\"\n")
	s.says(1, words("plan"), "mesh.toml:2:8: ")
}
