package config

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write the golden files anew")

// project is a folder in memory.
type project map[string]string

// parse reads a text as /shop/mesh.toml of the project.
func (p project) parse(t *testing.T, text string, environ ...string) (*Mesh, error) {
	t.Helper()
	files := fstest.MapFS{"shop": &fstest.MapFile{Mode: fs.ModeDir}}
	for name, text := range p {
		files[filepath.Join("shop", name)] = &fstest.MapFile{Data: []byte(text)}
	}
	inside := func(name string) string { return strings.TrimPrefix(name, "/") }
	m, err := Parse("/shop/mesh.toml", []byte(text), Options{
		Environ:  environ,
		ReadFile: func(name string) ([]byte, error) { return files.ReadFile(inside(name)) },
		Stat:     func(name string) (fs.FileInfo, error) { return files.Stat(inside(name)) },
	})
	if err != nil {
		var list Errors
		if !errors.As(err, &list) || len(list) == 0 || m != nil {
			t.Fatalf("a bad text gives %v and %v, want no mesh and a list of mistakes", m, err)
		}
	}
	return m, err
}

// good parses a text that must be without mistakes.
func (p project) good(t *testing.T, text string, environ ...string) *Mesh {
	t.Helper()
	m, err := p.parse(t, text, environ...)
	if err != nil {
		t.Fatalf("mistakes in a good text:\n%v", err)
	}
	return m
}

func TestWholeFile(t *testing.T) {
	text, err := os.ReadFile("testdata/whole.toml")
	if err != nil {
		t.Fatal(err)
	}
	p := project{
		"services/orders/main.go": "",
		".env":                    "SHARED=1\nHOME=/nowhere\n",
		".env.orders":             "export STORE='eu'\n",
	}
	m := p.good(t, string(text), "HOME=/home/u", "WHAT=stock")
	want := &Mesh{
		Name: "shop", Dir: "/shop", File: "/shop/mesh.toml",
		Transport: "grpc", Balance: "round-robin", APIToken: "auto",
		Resources: []string{"/shop/components", "/etc/mesh"},
		EnvFiles:  []string{"/shop/.env"},
		Interface: "all",
		Resolvers: []Resolver{{Kind: "consul", Settings: map[string]any{
			"selfRegister": true,
			"advancedRegistration": map[string]any{
				"name": "${APP_ID}", "port": "${APP_PORT}",
				"checks": []any{map[string]any{"http": "http://${HOST_ADDRESS}:${DAPR_HTTP_PORT}/v1.0/healthz"}},
			},
		}}, {Kind: "mdns"}},
		Env: []string{"SHARED=1"},
		Apps: []App{
			{
				ID: "inventory", Argv: []string{"go", "run", "./stock"}, Dir: "/shop", Port: 8080, Protocol: "h2c",
				Instances: 1, Restart: "on-failure", SuccessCodes: []int{0}, Hold: 15 * time.Second,
				StopSignal: "SIGTERM", StopGrace: 10 * time.Second,
				Ready:       &Probe{GRPC: "*", Interval: 100 * time.Millisecond, Timeout: time.Second},
				HeaderLimit: 1 << 20, Balance: "round-robin",
			},
			{
				ID: "legacy", Dir: "/shop", Port: 9000, Protocol: "http",
				Instances: 1, Restart: "on-failure", SuccessCodes: []int{0}, Hold: 15 * time.Second,
				StopSignal: "SIGTERM", StopGrace: 10 * time.Second, HeaderLimit: 1 << 20, Balance: "round-robin",
			},
			{
				ID: "migrate", Shell: "migrate --to ${VERSION:-latest}", Dir: "/shop", Protocol: "http",
				Instances: 1, Restart: "never", SuccessCodes: []int{0, 143}, Hold: 15 * time.Second,
				StopSignal: "SIGTERM", StopGrace: 10 * time.Second, HeaderLimit: 1 << 20, Balance: "round-robin",
			},
			{
				ID: "orders", Shell: "go run ./orders", Dir: "/shop/services/orders", AutoPort: true, Protocol: "http",
				Instances: 2, PTY: true, Build: "go build -o bin/orders .", Watch: []string{"**/*.go"}, Ignore: []string{"bin/**"},
				Env:      map[string]string{"LOG_LEVEL": "debug", "WORKERS": "4", "WHERE": "eu", "PRICE": "$5 ${x}"},
				EnvFiles: []string{"/shop/.env.orders"}, FileEnv: []string{"STORE=eu"},
				DependsOn: []Dependency{{"inventory", "ready"}, {"migrate", "completed"}},
				Ready:     &Probe{HTTP: "/healthz", Interval: 100 * time.Millisecond, Timeout: time.Second},
				Live:      &Probe{TCP: true, Interval: 10 * time.Second, Timeout: 2 * time.Second, Threshold: 3},
				Health:    &Health{Path: "/app/health", Interval: 5 * time.Second, Timeout: 500 * time.Millisecond, Threshold: 2},
				Restart:   "always", SuccessCodes: []int{0}, Hold: 30 * time.Second,
				StopSignal: "SIGINT", StopGrace: 1500 * time.Millisecond, HTTPPort: 3500, GRPCPort: 50001,
				MaxConcurrency: 8, MaxBody: 4 << 20, HeaderLimit: 65536, Balance: "least-in-flight", AppToken: "auto",
			},
		},
		Components: []Component{{
			Name: "statestore", Type: "state.redis", Version: "v1",
			Metadata: map[string]string{"redisHost": "localhost:6379", "redisDB": "3", "enableTLS": "false"},
			Secrets:  map[string]Secret{"redisPassword": {"redis", "pw"}}, SecretStore: "local",
			Scopes: []string{"orders"}, InitTimeout: 5 * time.Second,
		}},
		Subscriptions: []Subscription{
			{PubSub: "pubsub", Topic: "orders", Route: "/on-order", Scopes: []string{"inventory"}},
			{PubSub: "pubsub", Topic: "stock", Rules: []Rule{{`event.type == "low"`, "/low"}}, DeadLetter: "lost", Metadata: map[string]string{"rawPayload": "true"}},
		},
		Resiliency: map[string]Target{"orders": {
			FirstByte: 5 * time.Second, Idle: 30 * time.Second,
			Retry:   &Retry{Policy: "exponential", Max: 3, Duration: 500 * time.Millisecond, Interval: time.Minute},
			Breaker: &Breaker{Failures: 5, Timeout: 10 * time.Second},
		}},
		Faults: map[string]Fault{"slow-orders": {Target: "orders", Delay: 300 * time.Millisecond, Rate: 0.2, Bandwidth: 64 << 10}},
	}
	if diff := cmp.Diff(want, m, cmpopts.IgnoreFields(Mesh{}, "Places")); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
}

func TestNothingButDefaults(t *testing.T) {
	m := project{}.good(t, "")
	want := &Mesh{
		Name: "shop", Dir: "/shop", File: "/shop/mesh.toml", Transport: "auto", Balance: "round-robin",
		Resources: []string{"/shop/components"}, EnvFiles: []string{"/shop/.env"}, Interface: "loopback",
	}
	if diff := cmp.Diff(want, m, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
}

func TestPlaces(t *testing.T) {
	m := project{}.good(t, "[apps.a]\ncommand = \"x\"\n\tport = 1\n[[subscriptions]]\nroute='r'\ntopic = 't'\npubsub = 'p'\n")
	want := Place{"/shop/mesh.toml", 3, 2}
	if got := m.Places["apps.a.port"]; got != want {
		t.Errorf("apps.a.port is at %v, want %v", got, want)
	}
	if got := m.Places["subscriptions[0].topic"].Line; got != 6 {
		t.Errorf("the topic is on line %d, want 6", got)
	}
}

func TestEnviron(t *testing.T) {
	p := project{".env": "A=mesh\nB=mesh\nC=mesh\nE=mesh\n", "app.env": "B=app\nC=app\n"}
	m := p.good(t, "[apps.a]\ncommand = 'x'\nenv_file = ['app.env']\nenv = { C = 'own', D = '${E}${F}' }", "E=outside", "F=!")
	want := []string{"A=mesh", "B=app", "C=own", "D=outside!"}
	if diff := cmp.Diff(want, m.Environ(m.Find("a"))); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
}

func TestVariablesForNumbers(t *testing.T) {
	m := project{}.good(t, `
[apps.a]
command = "x"
port = "${PORT}"
pty = "${PTY:-true}"
[apps.b]
command = "x"
port = "${NONE:-auto}"
instances = "${N:-${M}}"
`, "PORT=8080", "M=3")
	a, b := m.Find("a"), m.Find("b")
	if a.Port != 8080 || !a.PTY || !b.AutoPort || b.Instances != 3 {
		t.Errorf("port %d, pty %v, auto %v, instances %d; want 8080, true and true, 3", a.Port, a.PTY, b.AutoPort, b.Instances)
	}
}

func TestWarnings(t *testing.T) {
	m := project{}.good(t, `
[apps.orders]
command = "x"
[resiliency.targets.ordres]
retry = {}
[resiliency.targets.neighbour.timeout]
idle = "1s"
[faults.f]
target = "order"
abort = 503
[apps.none]
command = "x"
instances = 0
[apps.shop]
command = "x"
depends_on = { none = "started" }
`)
	want := `/shop/mesh.toml:4:1: ordres is not in this mesh
  [resiliency.targets.ordres]
  ^
  did you mean "orders"?

/shop/mesh.toml:6:1: neighbour is not in this mesh
  [resiliency.targets.neighbour.timeout]
  ^
  it counts once a neighbour of that name is called

/shop/mesh.toml:9:10: order is not in this mesh
  target = "order"
           ^
  did you mean "orders"?

/shop/mesh.toml:16:23: shop waits until none is scaled up: it has no instances
  depends_on = { none = "started" }
                        ^`
	if got := m.Warnings.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLoadFromDisk(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mesh.toml")
	_, err := Load(file, Options{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gives %v, want fs.ErrNotExist", err)
	}
	if err := os.WriteFile(file, []byte("\uFEFF[apps.a]\r\ncommand = 'x'\r\ndir = 'sub'\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(file, Options{})
	want := file + ":3:7: the folder sub does not exist\n  dir = 'sub'\n        ^"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	m, err := Load(file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Find("a").Dir; got != filepath.Join(dir, "sub") {
		t.Errorf("dir is %s, want an absolute path below %s", got, dir)
	}
	if m.Name != filepath.Base(dir) {
		t.Errorf("the mesh is named %s, want the name of its folder", m.Name)
	}
}
