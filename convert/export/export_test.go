package export

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"mesh/supervisor/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// load reads the mesh.toml of a folder.
func load(t *testing.T, dir string) *config.Mesh {
	t.Helper()
	m, err := config.Load(filepath.Join(dir, "mesh.toml"), config.Options{})
	if err != nil {
		t.Fatalf("reading the mesh:\n%s", err)
	}
	return m
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// unpack puts the files of an archive into a folder named shop, but for those
// that are wanted.
func unpack(t *testing.T, file string) (dir string, archive *txtar.Archive, want map[string][]byte) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "shop")
	want = map[string][]byte{}
	archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool {
		if strings.HasPrefix(f.Name, "want ") {
			want[f.Name] = f.Data
			return true
		}
		write(t, filepath.Join(dir, f.Name), f.Data)
		return false
	})
	return dir, archive, want
}

// everything gives all files of all exports of a mesh, by format and name, and
// what each tells the user.
func everything(t *testing.T, m *config.Mesh) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for format, convert := range Formats() {
		r, err := convert(Options{Mesh: m, Out: filepath.Join(m.Dir, format)})
		if err != nil {
			t.Fatalf("exporting to %s: %v", format, err)
		}
		for _, f := range r.Files {
			all[format+"/"+f.Name] = f.Data
		}
		var words bytes.Buffer
		for _, n := range r.Notes {
			words.WriteString("note " + n.String() + "\n")
		}
		for _, s := range r.Next {
			words.WriteString("next " + s + "\n")
		}
		all[format+".words"] = words.Bytes()
	}
	return all
}

// TestExport exports each mesh below testdata in every format, and compares
// what comes out with the files of the archive.
func TestExport(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no archives: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			dir, archive, want := unpack(t, file)
			got := everything(t, load(t, dir))
			var names []string
			for name := range got {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				if *update {
					archive.Files = append(archive.Files, txtar.File{Name: "want " + name, Data: got[name]})
				} else if !bytes.Equal(got[name], want["want "+name]) {
					t.Errorf("%s is\n%s\nwant\n%s", name, got[name], want["want "+name])
				}
			}
			if *update {
				write(t, file, txtar.Format(archive))
				return
			}
			for name := range want {
				if got[strings.TrimPrefix(name, "want ")] == nil {
					t.Errorf("%s is missing", name)
				}
			}
		})
	}
}

// TestSecretsStay: what env files and tokens hold is in no exported file.
func TestSecretsStay(t *testing.T) {
	dir, _, _ := unpack(t, "testdata/shop.txtar")
	for name, text := range everything(t, load(t, dir)) {
		if bytes.Contains(text, []byte("not exported")) || bytes.Contains(text, []byte(": secret\n")) {
			t.Errorf("%s holds a secret:\n%s", name, text)
		}
	}
}

// TestNames: a name that a cluster does not take is an error, since calls would
// not find the app by another one.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "mesh.toml"), []byte("[apps.My_App]\ncommand = \"x\"\n[components.\"My.store\"]\ntype = \"state.redis\"\n"))
	_, err := Kubernetes(Options{Mesh: load(t, dir), Out: filepath.Join(dir, "k")})
	for _, w := range []string{"mesh.toml:1:", "an app named My_App", "rename it to my-app", "mesh.toml:3:", "rename it to my.store"} {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q:\n%v", w, err)
		}
	}
}

// TestBrokenResources: a mesh whose resources are broken is not exported.
func TestBrokenResources(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "mesh.toml"), []byte("[apps.a]\ncommand = \"x\"\n"))
	write(t, filepath.Join(dir, "components", "x.yaml"), []byte("kind: Componentt\nmetadata: {name: x}\n"))
	for format, convert := range Formats() {
		if _, err := convert(Options{Mesh: load(t, dir), Out: filepath.Join(dir, "out")}); err == nil || !strings.Contains(err.Error(), "x.yaml:1") {
			t.Errorf("%s: the error does not name the file: %v", format, err)
		}
	}
}
