package supervisor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

// withResources gives a mesh without apps whose resources folder has one file.
func withResources(t *testing.T, text string) (*config.Mesh, *supplies) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "components"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "components", "all.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := config.Parse(filepath.Join(dir, "mesh.toml"), []byte("name = \"shop\"\n"), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := supply(m)
	if err != nil {
		t.Fatal(err)
	}
	m.Resources, m.EnvFiles = nil, nil // they are elsewhere
	return m, s
}

// TestResourcesArePlanned: the Dapr YAML of the resources folders is part of a
// plan; where things stand in it is not.
func TestResourcesArePlanned(t *testing.T) {
	const before = `apiVersion: dapr.io/v1alpha1
kind: Component
metadata: { name: store }
spec:
  type: state.sqlite
  version: v1
  metadata:
  - { name: connectionString, value: "one.db" }
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: { name: bus }
spec: { type: pubsub.in-memory, version: v1 }
---
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: { name: sub }
spec: { pubsubname: bus, topic: orders, routes: { default: /in } }
---
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: { name: tough }
spec:
  policies: { timeouts: { short: 1s } }
  targets: { apps: { web: { timeout: short } } }
---
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: { name: settings }
spec:
  components: { deny: [ state.redis ] }
`
	for name, c := range map[string]struct{ from, to, want string }{
		"nothing":            {"", "", ""},
		"a comment":          {"apiVersion", "# moves everything down\napiVersion", ""},
		"a setting":          {"one.db", "two.db", "component store: hot-swap"},
		"another name":       {"name: store", "name: shelf", "component shelf: add; component store: remove"},
		"its last component": {"type: state.sqlite", "type: lock.redis", "component statestore: add; component store: hot-swap"},
		"a subscription":     {"default: /in", "default: /out", "subscriptions: hot-swap"},
		"resiliency":         {"short: 1s", "short: 2s", "resiliency tough: hot-swap"},
		"a configuration":    {"deny: [ state.redis ]", "deny: [ state.kafka ]", "configuration: hot-swap"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(before, c.from) {
				t.Fatalf("the file does not have %q", c.from)
			}
			from, have := withResources(t, before)
			to, wanted := withResources(t, strings.Replace(before, c.from, c.to, 1))
			change := changes(from, to, have, wanted)
			var got []string
			for _, i := range preview(change, to, &state.Mesh{}).Items {
				got = append(got, strings.TrimSpace(i.Kind+" "+i.Name)+": "+string(i.Action))
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("the plan is %q, want %q", text, c.want)
			}
			if change.Empty() != (c.want == "") || (len(change.Lines()) > 0) != (c.want != "") {
				t.Errorf("the change says %q", change.Lines())
			}
		})
	}
}
