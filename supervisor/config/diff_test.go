package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	const base = `
name = "shop"
[apps.orders]
command = "go run ./orders"
port = "auto"
env = { LOG_LEVEL = "info" }
[apps.web]
command = "npm start"
`
	p := project{".env": "A=1\n", "b.env": "B=2\n", "sub/x": ""}
	for _, c := range []struct {
		name, old, new string // replacement; all of the text when old is ""
		want           []string
	}{
		{"nothing", "shop", "shop", nil},
		{"order and comments", "", "# moved\n[apps.web]\ncommand = 'npm start'\n[apps.orders]\nport='auto'\ncommand='go run ./orders'\nenv.LOG_LEVEL='info'\n", nil},
		{"a default written out", "[apps.web]", "[apps.web]\nhold = \"15s\"", nil},
		{"an app comes", "[apps.web]", "[apps.cart]\ncommand='x'\n[apps.web]", []string{"cart: start (added)"}},
		{"an app is renamed", "[apps.web]", "[apps.site]", []string{"web: stop (removed)", "site: start (added)"}},
		{"environment", `"info"`, `"debug"`, []string{"orders: restart (env LOG_LEVEL changed)"}},
		{"more environment", `LOG_LEVEL = "info"`, `X = "1", A = "2"`, []string{"orders: restart (env A, LOG_LEVEL, X changed)"}},
		{"command", "npm start", "npm run dev", []string{"web: restart (command changed)"}},
		{"command as a list", `"npm start"`, `["npm", "start"]`, []string{"web: restart (command changed)"}},
		{"folder", "[apps.web]", "[apps.web]\ndir='sub'", []string{"web: restart (dir /shop → /shop/sub)"}},
		{"scale up", "[apps.web]", "[apps.web]\ninstances=3", []string{"web: scale 1 → 3"}},
		{"scale to nothing", "[apps.web]", "[apps.web]\ninstances=0", []string{"web: scale 1 → 0"}},
		{"port", `"auto"`, "8080", []string{"orders: restart with a new sidecar (port auto → 8080)"}},
		{"protocol", `"auto"`, "\"auto\"\nprotocol='h2c'", []string{"orders: restart with a new sidecar (protocol http → h2c)"}},
		{"sidecar", "[apps.web]", "[apps.web]\nsidecar={http_port=3500}", []string{"web: restart with a new sidecar (sidecar.http_port none → 3500)"}},
		{"live", "[apps.web]", "[apps.web]\nhold='30s'\nrestart='never'\nwatch=['*']", []string{"web: apply (watch changed, restart on-failure → never, hold 15s → 30s)"}},
		{"all at once", "npm start\"", "npm run dev\"\nhold='30s'\ninstances=2", []string{"web: restart (command changed), scale 1 → 2, apply (hold 15s → 30s)"}},
		{"a token is not shown", "[apps.web]", "[apps.web]\napp_token='secret'", []string{"web: restart with a new sidecar (app_token changed)"}},
		{"transport", "[apps.orders]", "[mesh]\ntransport='grpc'\n[apps.orders]", []string{"mesh: transport auto → grpc"}},
		{"interface", "[apps.orders]", "[mesh.mdns]\ninterface='all'\n[apps.orders]", []string{"mesh: mdns.interface loopback → all"}},
		{"names", "[apps.orders]", "[mesh.names]\nresolvers=['consul']\n[apps.orders]", []string{"mesh: names changed"}},
		{"name", `"shop"`, `"stall"`, []string{
			"mesh: name shop → stall",
			"orders: restart with a new sidecar (mesh.name shop → stall)", "web: restart with a new sidecar (mesh.name shop → stall)",
		}},
		{"mesh token", "[apps.orders]", "[mesh]\napi_token='secret'\n[apps.orders]", []string{
			"mesh: api_token changed",
			"orders: restart with a new sidecar (mesh.api_token changed)", "web: restart with a new sidecar (mesh.api_token changed)",
		}},
		{"env file of the mesh", "[apps.orders]", "[mesh]\nenv_file=['.env','b.env']\n[apps.orders]", []string{
			"mesh: env_file changed", "orders: restart (env B changed)", "web: restart (env B changed)",
		}},
		{"env file of an app", "[apps.web]", "[apps.web]\nenv_file=['b.env']", []string{"web: restart (env B changed), apply (env_file changed)"}},
		{"the rest", "[apps.web]", "[components.s]\ntype='state.redis'\n[[subscriptions]]\npubsub='p'\ntopic='t'\nroute='r'\n[resiliency.targets.web.timeout]\nidle='1s'\n[faults.slow]\ntarget='web'\ndelay='1s'\n[apps.web]", []string{
			"component s: added", "resiliency web: added", "fault slow: added", "subscriptions: changed",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := c.new
			if c.old != "" {
				text = strings.Replace(base, c.old, c.new, 1)
			}
			change := Diff(p.good(t, base), p.good(t, text))
			if diff := cmp.Diff(c.want, change.Lines()); diff != "" {
				t.Errorf("want - got +\n%s", diff)
			}
			if change.Empty() != (c.want == nil) {
				t.Errorf("Empty is %v for %v", change.Empty(), c.want)
			}
		})
	}
}

func TestDiffOfNames(t *testing.T) {
	p := project{}
	from := p.good(t, "[components.a]\ntype='state.a'\n[components.b]\ntype='state.b'\n")
	to := p.good(t, "[components.b]\ntype='state.x'\n[components.c]\ntype='state.c'\n")
	want := Names{Added: []string{"c"}, Removed: []string{"a"}, Changed: []string{"b"}}
	if diff := cmp.Diff(want, Diff(from, to).Components); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
	if got := Diff(from, to).App("a"); got != nil {
		t.Errorf("a component is taken for the app %v", got)
	}
}

// TestEffects wants a restart for what the process sees, a new sidecar for
// what its ports and the channel to the app are made of, and neither for the rest.
func TestEffects(t *testing.T) {
	effects := map[string]Effect{
		"Shell": Restart, "Argv": Restart, "Dir": Restart, "PTY": Restart, "Env": Restart, "FileEnv": Restart,
		"Port": Restart | Sidecar, "AutoPort": Restart | Sidecar, "MaxConcurrency": Restart | Sidecar,
		"Protocol": Restart | Sidecar, "HTTPPort": Restart | Sidecar, "GRPCPort": Restart | Sidecar, "AppToken": Restart | Sidecar,
		"Instances": Scale,
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[App]()) {
		if f.Name == "ID" {
			continue
		}
		// A field that Diff forgets would be an edit without effect.
		a := App{ID: "a", Env: map[string]string{}}
		b := a
		alter(t, reflect.ValueOf(&b).Elem().FieldByIndex(f.Index))
		change := Diff(&Mesh{Apps: []App{a}}, &Mesh{Apps: []App{b}}).App("a")
		want := effects[f.Name]
		if want == 0 {
			want = Live
		}
		if change == nil || change.Effect != want {
			t.Errorf("a change of %s is %+v, want the effect %b", f.Name, change, want)
		}
	}
	ignored := []string{"Dir", "File", "Env", "Apps", "Components", "Places", "Warnings"}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Mesh]()) {
		var to Mesh
		alter(t, reflect.ValueOf(&to).Elem().FieldByIndex(f.Index))
		if change := Diff(&Mesh{}, &to); change.Empty() && !slices.Contains(ignored, f.Name) {
			t.Errorf("a change of %s is lost", f.Name)
		}
	}
}

// alter makes a value differ from zero.
func alter(t *testing.T, v reflect.Value) {
	t.Helper()
	kind := v.Kind()
	switch {
	case kind == reflect.String:
		v.SetString("X=1")
	case kind == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(int64(time.Second))
	case kind == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case kind == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Index(0).Kind() == reflect.String {
			v.Index(0).SetString("X=1")
		}
	case kind == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("X"), reflect.Zero(v.Type().Elem()))
	default:
		t.Fatalf("no idea how to alter a %s", v.Type())
	}
}
