package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// read gives a file below the folder.
func (s *shell) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

const runFile = `version: 1
apps:
- appID: orders
  appDirPath: .
  appPort: 6001
  logLevel: debug
  command: [./orders]
`

// TestInitWrites: a new mesh.toml passes the check, its first line names a schema
// that is there, and nothing is written over.
func TestInitWrites(t *testing.T) {
	s := newShell(t)
	s.file("Procfile", "web: ./web\n")
	s.file(".git/HEAD", "")
	s.says(0, []string{"init"}, "found  Procfile: 1 process (web)", "wrote  mesh.toml", "add .mesh/ to .gitignore", "`mesh up`")
	s.says(0, []string{"check"}, "mesh.toml is good: 1 app")
	first, _, _ := strings.Cut(s.read("mesh.toml"), "\n")
	schema, ok := strings.CutPrefix(first, "#:schema ./")
	var object map[string]any
	if err := json.Unmarshal([]byte(s.read(schema)), &object); !ok || err != nil {
		t.Errorf("the first line %q names no schema: %v", first, err)
	}
	if printed, _, _ := s.run("schema"); printed != s.read(schema) {
		t.Error("`mesh schema` prints another schema")
	}

	s.file("mesh.toml", "# mine\n")
	s.says(1, []string{"init"}, "mesh.toml exists already", "--force")
	if s.read("mesh.toml") != "# mine\n" {
		t.Error("init has written over a mesh.toml")
	}
	s.says(0, []string{"init", "--force"}, "kept   mesh.toml as mesh.toml.old")
	s.says(0, []string{"init", "--force"}, "kept   mesh.toml as mesh.toml.old2")
	if s.read("mesh.toml.old") != "# mine\n" {
		t.Error("init --force has lost the mesh.toml that was there")
	}
}

// TestInitSchema: the schema of another version is made anew, any other file of
// that name is left alone.
func TestInitSchema(t *testing.T) {
	s := newShell(t)
	s.file("mesh.schema.json", "{\n  \"title\": \"mesh.toml\"\n}\n")
	s.says(0, []string{"init"}, "wrote  mesh.toml")
	if !strings.Contains(s.read("mesh.schema.json"), "instances") {
		t.Error("the schema of another version was kept")
	}
	s.file("mesh.schema.json", "mine\n")
	before := s.read("mesh.toml")
	s.says(1, []string{"init", "--force"}, "mesh.schema.json exists already", "nothing was written")
	if s.read("mesh.schema.json") != "mine\n" || s.read("mesh.toml") != before {
		t.Error("init has written over a file of another kind")
	}
	s.says(0, []string{"check"}, "mesh.toml is good")
}

// TestInitFrom: --from chooses what is read, --dir where.
func TestInitFrom(t *testing.T) {
	s := newShell(t)
	s.file("sub/Procfile", "web: ./web\n")
	s.file("sub/other/dapr.yaml", runFile)
	s.says(0, []string{"init", "-C", "sub", "--from", "other/dapr.yaml"}, "found  other/dapr.yaml: 1 app")
	if text := s.read("sub/mesh.toml"); !strings.Contains(text, "[apps.orders]") || !strings.Contains(text, `"other"`) {
		t.Errorf("init has not read the file that was asked for:\n%s", text)
	}
	s.says(1, []string{"init", "-C", "gone"}, "gone", "no such file")
	s.says(1, []string{"init", "--from", "gone"}, "gone", "no such file")
	s.says(2, []string{"init", "gone"}, "one word too many")
}

// TestImportWrites: a dapr.yaml becomes a mesh.toml, what has no counterpart is
// named with its line, and a mistake writes nothing.
func TestImportWrites(t *testing.T) {
	s := newShell(t)
	s.file("dapr.yaml", runFile)
	stdout, stderr, code := s.run("import", "dapr.yaml")
	if code != 0 || !strings.Contains(stdout, "wrote  mesh.toml") || !strings.Contains(stderr, "dapr.yaml:6: logLevel has no meaning") {
		t.Errorf("import exits with %d and says\n%s%s", code, stdout, stderr)
	}
	s.says(0, []string{"check"}, "mesh.toml is good: 1 app")
	s.says(1, []string{"import", "dapr.yaml"}, "mesh.toml exists already", "nothing was written")

	stdout, _, code = s.run("import", "dapr.yaml", "-o", "-")
	if code != 0 || stdout != s.read("mesh.toml") {
		t.Errorf("import -o - exits with %d and prints\n%s", code, stdout)
	}
	s.file("deep/dapr.yaml", runFile)
	s.says(0, []string{"import", "deep/dapr.yaml", "-o", "deep/mesh.toml"}, "wrote  deep/mesh.toml", "`mesh check -C deep`, then `mesh up -C deep`")

	s.file("dapr.yaml", strings.Replace(runFile, "appPort", "apPort", 1))
	s.says(1, []string{"import", "dapr.yaml", "-o", "other.toml"}, "dapr.yaml:5:3: unknown key", "did you mean appPort?", "^", "1 error")
	if _, err := os.Stat(filepath.Join(s.dir, "other.toml")); err == nil {
		t.Error("import has written a file in spite of a mistake")
	}
	s.says(1, []string{"import", "gone.yaml"}, "gone.yaml", "no such file")
	s.says(2, []string{"import"}, "import needs a file")
}

// TestExportWrites: exports go to a folder of their own, are written anew, and
// leave the files of others alone.
func TestExportWrites(t *testing.T) {
	s := newShell(t)
	s.file("mesh.toml", "[apps.orders]\ncommand = \"./orders\"\nport = 6001\nhold = \"1s\"\n")
	for _, format := range []string{"dapr", "kubernetes", "compose"} {
		stdout, stderr, code := s.run("export", format)
		if code != 0 || !strings.Contains(stdout, "wrote  "+format+"/") || !strings.Contains(stderr, "mesh.toml:4: hold of orders has no counterpart") {
			t.Errorf("export %s exits with %d and says\n%s%s", format, code, stdout, stderr)
		}
	}
	s.says(0, []string{"import", "dapr/dapr.yaml", "-o", "back.toml"}, "wrote  back.toml", "`mesh up -f back.toml`")
	s.says(0, []string{"check", "-f", "back.toml"}, "1 app")

	s.says(0, []string{"export", "dapr", "-o", "deploy/here"}, "wrote  deploy/here/dapr.yaml", "dapr run -f deploy/here/dapr.yaml")

	s.file("mesh.toml", "[apps.web]\ncommand = \"./web\"\n")
	stdout, stderr, code := s.run("export", "kubernetes", "-o", "kubernetes", "--image", "hub/{app}:2")
	if code != 0 || !strings.Contains(stderr, "kubernetes/orders.yaml is of an earlier export") || !strings.Contains(s.read("kubernetes/web.yaml"), "image: hub/web:2") {
		t.Errorf("export exits with %d and says\n%s%s", code, stdout, stderr)
	}
	s.file("kubernetes/web.yaml", "mine\n")
	s.says(1, []string{"export", "kubernetes"}, "kubernetes/web.yaml exists already", "nothing was written")
	if s.read("kubernetes/web.yaml") != "mine\n" {
		t.Error("export has written over a file that no export has made")
	}
	s.says(2, []string{"export", "helm"}, `no format "helm"`, "kubernetes")
	s.says(2, []string{"export"}, "export needs a format: compose, dapr, kubernetes")
	s.says(2, []string{"export", "dapr", "-o", "."}, "--output")
}
