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

const jsComponents = sdkComponents + `
---
kind: Component
metadata: { name: statestore }
spec: { type: state.sqlite, metadata: [ { name: connectionString, value: state.db } ] }
---
kind: Component
metadata: { name: people }
spec: { type: state.postgresql, version: v1, metadata: [ { name: connectionString, value: "POSTGRES" } ] }
---
kind: Configuration
metadata: { name: scopes }
spec: { secrets: { scopes: [ { storeName: secrets, defaultAccess: allow, deniedSecrets: [ hidden ] } ] } }
`

// TestJavaScriptSDK: two apps made with Dapr's JavaScript SDK, one over HTTP and
// one over gRPC, use every building block.
func TestJavaScriptSDK(t *testing.T) {
	t.Parallel()
	if err := installJS(); err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("testdata/js/app.js")
	if err != nil {
		t.Fatal(err)
	}
	redis, postgres := servertest.Redis(t), servertest.Postgres(t)
	host, port, err := net.SplitHostPort(postgres.Addr)
	if err != nil {
		t.Fatal(err)
	}
	conn := dialRedis(t, redis.Addr)
	conn("SET color blue")
	var toml strings.Builder
	apps := map[string]string{"http": "grpc", "grpc": "http"}
	for protocol, other := range apps {
		fmt.Fprintf(&toml, `
[apps.js-%s]
command = "exec node %s"
port = "auto"
protocol = "%s"
env = { PROTOCOL = "%s", OTHER = "js-%s" }
`, protocol, script, protocol, protocol, other)
	}
	p := newProject(t, toml.String())
	p.write("secrets.json", `{"db":"pw","hidden":"x"}`)
	p.write("components/all.yaml", strings.NewReplacer("REDIS", redis.Addr, "POSTGRES", "host="+host+" port="+port+" user=mesh database=mesh sslmode=disable").Replace(jsComponents))
	r := p.up()
	r.ready("js-http", "js-grpc")
	for protocol := range apps {
		r.await("the subscriptions of "+protocol, func() bool {
			_, body, err := r.get("js-"+protocol, "v1.0/metadata")
			return err == nil && strings.Count(body, "PROGRAMMATIC") == 7
		})
	}
	answers := make(chan string)
	for protocol := range apps {
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/js-%s/method/check", r.instance("js-"+protocol).HTTPPort, protocol)
			answers <- protocol + " " + post(ctx, url, "{}")
		}()
	}
	for left := len(apps); left > 0; {
		select {
		case got := <-answers:
			left--
			protocol, answer, _ := strings.Cut(got, " ")
			if answer == `200 {"wrong":[]}` {
				continue
			}
			var said struct{ Wrong []string }
			_, body, _ := strings.Cut(answer, " ")
			if err := json.Unmarshal([]byte(body), &said); err != nil {
				t.Errorf("over %s: %s", protocol, answer)
			}
			for _, w := range said.Wrong {
				t.Errorf("over %s: %s", protocol, w)
			}
		case <-time.After(100 * time.Millisecond):
			if _, err := os.Stat(filepath.Join(p.dir, "change")); err == nil {
				conn("SET color red")
			}
		}
	}
	for protocol := range apps { // an app that shuts its sidecar down is stopped
		url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/js-%s/method/bye", r.instance("js-"+protocol).HTTPPort, protocol)
		if got := post(t.Context(), url, "{}"); !strings.HasPrefix(got, "200 ") {
			t.Errorf("over %s: %s", protocol, got)
		}
		r.await("the end of js-"+protocol, func() bool { return r.instance("js-"+protocol).Phase == state.Stopped })
	}
}
