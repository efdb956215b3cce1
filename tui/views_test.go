package tui

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
)

func TestComponentsInWords(t *testing.T) {
	s := open(t, 120, 30, Options{NoColor: true})
	s.press("6")
	s.shows("▸Components", "✖ invoices", "state.postgresql", "v2", "degraded", "components/invoices.yaml:3:7", "tried again in 3s", "seen by bill, orders",
		"calls to it fail until it answers", "dial tcp 127.0.0.1:5432: connect: connection refused", "● pubsub", "embedded")
	s.press("down", "down")
	s.shows("◒ outdated since 11:59:48, 12s ago", "what it was before still serves", "NOAUTH Authentication required", "seen by every app")
	s.press("/")
	s.text("type:state.* !broken")
	s.press("enter")
	s.shows("1 of 4 components", "● ready, loaded 11:58:30", "declared in mesh.toml:36:3")
	s.hides("invoices", "sessions")
}

// TestComponentsOpenTheirFile: enter opens the declaration in the editor.
func TestComponentsOpenTheirFile(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	opened := s.editor()
	s.press("6", "enter")
	if *opened != "/home/ada/shop/components/invoices.yaml:3:7" {
		t.Errorf("the editor shows %q", *opened)
	}
	s.press("down", "enter")
	s.shows("pubsub stands in because nothing is declared")
}

func TestPlanOfAnEdit(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	s.press("7")
	s.shows("▸Plan", "● the edit of 1m30s ago was applied in 41ms", "↻ app bill", "restart, 3 calls under way must end first", "env.LOG_LEVEL info → debug",
		"± app llm", "≈ app web", "hold 15s → 30s", "1 unchanged: o shows")
	s.hides("cart")
	s.press("o")
	s.shows("= app cart")

	s.press("w")
	plan := s.mesh.State().Edit.Plan
	s.mesh.set(func(m *state.Mesh) {
		m.Review = true
		m.Edit = &state.Edit{At: noon(), State: state.EditPending, Plan: plan}
	})
	s.tick()
	s.shows("an edit of 0s ago waits to be applied", "edits wait: a applies them")
	s.press("a")
	s.shows("apply it? 3 calls under way must end first")
	s.press("y")
	if got := s.mesh.asked(); len(got) != 2 || got[0].Op != state.Review || got[1].Op != state.Apply {
		t.Errorf("the mesh was asked for %+v", got)
	}

	s.mesh.set(func(m *state.Mesh) {
		m.Edit = &state.Edit{At: noon(), State: state.EditBroken, Error: configError}
	})
	s.tick()
	s.shows("✖ mesh.toml cannot be read", `mesh.toml:12:3: unknown key "prot"`, "      | ^^^^", "mesh.toml:20:14", "e opens the file there")
}

// TestUndoAsksFirst undoes an edit from the screen.
func TestUndoAsksFirst(t *testing.T) {
	times := 0
	var fails error
	s := open(t, 80, 24, Options{NoColor: true, Undo: func() (string, error) { times++; return "mesh.toml is what ran before again", fails }})
	s.press("7", "u")
	s.shows("put mesh.toml back to what ran before?")
	s.press("n")
	if times != 0 {
		t.Error("no undoes")
	}
	s.press("u", "y")
	s.shows("mesh.toml is what ran before again")
	fails = errors.New("there is nothing to undo")
	s.press("1", ":")
	s.text("undo")
	s.press("enter", "y")
	s.shows("undo: there is nothing to undo")
	if times != 2 {
		t.Errorf("undone %d times", times)
	}
}

// TestFromALineToItsFlowsAndBack jumps between the logs and the streams.
func TestFromALineToItsFlowsAndBack(t *testing.T) {
	s := open(t, 120, 30, Options{NoColor: true})
	s.mesh.print("llm", "stderr", "slow token") // 3.88 s before noon, while /chat streams
	s.press("4", "tab", "tab", "tab")
	s.shows("[llm]", "slow token")
	s.press("enter")
	s.shows("▸Streams", "filter app:llm at:11:59:56.02-11:59:56.22", "POST /chat")
	s.hides("/embed", "/quote") // ended before, and of another app
	s.press("esc")
	s.shows("▸Logs", "[llm]", "▸slow token")
	s.press("2")
	s.shows("/embed") // the filter came with the line and went with it

	// From a stream to the lines of the moment at which it began.
	for range 60 {
		s.mesh.print("orders", "stdout", "later")
	}
	s.press("/")
	s.text("/chat")
	s.press("enter", "l")
	s.shows("▸Logs", "[llm]", "▸INFO loaded")
	s.press("esc")
	s.shows("▸Streams", "filter /chat")
}

// TestFromAChunkToTheLinesOfItsMoment opens the logs from the lanes.
func TestFromAChunkToTheLinesOfItsMoment(t *testing.T) {
	s := open(t, 120, 30, Options{NoColor: true})
	s.press("2", "enter")
	s.shows("▸Lanes", "chunk 180/180")
	for i := range 200 { // a line each 170 ms, long past the end of the stream
		s.mesh.print("llm", "stdout", fmt.Sprintf("token %d", i))
	}
	lines := s.mesh.Lines("llm", 0, 1000)
	s.press("L")
	s.shows("▸Logs", "[llm]", "token 199")
	s.press("esc")
	s.shows("▸Lanes")
	s.press("[", "[", "[")
	s.shows("chunk 178/180")
	f := s.flows.all[0]
	at := f.view.Begun.Add(f.marks[int(flow.Reply)*4+int(flow.CallerOut)][177].At)
	i := slices.IndexFunc(lines, func(l state.Line) bool { return !l.At.Before(at) })
	s.press("L")
	s.shows("▸" + lines[i].Text)
	s.hides("token 199")
}

func TestLogsAreFiltered(t *testing.T) {
	s := open(t, 100, 24, Options{NoColor: true})
	s.press("4", "&")
	s.text("app:bill !stderr text~'attempt 1.$'")
	s.press("enter")
	s.shows("attempt 10", "attempt 19", "&app:bill")
	s.hides("attempt 9", "GET /chat", "panic")
	s.mesh.print("bill", "stdout", "again: attempt 15")
	s.mesh.print("bill", "stdout", "again: attempt 7")
	s.tick()
	s.shows("again: attempt 15")
	s.hides("again: attempt 7")
	s.press("x")
	s.shows("again: attempt 7")
	s.press("&")
	s.text("strem:stderr")
	s.shows("did you mean stream?")
	s.press("esc", "&")
	s.text("stderr")
	s.press("enter")
	s.shows("warning: a very long line", "panic: no such table")
	s.hides("attempt")
}

func TestRecordsInJSONAreReadable(t *testing.T) {
	s := open(t, 100, 24, Options{NoColor: true})
	s.mesh.print("bill", "stdout", `{"time":"2026-01-02T15:04:05Z","level":"ERROR","msg":"paying","order":7,"why":"no money"}`)
	s.mesh.print("bill", "stdout", `{"level":30,"msg":"listening"}`)
	s.mesh.print("bill", "stdout", `{"order":7}`)
	s.tick()
	s.shows(`ERROR paying  order=7  why="no money"`) // below the apps, too
	s.press("4")
	s.shows(`ERROR paying  order=7  why="no money"`, "INFO listening", `{"order":7}`)
	s.press("v")
	s.shows(`"level":"ERROR","msg":"paying"`)
	s.press("v", "/")
	s.text("why=")
	s.press("enter")
	s.shows("▸ERROR paying")
	s.press("&")
	s.text("level:error")
	s.press("enter")
	s.shows("ERROR paying")
	s.hides("listening")
}

func TestLinesAreMarkedAndCleared(t *testing.T) {
	s := open(t, 100, 12, Options{NoColor: true})
	s.press("4", "g", "b", "G")
	s.hides("attempt 1 ")
	s.press("up", "b")
	s.shows("●2", "●▸panic")
	s.press("'")
	s.shows("●▸connecting to the database, attempt 1 ")
	s.press("'")
	s.shows("no more marks")
	s.press("\"")
	s.shows("●▸panic")
	s.press("b", "\"")
	s.shows("●1", "no more marks")
	s.press("c")
	s.hides("panic:")
	s.mesh.print("web", "stdout", "fresh")
	s.tick()
	s.shows("fresh")
	s.press("c")
	s.shows("panic:", "fresh")
}

// TestEveryListIsFiltered filters apps and edges in the language of the streams.
func TestEveryListIsFiltered(t *testing.T) {
	s := open(t, 100, 30, Options{NoColor: true})
	s.press("/")
	s.text("broken or restarts>0")
	s.press("enter")
	s.shows("3 of 8 apps", "bill", "cart", "orders")
	s.hides("migrate", "llm-2")
	s.press("5", "/")
	s.text("to:l")
	s.shows("to:llm")
	s.press("tab", "enter")
	s.shows("2 of 6 edges")
	s.press("1", "x")
	s.shows("migrate")
	s.press("/")
	s.text("mem>lots")
	s.shows("this is no number")
}

// editor notes what an editor is opened for.
func (s *session) editor() *string {
	opened := new(string)
	s.m.edit = fakeEditor(opened)
	return opened
}

// TestLongLinesAreReadLineByLine: a line higher than the screen is scrolled
// through before the next one is selected.
func TestLongLinesAreReadLineByLine(t *testing.T) {
	s := open(t, 40, 10, Options{NoColor: true})
	s.mesh.print("web", "stdout", strings.Repeat("0123456789", 60)+"the end")
	s.mesh.print("web", "stdout", "after it")
	s.press("4", "up", "up")
	s.hides("the end")
	for range 25 {
		s.press("down")
		if strings.Contains(s.frame(), "the end") {
			break
		}
	}
	s.shows("the end")
	s.press("down", "down")
	s.shows("after it", "follow")
}

// fakeEditor notes the place that it is opened at.
func fakeEditor(opened *string) func(file string, at place) tea.Cmd {
	return func(file string, at place) tea.Cmd {
		*opened = fmt.Sprintf("%s:%d:%d", file, at.line, at.column)
		return nil
	}
}
