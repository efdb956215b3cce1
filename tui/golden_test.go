package tui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mesh/supervisor/state"
)

var update = flag.Bool("update", false, "write the golden frames instead of comparing with them")

const configError = `mesh.toml:12:3: unknown key "prot"
   12 | prot = 8080
      | ^^^^

mesh.toml:20:14: an app cannot depend on itself
   20 | depends_on = ["orders"]
      |               ^^^^^^^^`

// scenes are what the golden frames show.
func scenes() map[string]func(s *session) {
	return map[string]func(s *session){
		"apps":    func(*session) {},
		"streams": func(s *session) { s.press("2", "f", "down") },
		"lanes":   func(s *session) { s.press("2", "enter"); s.tick() },
		"stalled": func(s *session) { s.press("2", "down", "enter", "up", "up", "up", "up", "[", "[", "[") },
		"chunk":   func(s *session) { s.press("2", "enter", "[", "[", "enter"); s.tick() },
		"chunk as hex": func(s *session) {
			s.press("2", "enter", "up", "up", "[", "enter", "V")
			s.tick()
		},
		"chunk not captured": func(s *session) { s.press("2", "down", "enter", "i"); s.tick() },
		"logs":               func(s *session) { s.press("4", "/"); s.text("long"); s.press("enter") },
		"topology": func(s *session) {
			s.press("5", "down", "down", "down")
		},
		"components": func(s *session) { s.press("6") },
		"plan":       func(s *session) { s.press("7") },
		"help":       func(s *session) { s.press("3", "?") },
		"config error": func(s *session) {
			s.mesh.set(func(m *state.Mesh) {
				m.Notices = []state.Notice{
					{At: noon(), Level: "warning", Code: "port", App: "mail", Text: "port 8025 is held by mailhog (pid 812)", Hint: "stop it, or choose another port"},
					{At: noon(), Level: "error", Code: "config", Text: configError, Hint: `did you mean "port"? The mesh runs on with what it had`},
				}
			})
			s.press("2")
		},
		"filter error": func(s *session) { s.press("2", "/"); s.text("to:llm ttfb>20") },
		"palette":      func(s *session) { s.press(":"); s.text("sc"); s.press("down") },
		"stopping": func(s *session) {
			s.mesh.set(func(m *state.Mesh) {
				m.Stopping = true
				apps := append([]state.App(nil), m.Apps...)
				web := apps[6].Instances[0]
				web.Phase, web.Since = state.Stopping, noon().Add(-3*time.Second)
				apps[6].Instances = []state.Instance{web}
				m.Apps = apps
			})
			s.press("1")
		},
	}
}

// TestGolden compares settled frames with those in testdata, which a reader
// can look at: the plain ones with any viewer, the coloured ones with cat.
func TestGolden(t *testing.T) {
	for name, play := range scenes() {
		for _, size := range [][2]int{{60, 16}, {80, 24}, {120, 40}, {200, 60}} {
			for _, plain := range []bool{true, false} {
				file := fmt.Sprintf("%s-%dx%d", strings.ReplaceAll(name, " ", "-"), size[0], size[1])
				if !plain {
					file += "-colour"
				}
				t.Run(file, func(t *testing.T) {
					s := open(t, size[0], size[1], Options{NoColor: plain})
					play(s)
					compare(t, filepath.Join("testdata", file+".txt"), s.m.View().Content+"\n")
				})
			}
		}
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == got {
		return
	}
	w, g := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			t.Fatalf("line %d is\n%s, want\n%s\n(-update writes new frames)", i+1, plain(g[i]), plain(w[i]))
		}
	}
	t.Fatalf("%d lines, want %d", len(g), len(w))
}
