package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"mesh/supervisor/state"
)

// Options says how the screen behaves. The zero value is fine for a terminal.
type Options struct {
	Input    io.Reader        // nil: the terminal
	Output   io.Writer        // nil: the terminal
	Environ  []string         // of the terminal; nil: of the process
	NoColor  bool             // as NO_COLOR asks for
	Theme    string           // dark, light or auto; "": auto, which asks the terminal
	Keys     Keys             // other keys than usual; CheckKeys says whether they are fine
	Filters  Filters          // nil: filters are not kept
	Version  string           // of mesh, for exports
	Attached bool             // the mesh belongs to another process: quitting asks whether to stop it
	Now      func() time.Time // nil: time.Now

	// Edit opens a file for the user at a line and column (0: anywhere) and
	// returns when the editor has been closed. It owns the terminal meanwhile.
	// nil: there is no editor.
	Edit func(ctx context.Context, file string, line, column int, in io.Reader, out io.Writer) error

	// Mend does the same with a mesh.toml that has mistakes, and shows them to the
	// user as well. It gives a line that says what came of it, which may be "".
	// nil: the file is opened as any other.
	Mend func(ctx context.Context, file string, line, column int, in io.Reader, out io.Writer) (said string, err error)

	// Terminal is at the terminal of an app until the user leaves it. It owns that
	// of the screen meanwhile. nil: that is not possible here.
	Terminal func(ctx context.Context, app string, in io.Reader, out io.Writer) error

	// Invoke makes a call through a sidecar, reads the reply to its end and gives
	// its status. nil: the screen makes no calls.
	Invoke func(ctx context.Context, m *state.Mesh, c Invocation) (status int, err error)

	// Explain looks for an app and says in sentences where it is and who knows it,
	// or why it is not found. nil: that cannot be asked.
	Explain func(ctx context.Context, app string) (said []string, err error)

	// Undo puts mesh.toml back to what ran before and gives a line that says so.
	// nil: that cannot be done.
	Undo func() (said string, err error)
}

// ReasonError says why the user left the screen.
type ReasonError string

// The reasons for which Run returns.
//
//nolint:errname // they are reasons, not failures
const (
	ReasonQuit   ReasonError = "quit"   // the mesh was asked to stop, and has stopped
	ReasonDetach ReasonError = "detach" // the mesh is to go on
	ReasonKill   ReasonError = "kill"   // asked twice: stop at once
)

// Error gives the reason in one word.
func (r ReasonError) Error() string { return string(r) }

// PanicError is a fault of the screen. The terminal has been restored; the
// mesh goes on.
type PanicError struct {
	Value any
	Stack []byte
}

// Error says what the fault was, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("the screen failed: %v", e.Value) }

// Screen shows one mesh. Make one with New.
type Screen struct {
	mesh  Mesh
	flows Flows
	opt   Options
}

// New gives a screen that shows m and f. Nothing happens before Run.
func New(m Mesh, f Flows, o Options) *Screen {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Screen{mesh: m, flows: f, opt: o}
}

// Run shows the screen until the user leaves it or ctx ends.
//
// It returns nil when ctx has ended; a ReasonError when the user left: with
// ReasonQuit the mesh has been stopped through Mesh.Do, and what that had to
// say is wrapped beside it; and a *PanicError or another error when the screen
// itself failed. The terminal is then as it was before, unless it takes no
// output (it was stopped with Ctrl-S, say): after a second it is left as it is,
// for the mesh has to end all the same.
func (s *Screen) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := newModel(ctx, s.mesh, s.flows, s.opt)
	program := tea.NewProgram(m, s.programOptions(ctx)...)
	m.pace = newPace(program)
	defer m.pace.stop()
	over := make(chan error, 1)
	go func() { // waited for below, except when it is stuck in a write
		_, err := program.Run()
		over <- err
	}()
	var err error
	select {
	case err = <-over:
	case <-ctx.Done():
		select {
		case err = <-over:
		case <-time.After(patience):
			return errBlocked
		}
	}
	switch {
	case m.fault != nil:
		return m.fault
	case m.reason != nil:
		return m.reason
	case err == nil, ctx.Err() != nil && errors.Is(err, tea.ErrProgramKilled):
		return nil
	}
	return fmt.Errorf("showing the screen: %w", err)
}

// patience is how long a terminal may take to be restored.
const patience = time.Second

var errBlocked = errors.New("the terminal takes no output and is left as it is; `reset` puts it right")

func (s *Screen) programOptions(ctx context.Context) []tea.ProgramOption {
	opts := []tea.ProgramOption{
		tea.WithContext(ctx),
		tea.WithoutSignalHandler(), // signals belong to main
		tea.WithFilter(coalesce(s.opt.Now)),
		tea.WithFPS(fps),
	}
	if s.opt.Input != nil {
		opts = append(opts, tea.WithInput(s.opt.Input))
	}
	if s.opt.Output != nil {
		opts = append(opts, tea.WithOutput(s.opt.Output))
	}
	environ := s.opt.Environ
	if environ == nil {
		environ = os.Environ()
	}
	opts = append(opts, tea.WithEnvironment(environ))
	if s.opt.NoColor {
		opts = append(opts, tea.WithColorProfile(colorprofile.ASCII))
	}
	return opts
}

// wheelPause is how long further turns of the wheel are ignored after one: a
// touchpad sends hundreds a second, and each costs a frame.
const wheelPause = 15 * time.Millisecond

// coalesce gives a filter that thins out the messages of the mouse wheel.
func coalesce(now func() time.Time) func(tea.Model, tea.Msg) tea.Msg {
	var last time.Time
	return func(_ tea.Model, msg tea.Msg) tea.Msg {
		if _, ok := msg.(tea.MouseWheelMsg); ok {
			t := now()
			if t.Sub(last) < wheelPause {
				return nil
			}
			last = t
		}
		return msg
	}
}

// caught makes what recover gives a *PanicError, nil for nil.
func caught(v any) *PanicError {
	if v == nil {
		return nil
	}
	return &PanicError{Value: v, Stack: debug.Stack()}
}
