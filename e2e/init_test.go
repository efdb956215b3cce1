package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInitRuns: what `mesh init` writes for a program that nobody has prepared
// for it runs and answers.
func TestInitRuns(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"go": {
			"go.mod": "module example.com/hello\n\ngo 1.26\n",
			"main.go": `package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello from init") })
	panic(http.ListenAndServe("127.0.0.1:"+os.Getenv("APP_PORT"), nil))
}
`,
		},
		"procfile": {"Procfile": "hello: env E2E_ROLE=server APP_PORT=$PORT SELF\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "")
			if err := os.Remove(filepath.Join(p.dir, "mesh.toml")); err != nil {
				t.Fatal(err)
			}
			for file, text := range files {
				p.write(file, text)
			}
			if stdout, stderr, code := p.mesh("init"); code != 0 {
				t.Fatalf("mesh init exits with %d:\n%s%s", code, stdout, stderr)
			}
			p.up()
			if _, stderr, code := p.mesh("wait", "hello", "--for", "ready", "--timeout", "25s"); code != 0 {
				t.Fatalf("hello is not ready: %s", stderr)
			}
			stdout, stderr, code := p.mesh("invoke", "hello", "/who")
			if code != 0 || strings.TrimSpace(stdout) == "" {
				t.Errorf("hello does not answer: exit %d, %q\n%s", code, stdout, stderr)
			}
		})
	}
}
