package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEnvFileMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no equals sign", "A=1\n\nPASSWORD\n", "sub/.env:3:1: unexpected character \"\\n\" in variable name\n  PASSWORD\n  ^\n  each line must be KEY=value"},
		{"nor at the end", "A=1\nPASSWORD", "sub/.env:2:1: a line without =\n  PASSWORD\n  ^\n  each line must be KEY=value"},
		{"bad name", "A=1\n  MY-KEY=secret\n", "sub/.env:2:3: unexpected character \"-\" in variable name\n    MY-KEY=…\n    ^\n  each line must be KEY=value"},
		{"name of digits", "1A=secret\n", "sub/.env:1:1: \"1A\" is no name for a variable\n  1A=…\n  ^\n  each line must be KEY=value"},
		{"open quote", "A='1'\nB=\"secret\nC=2", "sub/.env:2:3: a quoted value that does not end\n  B=…\n    ^\n  each line must be KEY=value"},
		{"NUL", "A=1\nB=\x00", "sub/.env:2:3: a NUL character\n  B=…\n    ^\n  each line must be KEY=value"},
		{"too large", strings.Repeat("#", maxSize+1), "mesh.toml:3:13: the env file sub/.env is larger than 1048576 bytes\n  env_file = ['sub/.env']\n              ^"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := project{"sub/.env": c.text}.parse(t, "[apps.a]\ncommand = 'x'\nenv_file = ['sub/.env']\n")
			if err == nil {
				t.Fatal("no mistake found")
			}
			if diff := cmp.Diff(c.want, strings.ReplaceAll(err.Error(), "/shop/", "")); diff != "" {
				t.Errorf("want - got +\n%s", diff)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Error("the value of a variable is shown")
			}
		})
	}
}

func TestEnvFilePrecedence(t *testing.T) {
	p := project{
		".env":     "A=mesh\nB=mesh\nC=mesh\nD=mesh\n",
		"more.env": "B=more\n",
		"app.env":  "C=app\nD=app\n",
	}
	text := `
[mesh]
env_file = [".env", "more.env"]
api_token = "${A} ${B} ${C} ${D}"
[apps.a]
command = ["${A}", "${B}", "${C}", "${D}"]
env_file = ["app.env"]
[apps.b]
command = ["${C}"]
`
	m := p.good(t, text, "D=outside")
	if want := "mesh more mesh outside"; m.APIToken != want {
		t.Errorf("in [mesh] the variables are %q, want %q", m.APIToken, want)
	}
	if diff := cmp.Diff([]string{"mesh", "more", "app", "outside"}, m.Find("a").Argv); diff != "" {
		t.Errorf("in the app with a file of its own: want - got +\n%s", diff)
	}
	if diff := cmp.Diff([]string{"mesh"}, m.Find("b").Argv); diff != "" {
		t.Errorf("in the other app: want - got +\n%s", diff)
	}
	if diff := cmp.Diff([]string{"A=mesh", "B=more", "C=mesh"}, m.Env); diff != "" {
		t.Errorf("for all apps, without what the environment sets: want - got +\n%s", diff)
	}
}

func TestExpand(t *testing.T) {
	vars := map[string]string{"A": "1", "EMPTY": "", "B_2": "two", "BRACES": "${A}"}
	lookup := func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"plain $A $ $$ }", "plain $A $ $$ }"},
		{"${A}${B_2}", "1two"},
		{"<${EMPTY}>", "<>"},
		{"${NO:-x y}", "x y"},
		{"${EMPTY:-x}", "x"},
		{"${A:-x}", "1"},
		{"${NO:-}", ""},
		{"${NO:-${NEITHER:-${A}}}!", "1!"},
		{"${NO:-$${A}}", "${A}"},
		{"$${A} $$${A}", "${A} $${A}"},
		{"${BRACES}", "${A}"},
	} {
		got, holes := expand(c.text, lookup)
		if got != c.want || len(holes) > 0 {
			t.Errorf("%q gives %q and %v, want %q", c.text, got, holes, c.want)
		}
	}
	for text, nth := range map[string]int{
		"${NO}": 0, "${A} ${NO}": 1, "$${A} ${NO}": 1, "${A:-${NO}} ${": 2, "${}": 0, "${A B}": 0,
		"${NO:-${NEITHER}}": 1, "${A:-x": 0, "${1:-${A}}": 0, "${A} ${1:-${A}}": 1,
	} {
		_, holes := expand(text, lookup)
		if len(holes) != 1 || holes[0].nth != nth {
			t.Errorf("%q has the holes %v, want one at the ${ number %d", text, holes, nth)
		}
	}
}
