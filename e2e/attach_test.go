package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"

	"mesh/supervisor/state"
)

// desk is a person at a terminal who has started a command of mesh.
type desk struct {
	t      *testing.T
	tty    *os.File
	out    *output
	exited chan struct{}
	cmd    *exec.Cmd
}

// sit starts a command of mesh at a terminal of that size.
func (p *project) sit(cols, rows uint16, args ...string) *desk {
	t, _ := p.t.(*testing.T)
	t.Helper()
	d := &desk{t: t, out: &output{}, exited: make(chan struct{}), cmd: exec.Command(meshBinary, args...)}
	d.cmd.Dir = p.dir
	var err error
	if d.tty, err = pty.StartWithSize(d.cmd, &pty.Winsize{Cols: cols, Rows: rows}); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		defer close(d.exited)
		buf := make([]byte, 4096)
		for {
			n, err := d.tty.Read(buf)
			_, _ = d.out.Write(buf[:n])
			if err != nil {
				_ = d.cmd.Wait()
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.exited
		_ = d.tty.Close()
		if t.Failed() {
			t.Logf("%s showed\n%q", strings.Join(args, " "), d.out)
		}
	})
	return d
}

func (d *desk) types(keys string) {
	d.t.Helper()
	if _, err := d.tty.WriteString(keys); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) sees(text string) {
	d.t.Helper()
	await(d.t, "the terminal to show "+text, func() bool { return strings.Contains(d.out.String(), text) })
}

// TestAttach: two people are at the terminal of one interpreter. Both see what
// both type, Ctrl-C is the app's, a restart throws nobody out, the one who
// detaches leaves the app alone, and the end of the app ends the other.
func TestAttach(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.repl]
command = "APP repl SELF"
pty = true
restart = "never"
[apps.plain]
command = "APP wait SELF"
`)
	r := p.up()
	r.ready("repl", "plain")
	if _, errs, code := p.mesh("attach", "plain"); code != 1 || !strings.Contains(errs, "plain has no terminal") || !strings.Contains(errs, "pty = true") {
		t.Errorf("attach to an app without a terminal exits with %d and says %q", code, errs)
	}

	s := p.onScreen(false, "attach", "--theme", "none") // by way of the screen
	s.shows("● plain", "● repl")
	s.types("a")
	s.shows("plain has no terminal", "pty = true")
	s.types(down, "a")
	s.shows("at the terminal of repl", "ask> ")
	s.types("size\r")
	s.shows("it is 100 by 30")
	s.types("\x1d")
	s.shows("▸Apps", "back from the terminal of repl")
	s.types("2")
	s.shows("▸Streams")
	s.types("q", "d")
	s.ends()

	ann := p.sit(90, 33, "attach", "repl")
	ann.sees("ask> ") // the prompt that stood there before she came
	ann.types("size\r")
	ann.sees("it is 90 by 33")
	bob := p.sit(70, 22, "attach", "repl", "--detach-key", "ctrl-q")
	bob.sees("it is 90 by 33")
	bob.types("hello from bob\r")
	ann.sees("you say hello from bob")
	ann.types("\x03")
	bob.sees("interrupted")
	if err := pty.Setsize(ann.tty, &pty.Winsize{Cols: 100, Rows: 44}); err != nil {
		t.Fatal(err)
	}
	await(t, "the new size to arrive", func() bool {
		ann.types("size\r")
		return strings.Contains(bob.out.String(), "it is 100 by 44")
	})

	before := r.instance("repl").PID
	if err := r.client.Do(t.Context(), state.Command{Op: state.Restart, App: "repl"}); err != nil {
		t.Fatal(err)
	}
	ann.types("size\rnew process\r")
	bob.sees("you say new process")
	bob.types("\x11")
	<-bob.exited
	bob.sees("detached; repl goes on")
	if code := bob.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("detaching exits with %d", code)
	}
	if now := r.instance("repl"); now.PID == before || now.Phase != state.Ready {
		t.Errorf("after the restart and bob's leaving repl is %+v", now)
	}
	ann.types("exit\r")
	<-ann.exited
	ann.sees("repl is done: exited with code 0")

	// Scripts attach, too; the output ends with the app.
	if err := r.client.Do(t.Context(), state.Command{Op: state.Start, App: "repl"}); err != nil {
		t.Fatal(err)
	}
	script := exec.Command(meshBinary, "attach", "repl")
	script.Dir, script.Stdin = p.dir, strings.NewReader("one\nexit\n")
	if out, err := script.CombinedOutput(); err != nil || !strings.Contains(string(out), "you say one") || !strings.Contains(string(out), "bye") {
		t.Errorf("a script gets %v and %q", err, out)
	}
	if out, _, _ := p.mesh("logs", "repl"); !strings.Contains(out, "you say hello from bob") {
		t.Errorf("the log misses what was at the terminal:\n%s", out)
	}
}
