package tui

import (
	"fmt"
	"strings"
	"testing"

	"mesh/supervisor/state"
)

// mistakes gives the notice about a mesh.toml with n of them.
func mistakes(n int) state.Notice {
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf("mesh.toml:%d:1: unknown key \"bad%d\"\n  bad%d = 1\n  ^\n  did you mean \"good%d\"?", i+3, i+1, i+1, i+1))
	}
	return state.Notice{At: noon(), Level: "error", Code: "config", Text: strings.Join(texts, "\n\n"), Hint: "nothing was changed"}
}

func TestAllMistakesCanBeRead(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	s.mesh.set(func(m *state.Mesh) { m.Notices = []state.Notice{mistakes(14)} })
	s.tick()
	s.shows("mesh.toml:3:1", "1 of 14 mistakes, ! shows all", "▸ ↻ bill")
	s.press("!")
	s.hides("1 of 14 mistakes")
	if n := strings.Count(s.frame(), "\"bad1\""); n != 1 {
		t.Errorf("the first mistake is shown %d times:\n%s", n, s.frame())
	}
	s.shows("lines 1–22 of 70", "↑↓ scroll")
	var seen strings.Builder
	seen.WriteString(s.frame())
	for range 4 {
		s.press("pgdown")
		seen.WriteString(s.frame())
	}
	for i := range 14 {
		if !strings.Contains(seen.String(), fmt.Sprintf("\"bad%d\"", i+1)) {
			t.Errorf("paging through the notices does not show mistake %d", i+1)
		}
	}
	s.shows("lines 49–70 of 70", "nothing was changed")
	s.press("g")
	s.shows("lines 1–22 of 70")
	s.press("down", "down", "up")
	s.shows("lines 2–23 of 70")
	s.press("G", "pgup")
	s.shows("lines 28–49 of 70")
	s.press("esc")
	s.shows("1 of 14 mistakes")
	s.mesh.set(func(m *state.Mesh) {
		m.Notices = append(m.Notices, state.Notice{At: noon(), Level: "error", App: "bill", Code: "crash", Text: "bill exited with code 1"})
	})
	s.tick()
	s.shows("mesh.toml:3:1", "1 of 14 mistakes and 1 notice, ! shows all") // what was edited comes first
}

func TestNoticesLeaveRoomForTheMesh(t *testing.T) {
	long := "/usr/local/bin" + strings.Repeat(":/opt/tools/bin", 20)
	for _, size := range [][2]int{{60, 16}, {80, 24}, {120, 40}} {
		s := open(t, size[0], size[1], Options{NoColor: true})
		s.mesh.set(func(m *state.Mesh) {
			for _, app := range []string{"bill", "cart", "mail", "web", "orders"} {
				m.Notices = append(m.Notices, state.Notice{
					At: noon(), Level: "error", App: app, Code: "crash", Hint: "mend it, then: mesh restart " + app,
					Text: app + " cannot be started: the command nope is not in PATH (" + long + ")\n  and its last words",
				})
			}
		})
		s.tick()
		top := 0
		for line := range strings.SplitSeq(s.frame(), "\n") {
			if strings.Contains(line, "  app ") {
				break
			}
			top++
		}
		if top-1 > size[1]/3 {
			t.Errorf("%d of %d lines are taken by notices:\n%s", top-1, size[1], s.frame())
		}
		s.shows("of 5 notices, ! shows all")
		s.hides("/opt/tools")
		s.press("!")
		s.shows("/opt/tools/bin") // here it is in full
	}
}

func TestLongReasonsStayOutOfTheTable(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	s.mesh.set(func(m *state.Mesh) {
		apps := append([]state.App(nil), m.Apps...)
		inst := apps[0].Instances[0]
		inst.Phase, inst.Reason = state.Failed, "the command nope is not in PATH ("+strings.Repeat("/opt/tools/bin:", 20)+"); is it installed?"
		apps[0].Instances = []state.Instance{inst}
		m.Apps = apps
	})
	s.tick()
	s.shows("the command nope is not in PATH; is it installed?")
	s.hides("/opt/tools")
}

func TestHintsAlwaysNameHelpAndQuit(t *testing.T) {
	for _, w := range []int{40, 60, 80, 120} {
		s := open(t, w, 24, Options{NoColor: true})
		for _, k := range []string{"1", "2", "3", "4", "5"} {
			s.press(k)
			s.shows("? help", "q quit")
		}
	}
}

// TestABrokenFileIsMended: what is edited is mesh.toml itself, except while it
// cannot be read.
func TestABrokenFileIsMended(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	opened, mended := s.editor(), new(string)
	s.m.mend = fakeEditor(mended)
	s.press("e")
	if *opened != "/home/ada/shop/mesh.toml:0:0" || *mended != "" {
		t.Errorf("opened %q, mended %q", *opened, *mended)
	}
	*opened = ""
	s.mesh.set(func(m *state.Mesh) { m.Notices = append(m.Notices, mistakes(2)) })
	s.tick()
	s.press("e")
	if *opened != "" || *mended != "/home/ada/shop/mesh.toml:3:1" {
		t.Errorf("opened %q, mended %q", *opened, *mended)
	}
	s.send(finished{doing: "editing mesh.toml", said: "mesh.toml is what you wrote in the editor"})
	s.shows("mesh.toml is what you wrote in the editor")
}
