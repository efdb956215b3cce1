package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"mesh/supervisor/config"
)

// TestMistakes: what is wrong with a file is said with its line, and with what
// to do.
func TestMistakes(t *testing.T) {
	const head = "version: 1\napps:\n"
	for name, c := range map[string]struct {
		file, text string
		want       []string
	}{
		"empty":              {"dapr.yaml", "", []string{"dapr.yaml:1:1: the file is empty"}},
		"no YAML":            {"dapr.yaml", "version: 1\napps: [\n", []string{"dapr.yaml:", "no valid YAML"}},
		"a list":             {"dapr.yaml", "- a\n", []string{"dapr.yaml:1:1: a run file must have keys and values"}},
		"no version":         {"dapr.yaml", "apps:\n- {appDirPath: ., appID: a}\n", []string{"dapr.yaml:1:1: version is missing", "say version: 1"}},
		"version 2":          {"dapr.yaml", "version: 2\napps:\n- {appDirPath: ., appID: a}\n", []string{"dapr.yaml:1:10: version must be 1"}},
		"no apps":            {"dapr.yaml", "version: 1\n", []string{"there are no apps"}},
		"misspelt key":       {"dapr.yaml", head + "- {appDirPath: ., appID: a, apPort: 1}\n", []string{"dapr.yaml:3:", `unknown key "apPort"`, "did you mean appPort?"}},
		"said twice":         {"dapr.yaml", head + "- appDirPath: .\n  appID: a\n  appID: b\n", []string{"dapr.yaml:5:3: appID is said twice"}},
		"no folder":          {"dapr.yaml", head + "- {appID: a}\n", []string{"dapr.yaml:3:3: appDirPath is missing"}},
		"missing folder":     {"dapr.yaml", head + "- {appDirPath: gone}\n", []string{"dapr.yaml:3:16: gone does not exist"}},
		"missing resources":  {"dapr.yaml", head + "- appDirPath: .\n  appID: a\n  resourcesPaths:\n  - gone\n", []string{"dapr.yaml:6:5: gone does not exist"}},
		"bad id":             {"dapr.yaml", head + "- {appDirPath: ., appID: my.app}\n", []string{`"my.app" is no id for an app`, "say appID: my-app"}},
		"same id":            {"dapr.yaml", head + "- {appDirPath: ., appID: a}\n- {appDirPath: ., appID: a}\n", []string{"dapr.yaml:4:", "the first is on line 3", "instances = 2"}},
		"command as text":    {"dapr.yaml", head + "- {appDirPath: ., appID: a, command: go run .}\n", []string{"command must be a list", `["go", "run", "."]`}},
		"command empty":      {"dapr.yaml", head + "- {appDirPath: ., appID: a, command: [\"\"]}\n", []string{"command names no program"}},
		"port as text":       {"dapr.yaml", head + "- {appDirPath: ., appID: a, appPort: http}\n", []string{`appPort must be a whole number, not "http"`}},
		"port too large":     {"dapr.yaml", head + "- {appDirPath: ., appID: a, appPort: 70000}\n", []string{"dapr.yaml:3:38:", "65535"}},
		"port twice":         {"dapr.yaml", head + "- {appDirPath: ., appID: a, appPort: 7000}\n- appDirPath: .\n  appID: b\n  appPort: 7000\n", []string{"dapr.yaml:6:12: port 7000 is taken by apps.a.port\n"}},
		"no protocol":        {"dapr.yaml", head + "- appDirPath: .\n  appID: a\n  appPort: 7000\n  appProtocol: htp\n", []string{"dapr.yaml:6:16:", "grpcs"}},
		"no size":            {"dapr.yaml", head + "- {appDirPath: ., appID: a, maxBodySize: big}\n", []string{`maxBodySize must be a size such as 4Mi, not "big"`}},
		"env as a list":      {"dapr.yaml", head + "- appDirPath: .\n  appID: a\n  env: [A=b]\n", []string{"dapr.yaml:5:8: env must have keys and values"}},
		"yes and no":         {"dapr.yaml", head + "- {appDirPath: ., appID: a, enableAppHealthCheck: maybe}\n", []string{`enableAppHealthCheck must be true or false, not "maybe"`}},
		"merges without end": {"dapr.yaml", head + "- &a {appDirPath: ., appID: a, <<: {<<: *a}}\n", []string{"nested too deep"}},
		"Procfile":           {"Procfile", "web: a\n\nweb: b\nnothing\n", []string{"Procfile:3:1: there is a second process named web, the first is on line 1", "Procfile:4:1: this line names no process"}},
		"compose":            {"compose.yaml", "services:\n  a:\n    build: .\n    command: x\n    depends_on: [b]\n", []string{"compose.yaml:5:18: a depends on b, which is no service"}},
		"compose condition":  {"compose.yaml", "services:\n  a:\n    build: .\n    command: x\n    depends_on: {a: {condition: fine}}\n", []string{"compose.yaml:5:18:", "service_healthy"}},
		"package.json":       {"package.json", "{\n  \"scripts\": {\"dev\": }\n}\n", []string{"package.json:2:22: no valid package.json"}},
		"images of others":   {"compose.yaml", "services:\n  a:\n    image: redis\n", []string{"there is nothing to run in it", "1 service with images of others: a"}},
		"no main package":    {"go.mod", "module x\n", []string{"there is nothing to run in it: go.mod: no program"}},
		"another kind":       {"Makefile", "", []string{"Makefile is of no kind that can be read", "a Procfile"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, c.file), []byte(c.text))
			_, err := Init(InitOptions{Dir: dir, From: filepath.Join(dir, c.file), File: filepath.Join(dir, "mesh.toml")})
			if err == nil {
				t.Fatal("there is no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error does not say %q:\n%s", w, err)
				}
			}
		})
	}
}

// TestMissingFile: the error of a file that is not there can be told from others.
func TestMissingFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dapr(Options{File: filepath.Join(dir, "dapr.yaml"), Out: filepath.Join(dir, "mesh.toml")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading a missing dapr.yaml: %v", err)
	}
}

// TestHome: ~ is the home folder, as for Dapr, and what Dapr would read there is
// remarked.
func TestHome(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "home", "app", "x"), nil)
	write(t, filepath.Join(dir, "home", ".dapr", "components", "statestore.yaml"), nil)
	write(t, filepath.Join(dir, "p", "dapr.yaml"), []byte("version: 1\napps:\n- appDirPath: ~/app\n"))
	r, err := Dapr(Options{File: filepath.Join(dir, "p", "dapr.yaml"), Out: filepath.Join(dir, "p", "mesh.toml"), Home: filepath.Join(dir, "home")})
	if err != nil {
		t.Fatal(err)
	}
	if e := r.Draft.Apps[0].find("dir"); e == nil || e.Value != "../home/app" {
		t.Errorf("the folder is %v, want ../home/app", e)
	}
	if len(r.Notes) != 1 || r.Notes[0].Line != 3 || !strings.Contains(r.Notes[0].Text, "~/.dapr/components") {
		t.Errorf("the notes are %v, want one about ~/.dapr/components on line 3", r.Notes)
	}
}

// FuzzDraftText: whatever text a draft holds, the file says it again.
func FuzzDraftText(f *testing.F) {
	for _, s := range []string{"", "plain", `a "quoted" \ it's`, "tab\tline\nend\r", "${X} $${Y} $Z", "\x01\x7f", "é ü 漢 🙂", "'''", `C:\dir`, "\u2028\u00a0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) || strings.ToValidUTF8(s, "") != s {
			return // no text of a file
		}
		a := App{ID: "a"}
		a.add("command", []string{"x", plain(s)}, "")
		a.add("env", map[string]string{"V": plain(s)}, "")
		d := Draft{Apps: []App{a}}
		m, err := config.Parse("mesh.toml", d.Text(), config.Options{})
		if err != nil {
			t.Fatalf("%q makes a bad file: %v\n%s", s, err, d.Text())
		}
		if got := m.Apps[0].Argv[1]; got != s {
			t.Errorf("an argument %q became %q:\n%s", s, got, d.Text())
		}
		if got := m.Apps[0].Env["V"]; got != s {
			t.Errorf("a variable %q became %q:\n%s", s, got, d.Text())
		}
	})
}

// TestMore: each line of advice that a new file ends with is good when it is
// used.
func TestMore(t *testing.T) {
	var keys, tables []string
	for _, line := range more() {
		rest, indented := strings.CutPrefix(line, "  ")
		switch {
		case !indented:
		case strings.HasPrefix(rest, "[") || len(tables) > 0:
			tables = append(tables, rest)
		default:
			keys = append(keys, rest)
		}
	}
	if len(keys) < 5 || len(tables) < 3 {
		t.Fatalf("there is hardly any advice: %d keys, %d lines of tables", len(keys), len(tables))
	}
	text := fmt.Sprintf("[apps.a]\ncommand = \"x\"\n%s\n[apps.other]\ncommand = \"y\"\n%s\n", strings.Join(keys, "\n"), strings.Join(tables, "\n"))
	if _, err := config.Parse("mesh.toml", []byte(text), config.Options{}); err != nil {
		t.Errorf("the advice makes a bad file:\n%s\n%s", err, text)
	}
}
