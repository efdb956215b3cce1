package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"mesh/supervisor/state"
)

// component gives a component of the mesh by name, or the zero value.
func (r *running) component(name string) state.Component {
	for _, c := range r.client.State().Components {
		if c.Name == name {
			return c
		}
	}
	return state.Component{}
}

// TestComponentsFollowTheirFiles: a component file that is saved takes effect in
// the running mesh; one that is wrong changes nothing and says where.
func TestComponentsFollowTheirFiles(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.a]
command = "APP server SELF"
port = "auto"
`)
	r := p.up()
	r.ready("a")
	if got := r.component("statestore"); got.Type != "state.sqlite" || got.State != "ready" {
		t.Errorf("without declarations the state store is %+v", got)
	}
	if _, out, err := r.get("a", "v1.0/metadata"); err != nil || !strings.Contains(out, `"pubsub.in-memory"`) {
		t.Errorf("the metadata do not have the embedded broker: %s %v", out, err)
	}

	p.write("components/one.yaml", strings.ReplaceAll(yamlComponent, "TYPE", "state.in-memory"))
	r.await("the declared store", func() bool { return r.component("store").State == "ready" })
	if got := r.component("statestore"); got.Name != "" {
		t.Errorf("the embedded store stays beside a declared one: %+v", got)
	}

	p.write("components/one.yaml", strings.ReplaceAll(yamlComponent, "TYPE", "state.nonsense"))
	r.await("the mistake", func() bool { return strings.HasPrefix(r.notice("config"), "components/one.yaml:5:") })
	if got := r.component("store"); got.Type != "state.in-memory" || got.State != "ready" {
		t.Errorf("a mistake has changed the store to %+v", got)
	}

	// What editors leave beside a file is none, and a file may be moved over another.
	for _, name := range []string{"4913", ".one.yaml.swp", "one.yaml~", "#one.yaml#", ".#one.yaml", "two.yaml.tmp"} {
		p.write("components/"+name, strings.ReplaceAll(yamlComponent, "TYPE", "state.nonsense"))
	}
	p.write("components/.new.yaml", strings.ReplaceAll(yamlComponent, "TYPE", "state.sqlite")+`
  metadata: [ { name: connectionString, value: state.db } ]`)
	if err := os.Rename(filepath.Join(p.dir, "components/.new.yaml"), filepath.Join(p.dir, "components/one.yaml")); err != nil {
		t.Fatal(err)
	}
	r.await("the file that was moved over", func() bool {
		c := r.component("store")
		return c.Type == "state.sqlite" && c.State == "ready" && r.notice("config") == ""
	})

	// Nobody listens there: the store is degraded, and nothing else is.
	p.write("components/one.yaml", strings.ReplaceAll(yamlComponent, "TYPE", "state.redis")+`
  metadata:
  - { name: redisHost, value: "127.0.0.1:1" }
  - { name: redisMaxRetries, value: "0" }
`)
	r.await("the store to be away", func() bool {
		return r.component("store").State == "outdated" && strings.HasPrefix(r.notice("component"), "components/one.yaml:5:9: store (state.redis) is outdated")
	})
	r.await("the mended file to be no longer said to be wrong", func() bool { return r.notice("config") == "" })
	out, _, _ := p.mesh("ps")
	if !strings.Contains(out, "outdated") || !strings.Contains(out, "components/one.yaml:5:9: ") {
		t.Errorf("mesh ps does not show it:\n%s", out)
	}
	p.write("components/one.yaml", strings.ReplaceAll(yamlComponent, "TYPE", "state.in-memory"))
	r.await("the store to be back", func() bool { return r.component("store").State == "ready" && r.notice("component") == "" })
}

const yamlComponent = `apiVersion: dapr.io/v1alpha1
kind: Component
metadata: { name: store }
spec:
  type: TYPE
  version: v1`

// TestComponentsMustBeRightAtFirst: mesh up says what is wrong and where.
func TestComponentsMustBeRightAtFirst(t *testing.T) {
	t.Parallel()
	p := newProject(t, "[apps.a]\ncommand = \"APP wait SELF\"\n[components.x]\ntype = \"state.nonsense\"\n")
	_, errs, code := p.mesh("up", "--headless")
	if code == 0 || !strings.Contains(errs, "mesh.toml:4:") || !strings.Contains(errs, "state.sqlite") {
		t.Errorf("code %d:\n%s", code, errs)
	}
	if out, errs, code := p.mesh("check"); code == 0 || !strings.Contains(out+errs, "mesh.toml:4:") {
		t.Errorf("mesh check: code %d:\n%s%s", code, out, errs)
	}
	if out, _, code := p.mesh("check", "--json"); code == 0 || !strings.Contains(out, `"line": 4`) {
		t.Errorf("mesh check --json: code %d:\n%s", code, out)
	}
}

// TestResiliencyResources: policies of Dapr's YAML hold for calls between apps,
// when the one that calls is in scope.
func TestResiliencyResources(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.a]
command = "APP server SELF"
port = "auto"
[apps.b]
command = "APP wait SELF"
`)
	p.write("components/resiliency.yaml", `apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: { name: mine }
scopes: [ a ]
spec:
  policies:
    retries:
      again: { policy: constant, duration: 5ms, maxRetries: 5, matching: { httpStatusCodes: "503" } }
  targets:
    apps:
      a: { retry: again }
`)
	r := p.up()
	r.ready("a", "b")
	status, body, err := r.get("a", "v1.0/invoke/a/method/thirdtime")
	if err != nil || status != 200 || body != "3" {
		t.Errorf("the call gives %d %q %v, want the third try", status, body, err)
	}
	if status, _, err := r.get("b", "v1.0/invoke/a/method/thirdtime"); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("b is out of scope, but its call gives %d %v", status, err)
	}
}

// TestPoliciesOfComponents: a policy for a component holds whether it stands in
// mesh.toml or in a Resiliency of `mesh sidecar`.
func TestPoliciesOfComponents(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	web := "http://127.0.0.1:" + app(t, func(w http.ResponseWriter, _ *http.Request) {
		if tries.Add(1)%3 != 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	ask := func(where string, port int) {
		t.Helper()
		before := tries.Load()
		got := post(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/v1.0/bindings/web", port), `{"operation":"get"}`)
		if n := tries.Load() - before; !strings.HasPrefix(got, "20") || n != 3 {
			t.Errorf("%s: %d tries give %s, want the third one", where, n, got)
		}
	}
	p := newProject(t, fmt.Sprintf(`
[apps.a]
command = "APP server SELF"
port = "auto"
[components.web]
type = "bindings.http"
metadata = { url = %q }
[resiliency.targets.web]
retry = { max = 2, policy = "constant", duration = "5ms" }
`, web))
	r := p.up()
	r.ready("a")
	r.await("the binding", func() bool { return r.component("web").State == "ready" })
	ask("mesh.toml", r.instance("a").HTTPPort)

	dir := t.TempDir()
	resources := fmt.Sprintf(`kind: Component
metadata: { name: web }
spec: { type: bindings.http, metadata: [ { name: url, value: %q } ] }
---
kind: Resiliency
metadata: { name: mine }
spec:
  policies: { retries: { twice: { policy: constant, duration: 5ms, maxRetries: 2 } } }
  targets: { components: { web: { outbound: { retry: twice } } } }
`, web)
	if err := os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(resources), 0o600); err != nil {
		t.Fatal(err)
	}
	s := sidecar(t, meshBinary, nil, "sidecar", "--app-id", "alone", "--resources-path", dir)
	await(t, "health", func() bool { code, _ := s.get("v1.0/healthz"); return code == http.StatusNoContent })
	ask("mesh sidecar", s.port("http"))
}
