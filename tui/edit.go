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

// openConfig opens mesh.toml, at the first error if it has one.
func (m *model) openConfig() tea.Cmd {
	file := m.world.Mesh.File
	switch {
	case m.edit == nil:
		m.say("there is no editor: set EDITOR", true)
		return nil
	case file == "":
		m.say("the mesh has no file to edit", true)
		return nil
	}
	at := place{}
	where := regexp.MustCompile(regexp.QuoteMeta(filepath.Base(file)) + `:(\d+)(?::(\d+))?`)
	for i := range m.world.Mesh.Notices {
		if hit := where.FindStringSubmatch(m.world.Mesh.Notices[i].Text); hit != nil && m.world.Mesh.Notices[i].Level == "error" {
			at.line, _ = strconv.Atoi(hit[1])
			at.column, _ = strconv.Atoi(hit[2])
			break
		}
	}
	return m.edit(file, at)
}

// openEditor gives the command that hands the terminal to the editor.
func openEditor(ctx context.Context, edit func(context.Context, string, int, int, io.Reader, io.Writer) error, file string, at place) tea.Cmd {
	e := &editor{}
	e.run = func() error { return edit(ctx, file, at.line, at.column, e.in, e.out) }
	return tea.Exec(e, func(err error) tea.Msg { return finished{said: "editing " + filepath.Base(file), err: err} })
}

// editor is an editor as Bubble Tea wants it.
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
