package config

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestMistakes reads each text of testdata/mistakes.txtar and wants the
// mistakes that follow it, as they are shown.
func TestMistakes(t *testing.T) {
	const file = "testdata/mistakes.txtar"
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := project{".env": "GREETING=hello\n", "sub/file": ""}
	var out []txtar.File
	for i, f := range archive.Files {
		name, isText := strings.CutSuffix(f.Name, ".toml")
		if !isText {
			continue
		}
		shown := "no mistake"
		if _, err := p.parse(t, string(f.Data), "USER=me", "BIG=70000"); err != nil {
			shown = strings.ReplaceAll(err.Error(), "/shop/", "")
		}
		out = append(out, f, txtar.File{Name: name + ".shown", Data: []byte(shown + "\n")})
		if *update {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if i+1 >= len(archive.Files) || archive.Files[i+1].Name != name+".shown" {
				t.Fatalf("%s does not say what is shown", file)
			}
			if diff := cmp.Diff(string(archive.Files[i+1].Data), shown+"\n"); diff != "" {
				t.Errorf("want - got +\n%s", diff)
			}
		})
	}
	if *update {
		archive.Files = out
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil { //nolint:gosec // a golden file is for all to read
			t.Fatal(err)
		}
	}
}
