package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"

	"mesh/supervisor"
	"mesh/supervisor/control"
	"mesh/tui"
)

// attach shows the screen of a mesh of another process.
func (e Env) attach(ctx context.Context) error {
	if !e.StdinTTY || !e.StdoutTTY {
		return &hinted{errors.New("the screen needs a terminal"), "`mesh logs -f` and `mesh tap` print lines"}
	}
	p, err := e.prefs()
	if err != nil {
		return err
	}
	c, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	o := e.screenOptions(p, c.Token)
	o.Explain = func(ctx context.Context, app string) ([]string, error) {
		e, err := c.Explain(ctx, app)
		return e.Said, err
	}
	o.Attached = true
	return left(tui.New(c, c, o).Run(ctx))
}

// screenOptions says how the user wants the screen: flags count more than
// NO_COLOR, and that more than his file.
func (e Env) screenOptions(p prefs, token func(ctx context.Context) (string, error)) tui.Options {
	theme, plain := p.theme, e.getenv("NO_COLOR") != ""
	if e.project.theme != "" {
		theme, plain = e.project.theme, false
	}
	o := tui.Options{
		Environ: e.Environ, NoColor: plain || theme == "none", Theme: theme, Keys: p.keys,
		Version: control.ThisBuild().Version, Edit: e.edit, Mend: e.mend, Undo: e.undone, Invoke: again(token), Terminal: e.visit,
	}
	if file, err := e.find(); err == nil {
		o.Filters = shelf{file: filepath.Join(filepath.Dir(file), ".mesh", "filters.toml"), own: p.filters}
	}
	return o
}

// visit is at the terminal of an app from within the screen, which has handed
// over the same terminal that e knows, and whose size can be asked.
func (e Env) visit(ctx context.Context, app string, _ io.Reader, _ io.Writer) error {
	err := e.attachTo(ctx, app, ']'-'A'+1, "ctrl-]")
	if c, ok := errors.AsType[*control.Error](err); ok && c.Hint != "" {
		return fmt.Errorf("%w; %s", err, c.Hint)
	}
	return err
}

// left turns the reason for which a screen was left into an exit code.
func left(err error) error {
	if errors.Is(err, tui.ReasonKill) {
		return &exitError{code: 130}
	}
	if errors.Is(err, tui.ReasonQuit) || errors.Is(err, tui.ReasonDetach) {
		return nil
	}
	return err
}

// screen gives the member of `mesh up` that shows the screen. A screen that
// fails leaves the mesh running and says how to get it back.
func (e Env) screen(mesh local, flows tui.Flows, super *supervisor.Supervisor, dir string, p prefs) func(context.Context) error {
	if e.flows != nil {
		flows = e.flows(flows)
	}
	return func(ctx context.Context) error {
		o := e.screenOptions(p, func(context.Context) (string, error) { return super.Token(), nil })
		o.Explain = func(ctx context.Context, app string) ([]string, error) {
			said, _ := super.Explain(ctx, app)
			return said, nil
		}
		err := tui.New(mesh, flows, o).Run(ctx)
		switch {
		case errors.Is(err, tui.ReasonKill):
			super.Kill()
			return &exitError{code: 130}
		case err == nil, errors.Is(err, tui.ReasonQuit):
			return nil
		}
		if context.Cause(ctx) != nil {
			return nil //nolint:nilerr // the mesh has stopped, and the terminal took no more
		}
		_, _ = fmt.Fprintf(e.Stderr, "mesh: %v\n  the mesh runs on; `mesh attach` in %s shows it again, `mesh down` stops it\n", err, dir)
		if p, ok := errors.AsType[*tui.PanicError](err); ok {
			super.Warn("screen", p.Error(), "mesh attach")
			_, _ = fmt.Fprintf(e.meshLog(dir), "%v\n%s\n", p, p.Stack)
		}
		<-ctx.Done()
		return nil
	}
}

// edit opens a file in the user's editor at a line and column; 0 is anywhere.
func (e Env) edit(ctx context.Context, file string, line, column int, in io.Reader, out io.Writer) error {
	return e.runEditor(ctx, filepath.Dir(file), file, line, column, in, out)
}

// runEditor is edit with the folder in which the editor works.
func (e Env) runEditor(ctx context.Context, dir, file string, line, column int, in io.Reader, out io.Writer) error {
	editor := e.getenv("VISUAL")
	if editor == "" {
		editor = e.getenv("EDITOR")
	}
	if editor == "" {
		editor = "vi"
	}
	args := editorArgs(strings.Fields(editor), file, line, column)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, e.Environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, e.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running the editor %s: %w", args[0], err)
	}
	return nil
}

// editorArgs tells an editor which file to open, and at which place if it is
// known how that one takes it.
func editorArgs(args []string, file string, line, column int) []string {
	switch filepath.Base(args[0]) {
	case "vi", "vim", "nvim", "nano", "emacs", "kak", "micro":
		if line > 0 {
			args = append(args, fmt.Sprintf("+%d", line))
		}
		return append(args, file)
	case "code", "codium", "cursor":
		return append(args, "--wait", "--goto", fmt.Sprintf("%s:%d:%d", file, max(line, 1), max(column, 1)))
	}
	return append(args, file)
}
