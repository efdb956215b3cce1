package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mesh/supervisor/config"
)

// brokenMesh has its mistakes in its lines 3 and 6.
const brokenMesh = `[apps.web]
command = "exec web"
prot = 8080

[apps.bill]
comand = "exec bill"
`

func TestBlockOfMistakes(t *testing.T) {
	_, err := config.Parse("/shop/mesh.toml", []byte(brokenMesh), config.Options{})
	found, ok := errors.AsType[config.Errors](err)
	if !ok {
		t.Fatalf("the file has no mistakes: %v", err)
	}
	for _, c := range []struct{ name, before, mark, eol string }{
		{"usual", "", "#!", "\n"},
		{"with the mark in use", "#!/usr/bin/mesh\n# ours\n", "#!!", "\n"},
		{"with the mark in use below", "# ours\n#!!\n", "#!!!", "\n"},
		{"of another system", "# ours\r\n", "#!", "\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if mark := markFor([]byte(c.before + brokenMesh)); mark != c.mark {
				t.Errorf("the mark is %q, want %q", mark, c.mark)
			}
			if eol := lineEnd([]byte(c.before + brokenMesh)); eol != c.eol {
				t.Errorf("lines end in %q, want %q", eol, c.eol)
			}
			file := "/shop/mesh.toml"
			block := mistakeBlock(found, file, c.mark, c.eol)
			lines := strings.Split(strings.ReplaceAll(block+brokenMesh, c.eol, "\n"), "\n")
			at := firstPlace(shifted(found, file, strings.Count(block, "\n")), file)
			if at.Column != 1 || !strings.HasPrefix(lines[at.Line-1], "prot") {
				t.Errorf("the editor is opened at %d:%d of\n%s", at.Line, at.Column, block+brokenMesh)
			}
			for _, place := range found {
				want := strings.ReplaceAll(shifted(config.Errors{place}, file, strings.Count(block, "\n")).From("/shop").Error(), "\n", c.eol+c.mark+" ")
				if !strings.Contains(block, c.mark+" "+want) {
					t.Errorf("the block does not say %q:\n%s", want, block)
				}
			}
			for _, line := range lines[:strings.Count(block, "\n")] {
				if !strings.HasPrefix(line, c.mark) {
					t.Errorf("a line of the block is %q", line)
				}
			}
			if !strings.Contains(block, "removed on save") {
				t.Errorf("nothing is said of its end:\n%s", block)
			}
			if got := string(withoutBlock([]byte(block+c.before+brokenMesh), c.mark)); got != c.before+brokenMesh {
				t.Errorf("without the block it is\n%s", got)
			}
		})
	}
}

func TestMistakesOfOtherFilesStayWhereTheyAre(t *testing.T) {
	file := "/shop/mesh.toml"
	found := config.Errors{
		{Place: config.Place{File: "/shop/.env", Line: 2, Column: 1}, Msg: "no name"},
		{Place: config.Place{File: file}, Msg: "too large"},
	}
	if at := firstPlace(found, file); at.Line != 0 {
		t.Errorf("the editor is opened at line %d", at.Line)
	}
	block := mistakeBlock(found, file, "#!", "\n")
	if !strings.Contains(block, "#! .env:2:1: no name\n") || !strings.Contains(block, "#! mesh.toml: too large\n") {
		t.Errorf("the block says\n%s", block)
	}
}

func TestWithoutBlock(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"the whole block", "#! a\n#!\n#! b\nx = 1\n", "x = 1\n"},
		{"no block", "x = 1\n", "x = 1\n"},
		{"nothing", "", ""},
		{"a block alone", "#! a\n#! b", ""},
		{"a part of the block", "#! b\n# mine\nx = 1\n", "# mine\nx = 1\n"},
		{"lines changed by hand", "#! a, mended\n#!\nx = 1\n", "x = 1\n"},
		{"lines between and before", "\n# first\n#! a\n# mine\n#! b\n\nx = 1\n", "\n# first\n# mine\n\nx = 1\n"},
		{"a script in the file", "#! a\nbuild = '''\n#! /bin/sh\nmake\n'''\n", "build = '''\n#! /bin/sh\nmake\n'''\n"},
		{"no end of the last line", "#! a\nx = 1", "x = 1"},
		{"other ends of lines", "#! a\r\n\r\nx = 1\r\n", "\r\nx = 1\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(withoutBlock([]byte(c.text), "#!")); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestEditorsOpenAtALine(t *testing.T) {
	for editor, want := range map[string]string{
		"vi":                "vi +7 mesh.toml",
		"/usr/bin/nano -w":  "/usr/bin/nano -w +7 mesh.toml",
		"code -n":           "code -n --wait --goto mesh.toml:7:3",
		"ed":                "ed mesh.toml",
		"emacs -nw --quick": "emacs -nw --quick +7 mesh.toml",
	} {
		if got := strings.Join(editorArgs(strings.Fields(editor), "mesh.toml", 7, 3), " "); got != want {
			t.Errorf("%s is started as %q, want %q", editor, got, want)
		}
	}
}

// TestMend edits files with a shell script. It sees the line in $1 and the file in
// $2, and mesh.toml in the folder where it runs.
func TestMend(t *testing.T) {
	const right = "[apps.web]\ncommand = \"exec web\"\nport = 8080\n\n[apps.bill]\ncommand = \"exec bill\"\n"
	fix := `sed 's/^prot/port/; s/^comand/command/' "$2" >fixed && cat fixed >"$2" && rm fixed; `
	for _, c := range []struct {
		name, text, script   string
		want, said, err, own string // own: what is kept of a copy
	}{
		{"mended", brokenMesh, fix, right, "mesh.toml is what you wrote in the editor", "", ""},
		{
			"the mistakes are on top, and the line is that of the first", brokenMesh,
			`sed -n "${1#+}p" "$2" | grep -q '^prot' && grep -q '^#! mesh.toml:[0-9]*:1: ' "$2" || exit 9; ` + fix, right, "what you wrote", "", "",
		},
		{"not changed", brokenMesh, ":", brokenMesh, "nothing was changed", "", ""},
		{"only the block deleted", brokenMesh, `grep -v '^#!' "$2" >x; cat x >"$2"; rm x`, brokenMesh, "nothing was changed", "", ""},
		{"given up", brokenMesh, "exit 1", brokenMesh, "", "nothing was changed", ""},
		{"given up late", brokenMesh, fix + "exit 1", brokenMesh, "", "what you wrote is kept in .mesh/edit/", right},
		{"changed by someone else", brokenMesh, fix + "echo '# theirs' >mesh.toml", "# theirs\n", "", "has been changed meanwhile", right},
		{"a file without mistakes is edited itself", right, `test -L "$2" && test "$1" = +2 && echo '# live' >>"$2"`, right + "# live\n", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file, target := filepath.Join(dir, "mesh.toml"), filepath.Join(dir, "linked.toml")
			writeTest(t, target, c.text, 0o640)
			if err := os.Symlink("linked.toml", file); err != nil {
				t.Fatal(err)
			}
			env := Env{Dir: dir, Environ: append(os.Environ(), "VISUAL=", "EDITOR="+fakeVi(t, c.script)), Stderr: t.Output()}
			said, err := env.mend(t.Context(), file, 2, 1, nil, t.Output())
			if (c.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("the error is %v, want %q", err, c.err)
			}
			if !strings.Contains(said, c.said) {
				t.Errorf("it says %q, want %q", said, c.said)
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != c.want {
				t.Errorf("mesh.toml is %q (%v), want %q", got, err, c.want)
			}
			if link, err := os.Readlink(file); err != nil || link != "linked.toml" {
				t.Errorf("mesh.toml is no link any more (%v)", err)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("mesh.toml may be used otherwise than before: %v (%v)", info, err)
			}
			kept, err := filepath.Glob(filepath.Join(dir, ".mesh", "edit", "*", "mesh.toml"))
			if err != nil {
				t.Fatal(err)
			}
			var own []byte
			for _, name := range kept {
				text, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				own = append(own, withoutBlock(text, "#!")...)
			}
			if string(own) != c.own {
				t.Errorf("kept is %q in %v, want %q", own, kept, c.own)
			}
		})
	}
}

// fakeVi makes an editor that takes a line as vi does.
func fakeVi(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "vi")
	// A process that is started while the script is open for writing would have it
	// open as well, and then it cannot be run.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	writeTest(t, name, "#!/bin/sh\n"+script+"\n", 0o700)
	return name
}

func writeTest(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}
