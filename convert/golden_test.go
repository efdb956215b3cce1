package convert

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"mesh/supervisor/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestInit drafts a mesh.toml for each project below testdata/init.
func TestInit(t *testing.T) {
	golden(t, "testdata/init/*.txtar", func(dir string) (*Result, error) {
		return Init(InitOptions{Dir: dir, File: filepath.Join(dir, "mesh.toml")})
	})
}

// TestImport turns each dapr.yaml below testdata/import into a mesh.toml.
func TestImport(t *testing.T) {
	golden(t, "testdata/import/*.txtar", func(dir string) (*Result, error) {
		return Dapr(Options{File: filepath.Join(dir, "dapr.yaml"), Name: "dapr.yaml", Out: filepath.Join(dir, "mesh.toml")})
	})
}

// golden unpacks archives, makes a draft of each, and compares what it says with
// the files "want mesh.toml" and "want words" of the archive. Every draft must
// be a good mesh.toml.
func golden(t *testing.T, glob string, draft func(dir string) (*Result, error)) {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatalf("no archives at %s: %v", glob, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			want := map[string][]byte{}
			kept := archive.Files[:0]
			for _, f := range archive.Files {
				if strings.HasPrefix(f.Name, "want ") {
					want[f.Name] = f.Data
					continue
				}
				kept = append(kept, f)
				write(t, filepath.Join(dir, f.Name), f.Data)
			}
			archive.Files = kept
			r, err := draft(dir)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string][]byte{"want mesh.toml": r.Draft.Text(), "want words": words(r)}
			if *update {
				for _, name := range []string{"want mesh.toml", "want words"} {
					archive.Files = append(archive.Files, txtar.File{Name: name, Data: got[name]})
				}
				write(t, file, txtar.Format(archive))
			} else {
				for name, text := range got {
					if !bytes.Equal(text, want[name]) {
						t.Errorf("%s is\n%s\nwant\n%s", name, text, want[name])
					}
				}
			}
			if _, err := config.Parse(filepath.Join(dir, "mesh.toml"), r.Draft.Text(), config.Options{}); err != nil {
				t.Errorf("the draft is no good mesh.toml:\n%s", err)
			}
		})
	}
}

// words is what a draft tells the user.
func words(r *Result) []byte {
	var b bytes.Buffer
	for _, s := range r.Found {
		b.WriteString("found " + s + "\n")
	}
	for _, n := range r.Notes {
		b.WriteString("note " + n.String() + "\n")
	}
	for _, s := range r.Next {
		b.WriteString("next " + s + "\n")
	}
	return b.Bytes()
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
