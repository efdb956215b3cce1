package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/muesli/cancelreader"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mesh/supervisor/control"
)

// newAttach gives `mesh attach`.
func newAttach(env Env) *cobra.Command {
	detach := ""
	cmd := &cobra.Command{
		Use:   "attach [APP]",
		Short: "Show the screen of the running mesh, or use the terminal of an app",
		Long: `Show the screen of the mesh that runs in this project. Leaving it asks whether
the mesh is to go on or to stop.

With the name of an app or an instance that has ` + "`pty = true`" + `, be at its terminal:
what it shows is shown here, beginning with what its process has shown last, and
what is typed here is typed there, Ctrl-C included. Ctrl-] detaches and leaves the
app alone. Several can be attached at once; the size of the terminal is that of the
one who came, or changed his window, last. A restart of the app does not detach.

When stdin is no terminal, what comes from it is typed, and the output goes on
until the app has ended or you interrupt.`,
		Example: `  mesh up --headless > run.log &
  mesh attach
  mesh attach repl
  mesh attach repl --detach-key ctrl-q
  echo 'print(1 + 1); exit()' | mesh attach repl`,
		ValidArgsFunction: completeFirst(completeApps(env)),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return none(cmd, args[1:])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return env.attach(cmd.Context())
			}
			key, err := controlKey(detach)
			if err != nil {
				return usage(err)
			}
			return env.attachTo(cmd.Context(), args[0], key, detach)
		},
	}
	themeFlag(cmd, env)
	cmd.Flags().StringVar(&detach, "detach-key", "ctrl-]", "with APP: the key that detaches, ctrl- and a letter or one of [ ] \\ ^ _")
	return cmd
}

// controlKey gives the byte that a key such as ctrl-q sends.
func controlKey(name string) (byte, error) {
	key, ok := strings.CutPrefix(strings.ToUpper(name), "CTRL-")
	if !ok || len(key) != 1 || key[0] < 'A' || key[0] > '_' {
		return 0, &hinted{fmt.Errorf("%q is no key that detaches", name), "write ctrl- and a letter or one of [ ] \\ ^ _, such as ctrl-]"}
	}
	return key[0] - 'A' + 1, nil
}

// attachTo is at the terminal of an app until its process has ended for good,
// the detach key is pressed or ctx ends.
func (e Env) attachTo(ctx context.Context, name string, key byte, keyName string) error {
	c, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	shown, err := c.Terminal(ctx, name)
	if err != nil {
		return err
	}
	defer shown.Close()
	a := &attached{env: e, c: c, name: name, key: key}
	if file, ok := e.Stdin.(*os.File); ok && e.StdinTTY {
		a.keyed = true
		old, err := term.MakeRaw(int(file.Fd())) //nolint:gosec // a descriptor is a small number
		if err != nil {
			return fmt.Errorf("taking over the terminal: %w", err)
		}
		defer func() {
			_, _ = io.WriteString(e.Stdout, a.restore())
			_ = term.Restore(int(file.Fd()), old) //nolint:gosec // as above
			_, _ = fmt.Fprintln(e.Stderr, "\n[mesh] "+a.farewell(ctx))
		}()
		_, _ = fmt.Fprintf(e.Stderr, "[mesh] at the terminal of %s; %s detaches\r\n", name, keyName)
	}
	return a.run(ctx, shown)
}

// attached is somebody at the terminal of an app.
type attached struct {
	env      Env
	c        *control.Client
	name     string
	key      byte // detaches
	keyed    bool // his own terminal is a terminal
	detached bool // he has pressed it
	large    bool // the app has the whole screen
}

var errDetached = errors.New("detached")

// run passes on what is shown and what is typed until one of them ends it.
func (a *attached) run(ctx context.Context, shown io.ReadCloser) error {
	in, err := cancelreader.NewReader(a.env.Stdin)
	if err != nil {
		return fmt.Errorf("reading the terminal: %w", err)
	}
	defer in.Close()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(ctx, func() { _ = shown.Close() })() // wakes show
	typed := make(chan struct{})
	go func() {
		defer close(typed)
		if err := a.typing(ctx, in); err != nil {
			end(err)
		}
	}()
	sized := make(chan struct{})
	go func() {
		defer close(sized)
		a.sizing(ctx)
	}()
	err = a.show(shown)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	end(nil)
	in.Cancel()
	<-sized
	if a.keyed { // what is no terminal may not be woken; the process ends soon
		<-typed
	}
	if errors.Is(err, errDetached) {
		a.detached = true
		return nil
	}
	return err
}

// show prints what the app shows, as it is.
func (a *attached) show(shown io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := shown.Read(buf)
		if _, werr := a.env.Stdout.Write(buf[:n]); werr != nil {
			return printed(werr)
		}
		if on, off := bytes.LastIndex(buf[:n], []byte(wholeScreen)), bytes.LastIndex(buf[:n], []byte(halfScreen)); on != off {
			a.large = on > off
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil // the process or the mesh has ended
		}
		if err != nil {
			return fmt.Errorf("following the terminal: %w", err)
		}
	}
}

// typing passes on what is typed until the detach key or the end of stdin.
func (a *attached) typing(ctx context.Context, in io.Reader) error {
	buf := make([]byte, 4<<10)
	for {
		n, err := in.Read(buf)
		keys := buf[:n]
		at := -1
		if a.keyed {
			at = bytes.IndexByte(keys, a.key)
		}
		if at >= 0 {
			keys = keys[:at]
		}
		if len(keys) > 0 {
			// Nobody to read it: the user sees that nothing comes back.
			if err := a.c.Type(ctx, a.name, keys); err != nil && !errors.Is(err, control.ErrNoProcess) {
				return err
			}
		}
		switch {
		case at >= 0:
			return errDetached
		case err != nil && a.keyed && !errors.Is(err, cancelreader.ErrCanceled):
			return errDetached // the terminal has gone
		case err != nil:
			return nil //nolint:nilerr // what is shown goes on
		}
	}
}

// sizing tells the app the size of this terminal, now and when it changes.
func (a *attached) sizing(ctx context.Context) {
	out, ok := a.env.Stdout.(*os.File)
	if !ok || !a.env.StdoutTTY || !a.keyed {
		return
	}
	for {
		if cols, rows, err := term.GetSize(int(out.Fd())); err == nil && cols > 0 && rows > 0 { //nolint:gosec // a descriptor is a small number
			// The size is a nicety, and the next change says it again.
			_ = a.c.Resize(ctx, a.name, control.Size{Cols: uint16(cols), Rows: uint16(rows)}) //nolint:gosec // the system has 16 bits for it
		}
		select {
		case <-a.env.Resized:
		case <-ctx.Done():
			return
		}
	}
}

// What an app writes to have the whole screen and to give it back.
const wholeScreen, halfScreen = "\x1b[?1049h", "\x1b[?1049l"

// restore gives what brings this terminal back to what it was, whatever the app
// has made of it: the cursor, colours, the mouse, pasting, keys.
func (a *attached) restore() string {
	s := "\x1b[0m\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>"
	if a.large {
		s = halfScreen + s
	}
	return s
}

// farewell says why the terminal of the app was left.
func (a *attached) farewell(ctx context.Context) string {
	if a.detached {
		return fmt.Sprintf("detached; %s goes on", a.name)
	}
	if ctx.Err() != nil {
		return "left " + a.name
	}
	m, err := a.c.Fetch(ctx)
	if err != nil {
		return "the mesh has ended"
	}
	in := control.Instance(m, a.name)
	switch {
	case in == nil:
		return a.name + " has been removed"
	case in.Reason != "":
		return fmt.Sprintf("%s is %s: %s", a.name, in.Phase, in.Reason)
	}
	return fmt.Sprintf("%s is %s", a.name, in.Phase)
}
