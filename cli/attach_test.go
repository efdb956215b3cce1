package cli_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"mesh/supervisor/console"
	"mesh/supervisor/control/controltest"
	"mesh/supervisor/state"
)

// echo is a terminal whose app shows what is typed in capitals.
type echo struct{ to *console.Console }

func (e echo) Type(_ context.Context, p []byte) error {
	e.to.Show([]byte(strings.ToUpper(string(p))))
	return nil
}

func (echo) Resize(uint16, uint16) error { return nil }

// TestAttachToApp: attach shows what stood at the terminal, types what comes from
// stdin, and ends when the app has.
func TestAttachToApp(t *testing.T) {
	s := newShell(t)
	s.file("mesh.toml", "")
	r := controltest.Serve(t, s.dir, state.Mesh{Name: "shop", Dir: s.dir, Apps: []state.App{
		{ID: "repl", Instances: []state.Instance{{Name: "repl", Phase: state.Ready}}},
	}})
	var term console.Console
	term.Begin()
	term.Connect(echo{&term})
	term.Show([]byte("> "))
	r.Mesh.OnTerminal(func(string) (*console.Console, error) { return &term, nil })

	stdin, keys := io.Pipe()
	c := s.startWith(stdin, "attach", "repl")
	soon(t, "the prompt", func() bool { return c.out.String() == "> " })
	_, _ = io.WriteString(keys, "one\x1d\n") // the detach key is a person's
	soon(t, "the answer", func() bool { return c.out.String() == "> ONE\x1d\n" })
	_ = keys.Close()
	term.Show([]byte("bye\n"))
	r.Mesh.Change(func(m *state.Mesh) {
		m.Apps = []state.App{{ID: "repl", Instances: []state.Instance{{Name: "repl", Phase: state.Done}}}}
	})
	if code := c.wait(t); code != 0 || c.out.String() != "> ONE\x1d\nbye\n" {
		t.Errorf("attach exits with %d and has shown %q", code, c.out.String())
	}

	s.says(1, words("attach rpel"), `finding "rpel"`, "did you mean repl?")
	s.says(2, words("attach repl --detach-key f1"), `"f1" is no key that detaches`, "ctrl-]")
	s.says(2, words("attach repl web"), "one word too many")
	r.Mesh.OnTerminal(nil)
	s.says(1, words("attach repl"), "attaching to repl: repl has no terminal")
}
