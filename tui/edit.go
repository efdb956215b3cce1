package tui

import (
	"context"
	"io"
	"path/filepath"
	"regexp"
	"strconv"

	tea "charm.land/bubbletea/v2"
)

// place is a position in a file, counted from 1; 0 is anywhere.
type place struct{ line, column int }

// open opens a file of the mesh in the user's editor; "" is mesh.toml, at the
// first error if it has one.
func (m *model) open(where string) tea.Cmd {
	if m.edit == nil {
		m.say("there is no editor: set EDITOR", true)
		return nil
	}
	if hit := regexp.MustCompile(`^(.*?):(\d+)(?::(\d+))?$`).FindStringSubmatch(where); hit != nil {
		file := hit[1]
		if !filepath.IsAbs(file) {
			file = filepath.Join(m.world.Mesh.Dir, file)
		}
		return m.edit(file, placed(hit[2], hit[3]))
	}
	file := m.world.Mesh.File
	if file == "" {
		m.say("the mesh has no file to edit", true)
		return nil
	}
	edit, at := m.edit, place{}
	mistake := regexp.MustCompile(regexp.QuoteMeta(filepath.Base(file)) + `:(\d+)(?::(\d+))?`)
	for i := range m.world.Mesh.Notices {
		n := &m.world.Mesh.Notices[i]
		if n.Level != "error" {
			continue
		}
		if n.Code == "config" && m.mend != nil {
			edit = m.mend
		}
		if hit := mistake.FindStringSubmatch(n.Text); hit != nil && at.line == 0 {
			at = placed(hit[1], hit[2])
		}
	}
	return edit(file, at)
}

// placed reads a line and a column; what is missing is 0.
func placed(line, column string) (at place) {
	at.line, _ = strconv.Atoi(line)
	at.column, _ = strconv.Atoi(column)
	return at
}

// undo asks whether mesh.toml is to be what ran before.
func (m *model) undo() tea.Cmd {
	if m.opt.Undo == nil {
		m.say("there is nothing to undo", true)
		return nil
	}
	m.ask = &question{text: "put mesh.toml back to what ran before?", answers: []answer{
		{"y", "yes", func() tea.Cmd {
			return func() tea.Msg {
				said, err := m.opt.Undo()
				return finished{doing: "undo", said: said, err: err}
			}
		}},
		{"n", "no", nil},
	}}
	return nil
}

// editing lets the user edit a file and may say what came of it.
type editing func(ctx context.Context, file string, line, column int, in io.Reader, out io.Writer) (said string, err error)

// silent is an edit of which there is nothing to say when it went well.
func silent(edit func(context.Context, string, int, int, io.Reader, io.Writer) error) editing {
	return func(ctx context.Context, file string, line, column int, in io.Reader, out io.Writer) (string, error) {
		return "", edit(ctx, file, line, column, in, out)
	}
}

// openEditor gives the command that hands the terminal to the editor.
func openEditor(ctx context.Context, edit editing, file string, at place) tea.Cmd {
	e := &editor{}
	said := ""
	e.run = func() (err error) {
		said, err = edit(ctx, file, at.line, at.column, e.in, e.out)
		return err
	}
	return tea.Exec(e, func(err error) tea.Msg {
		return finished{doing: "editing " + filepath.Base(file), said: said, err: err}
	})
}

// editor is an editor, or whatever else has the terminal for a while, as Bubble
// Tea wants it.
type editor struct {
	run func() error
	in  io.Reader
	out io.Writer
}

func (e *editor) Run() error            { return e.run() }
func (e *editor) SetStdin(r io.Reader)  { e.in = r }
func (e *editor) SetStdout(w io.Writer) { e.out = w }
func (e *editor) SetStderr(io.Writer)   {}

var _ tea.ExecCommand = (*editor)(nil)
