package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzInit: whatever a file says, it is a mistake with its place or it makes a
// good mesh.toml; nothing in between.
func FuzzInit(f *testing.F) {
	names := []string{"dapr.yaml", "Procfile", "compose.yaml", "package.json"}
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, a := range archive.Files {
			for kind, name := range names {
				if strings.HasPrefix(name, strings.TrimPrefix(strings.TrimSuffix(filepath.Base(a.Name), ".yml"), "docker-")) || filepath.Base(a.Name) == name {
					f.Add(byte(kind), string(a.Data))
				}
			}
		}
	}
	f.Add(byte(2), "services: {a: {build: ., command: x, environment: {A: \"${B:-${C}} ${\"}, depends_on: {b: {condition: service_completed_successfully}}}, b: {build: ., command: y, restart: always}}")
	f.Fuzz(func(t *testing.T, kind byte, text string) {
		dir := t.TempDir()
		for _, folder := range []string{"web", "api", "orders", "resources"} {
			if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(dir, names[int(kind)%len(names)])
		write(t, file, []byte(text))
		r, err := Init(InitOptions{Dir: dir, From: file, File: filepath.Join(dir, "mesh.toml")})
		if err != nil && strings.Contains(err.Error(), "makes no good mesh.toml") {
			t.Errorf("%v\nfrom\n%s", err, text)
		}
		if err == nil && len(r.Draft.Apps) == 0 {
			t.Errorf("there is no app and no error\n%s", text)
		}
	})
}
