package resource

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const store = `# a store and a broker
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: { name: statestore, namespace: default }
spec:
  type: state.redis
  initTimeout: 5s
  ignoreErrors: true
  metadata:
  - { name: redisHost, value: localhost:6379 }
  - name: redisPassword
    secretKeyRef: { name: redis-secret, key: pw }
  - { name: other, secretKeyRef: { name: only } }
  - { name: db, value: 3 }
  - { name: from, envRef: DB_FROM }
  - name: list
    value: [a, 1]
auth: { secretStore: local }
scopes: [app1, "2"]
---
# nothing here
---
kind: Component
metadata:
  name: 42
spec:
  type: pubsub.in-memory
  version: v2
`

// ignorePlaces is for comparisons that are not about places.
func ignorePlaces() cmp.Option { return cmpopts.IgnoreTypes(Place{}) }

func TestComponents(t *testing.T) {
	got, err := Parse("c.yaml", store)
	if err != nil {
		t.Fatal(err)
	}
	want := []Component{
		{
			Name: "statestore", Type: "state.redis", Version: "v1", IgnoreErrors: true, InitTimeout: 5 * time.Second,
			SecretStore: "local", Scopes: []string{"app1", "2"},
			Metadata: []Property{
				{Name: "redisHost", Value: "localhost:6379"},
				{Name: "redisPassword", Secret: SecretRef{Name: "redis-secret", Key: "pw"}},
				{Name: "other", Secret: SecretRef{Name: "only", Key: "only"}},
				{Name: "db", Value: "3"},
				{Name: "from", Env: "DB_FROM"},
				{Name: "list", Value: `["a",1]`},
			},
		},
		{Name: "42", Type: "pubsub.in-memory", Version: "v2"},
	}
	if d := cmp.Diff(want, got.Components, ignorePlaces()); d != "" {
		t.Error(d)
	}
	if p := got.Components[0].Place.String(); p != "c.yaml:6:9" {
		t.Errorf("the store stands at %s", p)
	}
	if p := got.Components[1].Place.Line; p != 27 {
		t.Errorf("the broker of the third document stands in line %d", p)
	}
	if c := &got.Components[0]; !c.Visible("app1") || c.Visible("app3") {
		t.Error("scopes do not hold")
	}
}

func TestOtherKinds(t *testing.T) {
	got, err := Parse("all.yaml", `apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: { name: order }
spec:
  pubsubname: pubsub
  topic: orders
  routes:
    rules: [ { match: event.type == "x", path: /x } ]
    default: /orders
  deadLetterTopic: poison
  metadata: { rawPayload: true }
  bulkSubscribe: { enabled: true, maxMessagesCount: 100, maxAwaitDurationMs: 40 }
scopes: [app]
---
apiVersion: dapr.io/v1alpha1
kind: Subscription
metadata: { name: old }
spec: { pubsubname: pubsub, topic: t, route: /r }
---
kind: HTTPEndpoint
metadata: { name: github }
spec:
  baseUrl: https://example.org
  headers: [ { name: accept, value: text/plain } ]
  clientTLS: { rootCA: { secretKeyRef: { name: ca } } }
---
kind: Resiliency
metadata: { name: res }
spec:
  policies:
    timeouts: { fast: 500ms }
    retries:
      again: { policy: exponential, maxInterval: 15s, maxRetries: 10, matching: { httpStatusCodes: "429,500-599" } }
      plain: {}
    circuitBreakers:
      cb: { maxRequests: 2, timeout: 30s, trip: consecutiveFailures > 5 }
  targets:
    apps: { orders: { timeout: fast, retry: again, circuitBreaker: cb } }
    components: { statestore: { outbound: { retry: plain } } }
---
kind: Configuration
metadata: { name: conf }
spec:
  nameResolution: { component: consul, configuration: { selfRegister: true, tags: [dapr] } }
  httpPipeline: { handlers: [ { name: up, type: middleware.http.uppercase } ] }
  secrets: { scopes: [ { storeName: local, defaultAccess: deny, allowedSecrets: [a] } ] }
  features: [ { name: HotReload, enabled: false } ]
  components: { deny: [ bindings.cron ] }
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Resources{
		Subscriptions: []Subscription{
			{
				Name: "order", PubSub: "pubsub", Topic: "orders", Default: "/orders", DeadLetter: "poison", Scopes: []string{"app"},
				Rules:    []Rule{{Match: `event.type == "x"`, Path: "/x"}},
				Metadata: map[string]string{"rawPayload": "true"},
				Bulk:     &Bulk{MaxMessages: 100, MaxAwait: 40 * time.Millisecond},
			},
			{Name: "old", PubSub: "pubsub", Topic: "t", Default: "/r"},
		},
		Endpoints: []HTTPEndpoint{{
			Name: "github", BaseURL: "https://example.org",
			Headers: []Property{{Name: "accept", Value: "text/plain"}},
			TLS:     TLS{RootCA: Property{Name: "rootCA", Secret: SecretRef{Name: "ca", Key: "ca"}}},
		}},
		Resiliency: []Resiliency{{
			Name:     "res",
			Timeouts: map[string]time.Duration{"fast": 500 * time.Millisecond},
			Retries: map[string]Retry{
				"again": {Policy: "exponential", Duration: 5 * time.Second, MaxInterval: 15 * time.Second, MaxRetries: 10, HTTPCodes: "429,500-599"},
				"plain": {Policy: "constant", Duration: 5 * time.Second, MaxInterval: time.Minute, MaxRetries: -1},
			},
			Breakers:   map[string]Breaker{"cb": {MaxRequests: 2, Timeout: 30 * time.Second, Trip: "consecutiveFailures > 5"}},
			Apps:       map[string]Target{"orders": {Timeout: "fast", Retry: "again", Breaker: "cb"}},
			Components: map[string]Directions{"statestore": {Outbound: Target{Retry: "plain"}}},
		}},
		Configurations: []Configuration{{
			Name:           "conf",
			NameResolution: &NameResolution{Component: "consul", Options: map[string]any{"selfRegister": true, "tags": []any{"dapr"}}},
			HTTPPipeline:   []Handler{{Name: "up", Type: "middleware.http.uppercase"}},
			SecretScopes:   []SecretScope{{Store: "local", DefaultAccess: "deny", Allowed: []string{"a"}}},
			Features:       map[string]bool{"HotReload": false},
			Denied:         []string{"bindings.cron"},
		}},
	}
	if d := cmp.Diff(want, got, ignorePlaces()); d != "" {
		t.Error(d)
	}
}

// TestMistakes: each mistake has its place, and does not hide the others.
func TestMistakes(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"kind", "kind: Store\nmetadata: { name: a }\nspec: { type: x }\n", `f.yaml:1:7: unknown kind "Store"`},
		{"name", "kind: Component\nspec: { type: x }\n", "f.yaml:1:1: this Component has no name"},
		{"type", "kind: Component\nmetadata: { name: a }\nspec: {version: v1}\n", "f.yaml:3:7: component a has no type"},
		{"misspelt", "kind: Component\nmetadata: { name: a }\nspec:\n  type: x\n  metdata: []\n", "f.yaml:5:3: unknown key \"metdata\"\n    metdata: []\n    ^\n  did you mean metadata?"},
		{"syntax", "kind: Component\nmetadata: [\n", "f.yaml:"},
		{"number", "kind: Component\nmetadata: { name: a }\nspec: { type: x, ignoreErrors: perhaps }\n", `f.yaml:3:32: "perhaps" is neither true nor false`},
		{"duration", "kind: Component\nmetadata: { name: a }\nspec: { type: x, initTimeout: soon }\n", `f.yaml:3:31: "soon" is no duration`},
		{"twice", "kind: Component\nmetadata: { name: a }\nspec:\n  type: x\n  metadata:\n  - { name: b }\n  - { name: B }\n", "f.yaml:7:5: B is set twice"},
		{"route", "kind: Subscription\nmetadata: { name: a }\nspec: { pubsubname: p, topic: t }\n", "f.yaml:3:7: subscription a has no route"},
		{"policy", "kind: Resiliency\nmetadata: { name: a }\nspec:\n  targets: { apps: { b: { retry: none } } }\n", `f.yaml:4:25: there is no retry named "none"`},
		{"scalar", "kind: Component\nmetadata: { name: a }\nspec: 3\n", "f.yaml:3:7: this must have keys and values"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good := "---\nkind: Component\nmetadata: { name: good }\nspec: { type: y }\n"
			all, err := Parse("f.yaml", tt.text+good)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
			if n := len(all.Components); n == 0 || all.Components[n-1].Name != "good" {
				t.Errorf("the good document after it was lost: %v", all.Components)
			}
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Error("no *Error inside")
			}
		})
	}
}

func TestSameName(t *testing.T) {
	component := func(name, scopes string) string {
		return "---\nkind: Component\nmetadata: { name: " + name + " }\nspec: { type: x }\nscopes: [" + scopes + "]\n"
	}
	if _, err := Parse("f.yaml", component("a", "one")+component("a", "two")); err != nil {
		t.Errorf("scopes that do not overlap: %v", err)
	}
	_, err := Parse("f.yaml", component("a", "one, two")+component("a", "two"))
	if err == nil || !strings.Contains(err.Error(), `f.yaml:9:15: there is a second component named "a"`) {
		t.Errorf("got %v", err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml":     "kind: Component\nmetadata: { name: a }\nspec: { type: x }\n",
		"b.yml":      "kind: Component\nmetadata: { name: b }\nspec: { type: x }\n",
		".b.yml.swp": "nonsense: [",
		".#b.yml":    "nonsense: [",
		"notes.txt":  "nonsense: [",
		"broken.yml": "kind: Component\nmetadata: { name: c\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	all, err := Load(filepath.Join(dir, "missing"), dir)
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 1 || !strings.HasSuffix(errs[0].Place.File, "broken.yml") {
		t.Errorf("want one mistake, in broken.yml, got %v", err)
	}
	var names []string
	for _, c := range all.Components {
		names = append(names, c.Name)
	}
	if d := cmp.Diff([]string{"a", "b"}, names); d != "" {
		t.Error(d)
	}
}

// FuzzParse: whatever stands in a file, reading ends, and places are in it.
func FuzzParse(f *testing.F) {
	f.Add(store)
	f.Add("kind: Resiliency\nmetadata: { name: a }\nspec: { policies: [1], targets: { apps: { b: 3 } } }")
	f.Add("a: &x [*x]\n---\n- \x00\n--- |\n\t")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := Parse("f.yaml", text)
		var errs Errors
		errors.As(err, &errs)
		for _, e := range errs {
			if lines := strings.Count(text, "\n") + 1; e.Place.Line > lines || e.Place.Line < 1 {
				t.Errorf("line %d of %d: %v", e.Place.Line, lines, e)
			}
		}
	})
}

// TestErrorsFromAFolder: mistakes in a project are named from its folder.
func TestErrorsFromAFolder(t *testing.T) {
	at := func(file string) *Error { return &Error{Place: Place{File: file, Line: 1, Column: 2}, Msg: "x"} }
	all := Errors{at("/shop/components/a.yaml"), at("/shopping/a.yaml")}
	all[1].Hint = "see /shop/b.yaml:3:4"
	if got, want := all.From("/shop").Error(), "components/a.yaml:1:2: x\n\n/shopping/a.yaml:1:2: x\n  see b.yaml:3:4"; got != want {
		t.Errorf("from the folder the mistakes are\n%s, want\n%s", got, want)
	}
	if got := all[0].Place.File; got != "/shop/components/a.yaml" {
		t.Errorf("the mistakes themselves were changed: %s", got)
	}
}
