package cli_test

import (
	"strings"
	"testing"
)

// TestScreenPreferencesAreExplained: mistakes in the user's screen.toml are named
// with their lines before anything is started.
func TestScreenPreferencesAreExplained(t *testing.T) {
	s := newShell(t)
	s.file("mesh.toml", "[apps.web]\n")
	s.file("home/mesh/screen.toml", `theme = "pink"
[keyz]
[keys]
restrat = "r"
freeze = "spce"
logs.wrap = ["W", 7]
`)
	_, errs, code := s.run("tap", "@slow")
	for _, want := range []string{
		"screen.toml:1: theme is one of auto, dark, light, none", `screen.toml:2: there is no "keyz" here`, "did you mean keys?",
		`screen.toml:4: there is no command "restrat"; did you mean "restart"?`, `screen.toml:5: there is no key "spce"`, "screen.toml:6: a key of wrap is no text",
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("no word of %q in\n%s", want, errs)
		}
	}
	if code != 2 {
		t.Errorf("exit code %d", code)
	}
	s.file("home/mesh/screen.toml", "[filters]\nslow = \"ttfb>1s\"\nmem = \"mem>1MiB\"\n")
	if _, errs, code := s.run("tap", "@fast"); code != 2 || !strings.Contains(errs, "no filter is saved as @fast") || !strings.Contains(errs, "there are @mem, @slow") {
		t.Errorf("%d %s", code, errs)
	}
	if _, errs, _ := s.run("tap", "@mem"); !strings.Contains(errs, "is not about streams") {
		t.Errorf("%s", errs)
	}
	if _, errs, _ := s.run("tap", "to:web", "@slow"); !strings.Contains(errs, "no mesh runs") && !strings.Contains(errs, "not running") {
		t.Errorf("a saved filter is not understood: %s", errs)
	}
	s.file("home/mesh/screen.toml", "theme = \n")
	if _, errs, _ := s.run("tap", "@slow"); !strings.Contains(errs, "screen.toml:1:") {
		t.Errorf("%s", errs)
	}
}
