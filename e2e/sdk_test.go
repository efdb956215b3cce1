package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mesh/runtime/component/servertest"
	"mesh/supervisor/state"
)

// sdkComponents are what the apps of the tests with SDKs use.
const sdkComponents = `
kind: Component
metadata: { name: statestore }
spec: { type: state.sqlite, metadata: [ { name: connectionString, value: state.db } ] }
---
kind: Component
metadata: { name: people }
spec: { type: state.postgresql, version: v1, metadata: [ { name: connectionString, value: "POSTGRES" } ] }
---
kind: Component
metadata: { name: secrets }
spec: { type: secretstores.local.file, metadata: [ { name: secretsFile, value: secrets.json } ] }
---
kind: Component
metadata: { name: files }
spec: { type: bindings.localstorage, metadata: [ { name: rootPath, value: . } ] }
---
kind: Component
metadata: { name: tick }
spec: { type: bindings.cron, metadata: [ { name: schedule, value: "@every 200ms" } ] }
---
kind: Component
metadata: { name: locks }
spec: { type: lock.redis, metadata: [ { name: redisHost, value: REDIS } ] }
---
kind: Component
metadata: { name: settings }
spec: { type: configuration.redis, metadata: [ { name: redisHost, value: REDIS } ] }
---
kind: Configuration
metadata: { name: scopes }
spec: { secrets: { scopes: [ { storeName: secrets, defaultAccess: allow, deniedSecrets: [ hidden ] } ] } }
`

// protocols of the apps, each with that of the app that it calls.
func protocols() map[string]string { return map[string]string{"http": "grpc", "grpc": "http"} }

// sdkMesh starts a mesh of two apps, one for each protocol, whose names are a
// prefix with the protocol; more is what mesh.toml says of them besides. Each
// subscribes to so many topics, and has a method "check" that uses every building block and lists what is wrong.
func sdkMesh(t *testing.T, prefix, command, more string, topics int) *running {
	t.Helper()
	redis, postgres := servertest.Redis(t), servertest.Postgres(t)
	host, port, err := net.SplitHostPort(postgres.Addr)
	if err != nil {
		t.Fatal(err)
	}
	set := dialRedis(t, redis.Addr)
	set("SET color blue")
	var toml strings.Builder
	for protocol, other := range protocols() {
		fmt.Fprintf(&toml, `
[apps.%s%s]
command = "%s"
port = "auto"
protocol = "%[2]s"
env = { PROTOCOL = "%[2]s", OTHER = "%[1]s%[4]s" }
%[5]s
`, prefix, protocol, command, other, more)
	}
	p := newProject(t, toml.String())
	p.write("secrets.json", `{"db":"pw","hidden":"x"}`)
	database := "host=" + host + " port=" + port + " user=mesh database=mesh sslmode=disable"
	p.write("components/all.yaml", strings.NewReplacer("REDIS", redis.Addr, "POSTGRES", database).Replace(sdkComponents))
	r := p.up()
	for protocol := range protocols() {
		r.ready(prefix + protocol)
		r.await("the subscriptions of "+prefix+protocol, func() bool {
			_, body, err := r.get(prefix+protocol, "v1.0/metadata")
			return err == nil && strings.Count(body, "PROGRAMMATIC") == topics
		})
	}
	answers := make(chan string)
	for protocol := range protocols() {
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
			defer cancel()
			answers <- protocol + " " + r.ask(ctx, prefix+protocol, "check")
		}()
	}
	for left := len(protocols()); left > 0; {
		select {
		case got := <-answers:
			left--
			protocol, answer, _ := strings.Cut(got, " 200 ")
			var said struct{ Wrong []string }
			if err := json.Unmarshal([]byte(answer), &said); err != nil || said.Wrong == nil {
				t.Errorf("over %s: %s", protocol, got)
			}
			for _, w := range said.Wrong {
				t.Errorf("over %s: %s", protocol, w)
			}
		case <-time.After(100 * time.Millisecond):
			if _, err := os.Stat(filepath.Join(p.dir, "change")); err == nil {
				set("SET color red")
			}
		}
	}
	return r
}

// ask has an app's method called through its own sidecar.
func (r *running) ask(ctx context.Context, app, method string) string {
	return post(ctx, fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/%s/method/%s", r.instance(app).HTTPPort, app, method), "{}")
}

// stopsItself sees that an app which shuts its sidecar down is stopped.
func (r *running) stopsItself(app string) {
	r.t.Helper()
	if got := r.ask(r.t.Context(), app, "bye"); !strings.HasPrefix(got, "200 ") {
		r.t.Errorf("%s says bye with %s", app, got)
	}
	r.await("the end of "+app, func() bool { return r.instance(app).Phase == state.Stopped })
}

// TestGoSDK: two apps made with Dapr's Go SDK, one over HTTP and one over gRPC,
// use every building block; one gets unwell, and one shuts its sidecar down.
func TestGoSDK(t *testing.T) {
	t.Parallel()
	r := sdkMesh(t, "go-", "APP sdk SELF", `health = { interval = "100ms", threshold = 2 }`, 6)
	// The health check of the SDK is a method over gRPC.
	if got := r.ask(t.Context(), "go-grpc", "unwell"); !strings.HasPrefix(got, "200 ") {
		t.Error(got)
	}
	r.await("go-grpc to be unwell", func() bool { return strings.Contains(r.instance("go-grpc").Reason, "HealthCheck fails") })
	r.stopsItself("go-http")
}

// installJS makes sure that the folder of the JavaScript app has Dapr's SDK.
var installJS = sync.OnceValue(func() error {
	const folder = "testdata/js"
	if _, err := exec.LookPath("node"); err != nil {
		return fmt.Errorf("this test runs Dapr's JavaScript SDK and needs Node.js 18 or later, with npm: %w", err)
	}
	installed := filepath.Join(folder, "node_modules", "@dapr", "dapr", "package.json")
	if _, err := os.Stat(installed); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = folder
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("installing Dapr's JavaScript SDK: `npm ci` in e2e/%s: %w\n%s", folder, err, out)
	}
	return nil
})

// TestJavaScriptSDK: two apps made with Dapr's JavaScript SDK, one over HTTP and
// one over gRPC, use every building block, and shut their sidecars down.
func TestJavaScriptSDK(t *testing.T) {
	t.Parallel()
	if err := installJS(); err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("testdata/js/app.js")
	if err != nil {
		t.Fatal(err)
	}
	r := sdkMesh(t, "js-", "exec node "+script, "", 7)
	for protocol := range protocols() {
		r.stopsItself("js-" + protocol)
	}
}
