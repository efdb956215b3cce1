package tui

import (
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
)

func TestRawLogs(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	s.press("2")
	_, _ = s.m.Update(keyPress("s"))
	if v := s.m.View(); v.AltScreen || v.MouseMode != tea.MouseModeNone {
		t.Error("the raw logs are shown on the screen")
	}
	printed := prints(t, s)
	if !strings.Contains(printed, "web │ GET /chat 200 38ms user=ada") || !strings.Contains(printed, "attempt 30") {
		t.Errorf("printed %q", printed)
	}
	s.mesh.print("web", "stdout", "one more")
	if got := prints(t, s); !strings.Contains(got, "one more") || strings.Contains(got, "attempt") {
		t.Errorf("then printed %q, want the new line only", got)
	}
	_, _ = s.m.Update(keyPress("s"))
	s.tick()
	if !s.m.View().AltScreen {
		t.Error("s does not lead back to the screen")
	}
	s.shows("▸Streams")
}

// prints takes a snapshot and gives what is written to the terminal for it.
func prints(t *testing.T, s *session) string {
	t.Helper()
	_, cmd := s.m.Update(s.m.pull(0)())
	var out strings.Builder
	for _, c := range flatten(cmd) {
		if _, pull := c.(pulled); !pull {
			fmt.Fprintf(&out, "%+v\n", c)
		}
	}
	return out.String()
}

// flatten runs a command, and those it consists of.
func flatten(cmd tea.Cmd) []tea.Msg {
	if cmd == nil {
		return nil
	}
	msg := cmd()
	if v := fmt.Sprintf("%T", msg); v == "tea.sequenceMsg" || v == "tea.BatchMsg" {
		return parts(msg)
	}
	return []tea.Msg{msg}
}

func TestRawLogsLeaveNoLineBehind(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	s.press("2")
	_, _ = s.m.Update(keyPress("s"))
	s.shows("raw logs of shop")
	_, _ = s.m.Update(keyPress("s"))
	if v := s.m.View(); v.AltScreen || v.Content != "" {
		t.Errorf("before the screen comes back the line below the logs is %q, want none", v.Content)
	}
	s.tick()
	s.shows("▸Streams")

	_, _ = s.m.Update(keyPress("s"))
	s.send(keyPress("ctrl+c"))
	if v := s.m.View(); !s.quit || v.Content != "" {
		t.Errorf("left: %v, and %q stays behind", s.quit, v.Content)
	}
}
