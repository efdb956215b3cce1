package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mesh/runtime"
	"mesh/runtime/appchan"
	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/metrics"
	"mesh/runtime/policy"
	"mesh/runtime/resiliency"
	"mesh/runtime/resource"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// rig is components and the sidecars of apps that use them.
type rig struct {
	t     *testing.T
	live  *component.Live
	peers *runtime.Peers
	flows *flow.Recorder
	base  string // the HTTP API of "pub", an app without a port
	http  *http.Client

	policies *policy.Book
	counts   map[string]*metrics.Registry // by app
}

// newRig starts the components that the YAML declares, and the app "pub".
func newRig(t *testing.T, yaml string) *rig {
	t.Helper()
	r := &rig{
		t: t, live: component.New(component.Options{Dir: t.TempDir()}), peers: runtime.NewPeers(), flows: flow.NewRecorder(),
		policies: &policy.Book{}, counts: map[string]*metrics.Registry{},
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}, // as apps keep their connections
	}
	t.Cleanup(r.http.CloseIdleConnections)
	r.run("the components", r.live.Run)
	r.apply(yaml)
	for _, s := range r.live.Status() {
		if s.Condition != component.Ready {
			t.Fatalf("%s is %s: %s", s.Name, s.Condition, s.Reason)
		}
	}
	r.base = r.sidecar("pub", "")
	return r
}

// apply makes the components those that the YAML declares.
func (r *rig) apply(yaml string) {
	r.t.Helper()
	found, err := resource.Parse("test.yaml", yaml)
	if err != nil {
		r.t.Fatal(err)
	}
	r.policies.SetComponents(resiliency.Components(found.Resiliency, nil, r.policies))
	if err := r.live.Apply(r.t.Context(), component.Desired{Components: found.Components, Apps: []string{"pub", "sub"}}); err != nil {
		r.t.Fatal(err)
	}
}

// run runs something until the test ends.
func (r *rig) run(what string, f func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	r.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			r.t.Errorf("%s: %v", what, err)
		}
	})
}

// sidecar runs the sidecar of an app and gives the address of its HTTP API.
func (r *rig) sidecar(app, addr string) string {
	r.t.Helper()
	r.counts[app] = metrics.New(app)
	s, err := runtime.New(runtime.Options{
		Metrics: r.counts[app], Policies: r.policies,
		AppID: app, HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:0", Internal: "127.0.0.1:0",
		Peers: r.peers, Components: r.live, Flows: r.flows, App: appchan.Options{Addr: addr, Hold: patience, MaxHeld: 100},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	s.App().Open()
	r.run("the sidecar of "+app, s.Run)
	return fmt.Sprintf("http://127.0.0.1:%d/v1.0/", s.Ports().HTTP)
}

// subscriber runs the app "sub" and its sidecar.
func (r *rig) subscriber(h http.Handler) {
	r.t.Helper()
	srv := httptest.NewServer(h)
	r.t.Cleanup(srv.Close)
	r.sidecar("sub", srv.Listener.Addr().String())
}

// call makes a request to the API of "pub" and gives status and body of the
// answer, as "204 ".
func (r *rig) call(method, path, body string, header ...string) string {
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, b)
}

// eventually waits for what must become true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !f(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited %v for this: %s", patience, what)
		}
	}
}

// yaml declares a component; each of the properties is a name and a value.
func yaml(name, typ string, properties ...string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "kind: Component\nmetadata: { name: %s }\nspec:\n  type: %s\n  version: v1\n  metadata:\n", name, typ)
	for i := 0; i < len(properties); i += 2 {
		fmt.Fprintf(&text, "  - { name: %s, value: %q }\n", properties[i], properties[i+1])
	}
	text.WriteString("---\n")
	return text.String()
}
