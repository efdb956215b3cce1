package tui

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	tea "charm.land/bubbletea/v2"
)

// session is the model at a terminal that the test plays.
type session struct {
	t     *testing.T
	m     *model
	mesh  *fakeMesh
	flows *fakeFlows
	now   time.Time
	quit  bool
}

func open(t *testing.T, w, h int, opt Options) *session {
	t.Helper()
	s := &session{t: t, now: noon()}
	s.mesh, s.flows = shop()
	opt.Now = func() time.Time { return s.now }
	if opt.Theme == "" {
		opt.Theme = "dark"
	}
	s.m = newModel(t.Context(), s.mesh, s.flows, opt)
	s.send(tea.WindowSizeMsg{Width: w, Height: h})
	s.tick()
	s.tick()
	return s
}

// send gives the model a message and does what it asks for, except waiting
// for time to pass.
func (s *session) send(msg tea.Msg) {
	s.t.Helper()
	_, cmd := s.m.Update(msg)
	s.alive()
	s.run(cmd)
}

func (s *session) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	if _, ok := any(cmd).(tea.Cmd); !ok {
		return
	}
	switch msg := cmd().(type) {
	case nil, pulled: // snapshots are taken with tick
	case tea.QuitMsg:
		s.quit = true
	case tea.BatchMsg:
		for _, c := range msg {
			s.run(c)
		}
	case finished, exported, draft, explained:
		s.send(msg)
	}
}

// alive fails when the screen has failed.
func (s *session) alive() {
	s.t.Helper()
	if s.m.fault == nil {
		return
	}
	if p, ok := errors.AsType[*PanicError](s.m.fault); ok {
		s.t.Fatalf("%v\n%s", p, p.Stack)
	}
	s.t.Fatal(s.m.fault)
}

// tick takes a snapshot now.
func (s *session) tick() {
	s.t.Helper()
	_, _ = s.m.Update(s.m.pull(0)())
	s.alive()
}

// press types keys, named as Bubble Tea names them.
func (s *session) press(keys ...string) {
	s.t.Helper()
	for _, k := range keys {
		s.send(keyPress(k))
		s.tick()
	}
}

// text types a text letter by letter.
func (s *session) text(text string) {
	s.t.Helper()
	for _, r := range text {
		s.send(tea.KeyPressMsg{Code: r, Text: string(r)})
	}
	s.tick()
}

func keyPress(name string) tea.KeyPressMsg {
	special := map[string]rune{
		"up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight, "enter": tea.KeyEnter, "esc": tea.KeyEscape,
		"tab": tea.KeyTab, "home": tea.KeyHome, "end": tea.KeyEnd, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "backspace": tea.KeyBackspace, "space": tea.KeySpace,
	}
	if rest, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: []rune(rest)[0], Mod: tea.ModCtrl}
	}
	if code, ok := special[name]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

// frame gives what is on the screen, without styles.
func (s *session) frame() string { return plain(s.m.View().Content) }

// plain drops the escape sequences of styles.
func plain(frame string) string {
	var b strings.Builder
	for {
		text, rest, found := strings.Cut(frame, "\x1b[")
		b.WriteString(text)
		if !found {
			return b.String()
		}
		_, frame, _ = strings.Cut(rest, "m")
	}
}

// shows fails unless every text is on the screen.
func (s *session) shows(texts ...string) {
	s.t.Helper()
	frame := s.frame()
	for _, text := range texts {
		if !strings.Contains(frame, text) {
			s.t.Errorf("the screen does not show %q:\n%s", text, frame)
		}
	}
}

func (s *session) hides(texts ...string) {
	s.t.Helper()
	frame := s.frame()
	for _, text := range texts {
		if strings.Contains(frame, text) {
			s.t.Errorf("the screen shows %q:\n%s", text, frame)
		}
	}
}

// parts runs the commands that a batch or a sequence is made of.
func parts(msg tea.Msg) (out []tea.Msg) {
	list := reflect.ValueOf(msg)
	for i := range list.Len() {
		if cmd, ok := reflect.TypeAssert[tea.Cmd](list.Index(i)); ok {
			out = append(out, flatten(cmd)...)
		}
	}
	return out
}

// sameString says whether two strings are one in memory, so that comparing
// them costs nothing.
func sameString(a, b string) bool { return unsafe.StringData(a) == unsafe.StringData(b) }
