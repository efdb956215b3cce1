package export

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mesh/convert"
	"mesh/runtime/resource"
	"mesh/supervisor/config"
)

// TestRoundTrip: a mesh that goes to Dapr and comes back is the same, in all
// that both know.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(150) {
		dir := t.TempDir()
		m := random(t, rand.New(rand.NewPCG(seed, 1)), dir)
		out := filepath.Join(dir, "deep", "dapr")
		r, err := Dapr(Options{Mesh: m, Out: out})
		if err != nil {
			t.Fatalf("seed %d: exporting: %v", seed, err)
		}
		save(t, out, r)
		back, err := convert.Dapr(convert.Options{File: filepath.Join(out, "dapr.yaml"), Out: filepath.Join(dir, "back.toml")})
		if err != nil {
			t.Fatalf("seed %d: importing: %v\n%s", seed, err, r.Files[0].Data)
		}
		if len(back.Notes) > 0 {
			t.Errorf("seed %d: the way back loses %v", seed, back.Notes)
		}
		got, err := config.Parse(filepath.Join(dir, "back.toml"), back.Draft.Text(), config.Options{})
		if err != nil {
			t.Fatalf("seed %d: what comes back is no good mesh.toml:\n%s", seed, err)
		}
		if got.Name != m.Name {
			t.Errorf("seed %d: the mesh %q comes back as %q", seed, m.Name, got.Name)
		}
		if len(got.Apps) != len(m.Apps) {
			t.Fatalf("seed %d: %d apps come back of %d", seed, len(got.Apps), len(m.Apps))
		}
		for i := range m.Apps {
			if want, have := shared(&m.Apps[i]), shared(&got.Apps[i]); !reflect.DeepEqual(want, have) {
				t.Errorf("seed %d: an app goes as\n%+v\nand comes back as\n%+v\n%s", seed, want, have, r.Files[0].Data)
			}
		}
		found, err := resource.Load(got.Resources...)
		if err != nil {
			t.Errorf("seed %d: the resources are broken: %v", seed, err)
		}
		for _, c := range m.Components {
			if i := slices.IndexFunc(found.Components, func(f resource.Component) bool { return f.Name == c.Name }); i < 0 {
				t.Errorf("seed %d: the component %s is lost", seed, c.Name)
			} else if want, have := component(c), found.Components[i]; !reflect.DeepEqual(want, withoutPlaces(have)) {
				t.Errorf("seed %d: a component goes as\n%+v\nand comes back as\n%+v", seed, want, have)
			}
		}
		if len(found.Subscriptions) != len(m.Subscriptions) {
			t.Errorf("seed %d: %d subscriptions come back of %d", seed, len(found.Subscriptions), len(m.Subscriptions))
		}
		for i, s := range m.Subscriptions {
			f := found.Subscriptions[i]
			if f.PubSub != s.PubSub || f.Topic != s.Topic || f.Default != s.Route || f.DeadLetter != s.DeadLetter || len(f.Rules) != len(s.Rules) {
				t.Errorf("seed %d: the subscription %+v comes back as %+v", seed, s, f)
			}
		}
	}
}

// shared is what mesh and Dapr both know of an app.
func shared(a *config.App) config.App {
	b := config.App{
		ID: a.ID, Shell: a.Shell, Argv: a.Argv, Dir: a.Dir, Port: a.Port, Protocol: a.Protocol, Env: a.Env, Health: a.Health,
		HTTPPort: a.HTTPPort, GRPCPort: a.GRPCPort, MaxConcurrency: a.MaxConcurrency, MaxBody: a.MaxBody, HeaderLimit: a.HeaderLimit,
	}
	if len(b.Env) == 0 {
		b.Env = nil
	}
	return b
}

// component is what a component of mesh.toml is as a resource.
func component(c config.Component) resource.Component {
	r := resource.Component{Name: c.Name, Type: c.Type, Version: c.Version, Scopes: c.Scopes, SecretStore: c.SecretStore, IgnoreErrors: c.IgnoreErrors, InitTimeout: c.InitTimeout}
	for name, value := range c.Metadata {
		r.Metadata = append(r.Metadata, resource.Property{Name: name, Value: value})
	}
	for name, s := range c.Secrets {
		if s.Key == "" {
			s.Key = s.Name
		}
		r.Metadata = append(r.Metadata, resource.Property{Name: name, Secret: resource.SecretRef(s)})
	}
	return withoutPlaces(r)
}

func withoutPlaces(c resource.Component) resource.Component {
	c.Place = resource.Place{}
	c.Metadata = slices.Clone(c.Metadata)
	for i := range c.Metadata {
		c.Metadata[i].Place = resource.Place{}
	}
	slices.SortFunc(c.Metadata, func(a, b resource.Property) int { return strings.Compare(a.Name, b.Name) })
	return c
}

// random makes a mesh.toml with random keys and reads it.
func random(t *testing.T, r *rand.Rand, dir string) *config.Mesh {
	t.Helper()
	texts := []string{"plain", "two words", `a "quote"`, "it's", `back\slash`, "$HOME", "$$", "#", ": x", "- y", "yes", "1.0", "null", "~", "ü 漢", " lead", "tab\there", "line\nbreak", "{a: b}", "*x", "&y", "!z", "%", "@", "`", "", "0x10", "2026-01-01", "${V:-x}"}
	text := func() string { return texts[r.IntN(len(texts))] }
	maybe := func() bool { return r.IntN(2) == 0 }
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("name = %q", "shop "+[]string{"one", "two", "yes"}[r.IntN(3)])
	ids := []string{"orders", "Web_2", "a", "true-app", "n123"}[:1+r.IntN(5)]
	for i, id := range ids {
		line("[apps.%s]", id)
		switch r.IntN(3) {
		case 0:
			line("command = %q", "run "+strings.ReplaceAll(text(), "\x00", ""))
		case 1:
			line("command = [%q, %q, %q]", "prog", text(), text())
		}
		if maybe() {
			sub := filepath.Join(dir, "apps", id)
			if err := os.MkdirAll(sub, 0o755); err != nil {
				t.Fatal(err)
			}
			line("dir = %q", "apps/"+id)
		}
		if maybe() {
			line("port = %d", 4000+i)
			if maybe() {
				line("protocol = %q", []string{"http", "https", "h2c", "grpc", "grpcs"}[r.IntN(5)])
			}
			if maybe() {
				line("health = { path = %q, interval = %q, timeout = %q, threshold = %d }", "/h"+id, fmt.Sprintf("%ds", 1+r.IntN(9)), time.Duration(1+r.IntN(900))*time.Millisecond, 1+r.IntN(9))
			}
		}
		if maybe() {
			line("env = { A = %q, \"B.c\" = %q, NUMBER = %d }", text(), text(), r.IntN(100))
		}
		if maybe() {
			line("sidecar = { http_port = %d, grpc_port = %d }", 5000+i, 5100+i)
		}
		if maybe() {
			line("max_concurrency = %d", r.IntN(50))
		}
		if maybe() {
			line("max_body = %d", int64(1+r.IntN(3))<<(10*r.IntN(4))+int64(r.IntN(2)))
		}
		if maybe() {
			line("header_limit = %d", 1024+r.IntN(5000))
		}
	}
	if maybe() {
		line("[components.store]\ntype = \"state.redis\"\nmetadata = { redisHost = %q, odd = %q, key = { secretKeyRef = { name = \"n\", key = %q } } }", text(), text(), "k"+text())
		line("auth = { secretStore = \"local\" }\nscopes = [%q]\nignoreErrors = %t\ninitTimeout = %q", ids[0], maybe(), "1m30s")
	}
	if maybe() {
		line("[[subscriptions]]\npubsub = \"pubsub\"\ntopic = %q\nroute = \"/x\"", "t"+text())
		line("[[subscriptions]]\npubsub = \"pubsub\"\ntopic = \"u\"\nrules = [{ match = %q, path = \"/y\" }]\ndead_letter = \"d\"", `event.type == "x"`)
	}
	write(t, filepath.Join(dir, "mesh.toml"), []byte(strings.ReplaceAll(b.String(), `\x00`, "")))
	return load(t, dir)
}
