// Package apitest gives the tests of the API's dialects live components: an
// embedded store, a store in memory, a broker, a binding and secrets.
package apitest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mesh/runtime/component"
	"mesh/runtime/resource"
)

// Components is the YAML of what Start starts.
const Components = `
kind: Component
metadata: { name: memory }
spec: { type: state.in-memory }
---
kind: Component
metadata: { name: sqlite }
spec: { type: state.sqlite, metadata: [ { name: connectionString, value: state.db } ] }
---
kind: Component
metadata: { name: theirs }
spec: { type: state.in-memory }
scopes: [ them ]
---
kind: Component
metadata: { name: broker }
spec:
  type: pubsub.in-memory
  metadata:
  - { name: publishingScopes, value: "me=open,orders,raw;them=" }
  - { name: protectedTopics, value: secret }
---
kind: Component
metadata: { name: files }
spec: { type: bindings.localstorage, metadata: [ { name: rootPath, value: files } ] }
---
kind: Component
metadata: { name: secrets }
spec: { type: secretstores.local.file, metadata: [ { name: secretsFile, value: secrets.json } ] }
`

// Start starts components as the app "me" sees them, until the test ends, and
// more of them that are given as YAML.
func Start(tb testing.TB, more ...string) *component.App {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secrets.json"), []byte(`{"db":"pw","other":"x"}`), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o700); err != nil {
		tb.Fatal(err)
	}
	found, err := resource.Parse("test.yaml", strings.Join(append([]string{Components}, more...), "\n---\n"))
	if err != nil {
		tb.Fatal(err)
	}
	live := component.New(component.Options{Dir: dir})
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	ended := make(chan error, 1)
	go func() { ended <- live.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			tb.Errorf("the components ended with: %v", err)
		}
	})
	if err := live.Apply(ctx, component.Desired{Components: found.Components, Apps: []string{"me", "them"}}); err != nil {
		tb.Fatal(err)
	}
	for _, s := range live.Status() {
		if s.Condition != component.Ready {
			tb.Fatalf("component %s is %s: %s", s.Name, s.Condition, s.Reason)
		}
	}
	return live.App("me")
}
