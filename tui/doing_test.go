package tui

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/quick"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
)

// project gives the mesh of a session a folder of its own.
func (s *session) project() string {
	s.t.Helper()
	dir := s.t.TempDir()
	s.mesh.set(func(m *state.Mesh) { m.Dir = dir })
	s.tick()
	return dir
}

// exportedFile gives the only file that was exported with that ending.
func exportedFile(t *testing.T, dir, ext string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, ".mesh", "exports", "*."+ext))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files end with %s (%v)", len(files), ext, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read %s", files[0])
	}
	return text
}

func TestCopiesAndExports(t *testing.T) {
	s := open(t, 120, 40, Options{NoColor: true, Version: "v1.2"})
	dir := s.project()
	s.press("2", "enter", "[", "y")
	s.shows("copied, and written to .mesh/exports/8f3c1d2e3f405162-reply-")
	if got := string(exportedFile(t, dir, "bin")); !strings.HasPrefix(got, "data: o") || !strings.HasSuffix(got, "k\n\n") {
		t.Errorf("the bytes of the chunk are %q", got)
	}
	s.press("c")
	curl := string(exportedFile(t, dir, "sh"))
	for _, want := range []string{"curl -sN -X POST 'http://127.0.0.1:3503/v1.0/invoke/llm/method/chat?model=small'", "-H 'Accept: text/event-stream'", `"why? why?`} {
		if !strings.Contains(curl, want) {
			t.Errorf("there is no %s in\n%s", want, curl)
		}
	}
	s.press("n")
	if lines := strings.Split(string(exportedFile(t, dir, "ndjson")), "\n"); len(lines) != 1+2+360+1 {
		t.Errorf("%d lines of NDJSON, want one for each chunk of each hop", len(lines))
	}
	s.press("x")
	var har struct {
		Log struct {
			Creator struct{ Version string }
			Entries []any
		}
	}
	if err := json.Unmarshal(exportedFile(t, dir, "har"), &har); err != nil || len(har.Log.Entries) != 1 || har.Log.Creator.Version != "v1.2" {
		t.Errorf("HAR with %d entries, made by %q: %v", len(har.Log.Entries), har.Log.Creator.Version, err)
	}
	s.press("2", "down", "enter", "y") // nothing was captured of it
	s.shows("not captured")
}

func TestCallsAreMadeAgain(t *testing.T) {
	var made []Invocation
	invoke := func(_ context.Context, _ *state.Mesh, c Invocation) (int, error) {
		made = append(made, c)
		return 207, nil
	}
	var draft string
	edit := func(_ context.Context, file string, _, _ int, _ io.Reader, _ io.Writer) error {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("editing: %w", err)
		}
		draft = string(text)
		return os.WriteFile(file, []byte("# mine\nPUT /chat/2?x=1\nX-Mine: yes\n\nhello\n"), 0o600)
	}
	s := open(t, 120, 40, Options{NoColor: true, Invoke: invoke, Edit: edit})
	s.project()
	s.press("2", "enter", "r")
	s.shows("again: POST /chat of llm: 207")
	if len(made) != 1 {
		t.Fatalf("%d calls were made", len(made))
	}
	c := made[0]
	if c.From != "web" || c.Callee != "llm" || c.Verb != "POST" || c.Path != "/chat" || c.Query != "model=small" || len(c.Body) != 412 {
		t.Errorf("made %+v", c)
	}
	if _, has := c.Header["Authorization"]; has || c.Header.Get("Accept") != "text/event-stream" {
		t.Errorf("with the headers %v", c.Header)
	}

	d := makeDraft(s.flows, "8f3c1d2e3f405162")
	s.run(s.m.drafted(d))
	if !strings.Contains(d.note, "the secret authorization") {
		t.Errorf("nothing is said of the secret: %q", d.note)
	}
	d.file = filepath.Join(t.TempDir(), "x.http")
	if err := write(d.file, formatCall(&d.call, d.note)); err != nil {
		t.Fatal(err)
	}
	if err := edit(t.Context(), d.file, 1, 1, nil, nil); err != nil {
		t.Fatal(err)
	}
	if want := "POST /chat?model=small\nAccept: text/event-stream\nContent-Type: application/json\n\n{\"messages\""; !strings.Contains(draft, want) {
		t.Errorf("to be edited is\n%s", draft)
	}
	again, err := readCall(d.file, d.call)
	if err != nil || again.Verb != "PUT" || again.Path != "/chat/2" || again.Query != "x=1" || again.Header.Get("X-Mine") != "yes" || string(again.Body) != "hello" {
		t.Errorf("edited to %+v (%v)", again, err)
	}

	s.press("2", "down", "enter", "r") // its body is not known
	s.shows("its body was not captured")
}

// TestDraftsSurviveEditing writes calls with any body and reads them back.
func TestDraftsSurviveEditing(t *testing.T) {
	check := func(body []byte, value string) bool {
		value = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return 'x'
			}
			return r
		}, value)
		c := Invocation{From: "web", Callee: "llm", Verb: "POST", Path: "/x", Query: "a=1", Body: body, Header: http.Header{"X-A": {strings.TrimSpace(value)}}}
		got, err := parseCall(formatCall(&c, "without its secrets"), c)
		return err == nil && string(got.Body) == string(body) && got.Path == c.Path && got.Query == c.Query && got.Header.Get("X-A") == c.Header.Get("X-A")
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
	for text, why := range map[string]string{"": "none is made", "# only\n": "none is made", "POST\n": "line 1", "POST /x\nno header\n": "line 2"} {
		if _, err := parseCall([]byte(text), Invocation{}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q", text, err, why)
		}
	}
}

func TestCaptureAndFaultsFromTheScreen(t *testing.T) {
	s := open(t, 120, 40, Options{NoColor: true})
	s.press("2", "down", "enter", "enter")
	s.tick()
	s.shows("not captured: b captures this stream, B all new ones")
	s.press("b", "B", "D")
	s.shows("fault bill delay=300ms")
	s.press("enter")
	want := []state.Command{
		{Op: state.SetCapture, Flow: "77a0000000000002", On: true},
		{Op: state.SetCapture, On: true},
		{Op: state.SetFault, Name: "bill", On: true, Fault: &state.Fault{Name: "bill", Target: "bill", Delay: 300 * ms, On: true, Hand: true}},
	}
	got := s.mesh.asked()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("asked for %+v, want %+v", got, want)
	}
	s.mesh.set(func(m *state.Mesh) { m.Faults = []state.Fault{*want[2].Fault}; m.Capture = 64 << 10 })
	s.tick()
	s.shows("≠ 1 fault", "fault delay=300ms")
	s.press("D", "B")
	got = s.mesh.asked()
	if off := got[len(got)-2:]; off[0].Op != state.SetFault || off[0].On || off[0].Name != "bill" || off[1].Op != state.SetCapture || off[1].On {
		t.Errorf("switched off by %+v", off)
	}
	s.press(":")
	s.text("fault bill dealy=1s")
	s.press("enter")
	s.shows(`a fault has no "dealy"`)
}

// TestAnyBytesInTheInspector shows any bytes of any chunk in every form: nothing
// fails, no line is too long, and nothing reaches the terminal that it obeys.
func TestAnyBytesInTheInspector(t *testing.T) {
	hostile := []byte("\x1b]52;c;aGk=\a\x1b[2J\r\n\x00\xff\xfe日本\u202e\u200b\t{\"a\":\x1b}\x9b31m")
	check := func(b []byte, w, h, form uint8) bool {
		s := open(t, int(w)%140+20, int(h)%50+5, Options{NoColor: true})
		f := s.flows.all[0]
		f.body[flow.Reply].Parts = []flow.Part{{Data: append(append([]byte{}, hostile...), b...)}}
		one := []flow.Mark{{At: 1, Size: len(hostile) + len(b)}}
		f.marks[4+flow.CalleeIn], f.marks[4+flow.CallerOut] = one, one
		s.press("2", "enter", "enter", "[")
		for range form % 6 {
			s.press("v")
		}
		s.tick()
		view := s.m.View().Content
		for _, bad := range []string{"\x1b]", "\x1b[2J", "\a", "\r", "\x00", "\u202e"} {
			if strings.Contains(view, bad) {
				t.Errorf("%q reaches the terminal", bad)
				return false
			}
		}
		return fits(t, s)
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 60}); err != nil {
		t.Error(err)
	}
}
