package supervisor

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

// TestPreview: each kind of edit is said to do what it does, with the calls that
// it would have to wait for.
func TestPreview(t *testing.T) {
	const before = `
[apps.orders]
command = "orders"
instances = 3
hold = "1s"
[apps.web]
command = "web"
[components.store]
type = "state.redis"
[faults.slow]
target = "web"
delay = "1s"
`
	now := &state.Mesh{Apps: []state.App{
		{ID: "orders", Instances: []state.Instance{{Name: "orders", Calls: 1}, {Name: "orders-2", Calls: 10}, {Name: "orders-3", Calls: 100}}},
		{ID: "web", Instances: []state.Instance{{Name: "web", Calls: 7}}},
	}}
	const same = "app orders: nothing; app web: nothing"
	for name, c := range map[string]struct {
		from, to, want string // one text of the file is replaced by another
	}{
		"nothing":            {"", "", same},
		"a comment":          {"[apps.web]", "# about web\n[apps.web]", same},
		"hot-swap":           {`hold = "1s"`, `hold = "2s"`, "app orders: hot-swap (hold 1s → 2s); app web: nothing"},
		"limits":             {`hold = "1s"`, "hold = \"1s\"\nmax_body = \"1MiB\"\nheader_limit = \"64KiB\"\nbalance = \"least-in-flight\"", "app orders: hot-swap (max_body none → 1048576, header_limit 1048576 → 65536, balance round-robin → least-in-flight); app web: nothing"},
		"restart":            {`"orders"`, `"orders -v"`, "app orders: restart 111 (command changed); app web: nothing"},
		"restart and scale":  {"\"orders\"\ninstances = 3", "\"orders -v\"\ninstances = 1", "app orders: restart 111 (command changed); app orders: scale 110 (instances 3 → 1); app web: nothing"},
		"a new sidecar":      {`command = "web"`, "command = \"web\"\nsidecar = { http_port = 4000 }", "app orders: nothing; app web: restart with a new sidecar 7 (sidecar.http_port none → 4000)"},
		"another port":       {`command = "web"`, "command = \"web\"\nport = 80", "app orders: nothing; app web: restart with a new sidecar 7 (port none → 80)"},
		"scale up":           {"instances = 3", "instances = 4", "app orders: scale (instances 3 → 4); app web: nothing"},
		"scale down":         {"instances = 3", "instances = 2", "app orders: scale 100 (instances 3 → 2); app web: nothing"},
		"scale and swap":     {"instances = 3\nhold = \"1s\"", "instances = 2", "app orders: scale 100 (instances 3 → 2, hold 1s → 15s); app web: nothing"},
		"an app comes":       {"[apps.web]", "[apps.new]\ncommand = \"x\"\n[apps.web]", "app new: start; " + same},
		"an app goes":        {"[apps.web]\ncommand = \"web\"\n", "", "app orders: nothing; app web: stop 7 (not in the file)"},
		"for all apps":       {"[apps.orders]", "mesh = { api_token = \"x\" }\n[apps.orders]", "app orders: restart with a new sidecar 111 (mesh.api_token changed); app web: restart with a new sidecar 7 (mesh.api_token changed)"},
		"the transport":      {"[apps.orders]", "mesh = { transport = \"grpc\" }\n[apps.orders]", same + "; mesh transport: hot-swap (transport auto → grpc)"},
		"a component":        {"state.redis", "state.sqlite", same + "; component store: hot-swap"},
		"a component comes":  {"[faults.slow]", "[components.new]\ntype = \"lock.redis\"\n[faults.slow]", same + "; component new: add"},
		"a component goes":   {"[components.store]\ntype = \"state.redis\"\n", "", same + "; component store: remove (no longer declared)"},
		"a fault":            {`delay = "1s"`, `delay = "2s"`, same + "; fault slow: hot-swap"},
		"a subscription":     {"[faults.slow]", "[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\nroute = \"/\"\n[faults.slow]", same + "; subscriptions: hot-swap"},
		"a resiliency comes": {"[faults.slow]", "[resiliency.targets.web]\nretry = {}\n[faults.slow]", same + "; resiliency web: add"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(before, c.from) {
				t.Fatalf("the file does not have %q", c.from)
			}
			read := func(text string) *config.Mesh {
				m, err := config.Parse(filepath.Join(t.TempDir(), "shop", "mesh.toml"), []byte(text), config.Options{})
				if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				m.Name = "shop"
				for i := range m.Apps {
					m.Apps[i].Dir = "/shop"
				}
				m.Resources, m.EnvFiles = nil, nil
				return m
			}
			wanted := read(strings.Replace(before, c.from, c.to, 1))
			p := preview(config.Diff(read(before), wanted), wanted, now)
			var got []string
			for _, i := range p.Items {
				text := strings.TrimSpace(i.Kind+" "+i.Name) + ": " + string(i.Action)
				if i.Streams > 0 {
					text += fmt.Sprintf(" %d", i.Streams)
				}
				if len(i.Why) > 0 {
					text += " (" + strings.Join(i.Why, ", ") + ")"
				}
				got = append(got, text)
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("the plan is\n%s\nwant\n%s", text, c.want)
			}
			if p.Empty() != (c.want == same) {
				t.Errorf("the plan is said to be empty: %t", p.Empty())
			}
		})
	}
}
