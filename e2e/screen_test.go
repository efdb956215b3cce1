package e2e

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"

	"mesh/supervisor/state"
)

// screen is a mesh command in a terminal.
type screen struct {
	t      *testing.T
	cmd    *exec.Cmd
	tty    *os.File
	vt     vt10x.Terminal
	exited chan struct{}
	hold   sync.Mutex // locked: the terminal takes no more output
	wrote  output     // everything, for what is no picture
}

// onScreen starts a command in a terminal of 100×30. A blocked terminal takes
// nothing until its lock is released.
func (p *project) onScreen(blocked bool, args ...string) *screen {
	p.t.Helper()
	t, ok := p.t.(*testing.T)
	if !ok {
		p.t.Fatal("a screen is for tests")
	}
	s := &screen{t: t, vt: vt10x.New(vt10x.WithSize(100, 30)), exited: make(chan struct{})}
	s.cmd = exec.Command(meshBinary, args...)
	s.cmd.Dir = p.dir
	s.cmd.Env = append(os.Environ(), "TERM=xterm-256color", "EDITOR=true", "XDG_CONFIG_HOME="+p.dir)
	if blocked {
		s.hold.Lock()
	}
	var err error
	if s.tty, err = pty.StartWithSize(s.cmd, &pty.Winsize{Cols: 100, Rows: 30}); err != nil {
		t.Fatal(err)
	}
	var read sync.WaitGroup
	read.Go(func() {
		buf := make([]byte, 32<<10)
		for {
			s.hold.Lock()
			n, err := s.tty.Read(buf)
			s.hold.Unlock()
			if err != nil {
				return
			}
			_, _ = s.wrote.Write(buf[:n])
			_, _ = s.vt.Write(buf[:n])
		}
	})
	read.Go(func() {
		_ = s.cmd.Wait() // the exit code says it all
		close(s.exited)
	})
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.exited:
		case <-time.After(patience):
			_ = s.cmd.Process.Kill()
			t.Errorf("mesh %v does not end", args)
		}
		_ = s.tty.Close()
		read.Wait()
	})
	return s
}

// shows waits until all the texts are in the picture together.
func (s *screen) shows(texts ...string) {
	s.t.Helper()
	missing := ""
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		picture := s.vt.String()
		missing = ""
		for _, text := range texts {
			if !strings.Contains(picture, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-deadline.C:
			s.t.Fatalf("the screen does not show %q:\n%s", missing, picture)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// types sends keys.
func (s *screen) types(keys ...string) {
	s.t.Helper()
	for _, k := range keys {
		if _, err := s.tty.WriteString(k); err != nil {
			s.t.Fatal(err)
		}
	}
}

// ends waits for the command and gives its exit code.
func (s *screen) ends() int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.t.Fatalf("it does not end:\n%s", s.vt.String())
	}
	return s.cmd.ProcessState.ExitCode()
}

const (
	enter = "\r"
	down  = "\x1b[B"
)

// TestScreenSession looks at a live stream in an attached screen as a user would:
// selects it, zooms, filters, reads logs, restarts an app, and leaves without
// stopping the mesh.
func TestScreenSession(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
name = "shop"
[apps.web]
command = "APP server SELF"
port = "auto"
[apps.other]
command = "APP wait SELF"
`)
	r := p.up()
	r.ready("web", "other")
	s := p.onScreen(false, "attach", "--theme", "none")
	s.shows("▸Apps", "● other", "● web", "2/2 ready")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.open(ctx, http.MethodGet, "other", "v1.0/invoke/web/method/ticks", http.NoBody)

	s.types("2")
	s.shows("▸Streams", "1 live", "other ▸ web GET", "flowing")
	s.types(enter)
	s.shows("▸Lanes", "other ▸ web  GET /ticks", "← ", "live, ")
	s.types("+", "+", "+", "[", "[")
	s.shows("chunk ", "hold ")
	s.types("2", "/", "to:nobody", enter)
	s.shows("filter to:nobody", "no stream matches the filter")
	s.types("/", "to:web !stalled", enter)
	s.shows("filter to:web !stalled", "1 live, 0 ended")
	s.types(":", "save filter busy", enter)
	s.shows("saved: @busy")
	if got, err := os.ReadFile(p.dir + "/.mesh/filters.toml"); err != nil || !strings.Contains(string(got), "to:web !stalled") {
		t.Errorf("saved is %q, %v", got, err)
	}
	cancel() // the stream ends, as a client that goes away ends it
	s.shows("0 live, 1 ended")

	before := r.instance("web").PID
	s.types("1", down, "r")
	s.shows("restart web: done")
	if now := r.instance("web"); now.PID == before || now.Phase != state.Ready {
		t.Errorf("after the restart web is %s with pid %d, it had %d", now.Phase, now.PID, before)
	}
	s.types("S")
	s.shows("stop web", "?  y yes", "n no") // with a call under way, as the count of a moment ago has it
	s.types("n")

	// What is wrong with the file stands above every view, and in the plan.
	p.write("mesh.toml", "[apps.web]\ncomand = \"true\"\n")
	s.shows("✖", "unknown key \"comand\"", "^")
	s.types("7")
	s.shows("▸Plan", "mesh.toml cannot be read")
	s.types("u", "y")
	s.shows("mesh.toml is what ran before again")

	s.types("s") // raw logs, in the terminal itself
	s.shows("raw logs of shop")
	s.types("s")
	s.shows("▸Plan")
	s.types("q")
	s.shows("leave the mesh running?", "d detach")
	s.types("d")
	if code := s.ends(); code != 0 {
		t.Errorf("leaving exits with %d", code)
	}
	await(t, "the terminal to be as it was before", func() bool { // its last output may come after the end
		out := s.wrote.String()
		return strings.LastIndex(out, "\x1b[?1049l") > strings.LastIndex(out, "\x1b[?1049h") && strings.LastIndex(out, "\x1b[?25h") > strings.LastIndex(out, "\x1b[?25l")
	})
	r.ready("web", "other")
}

// TestTerminalsThatTakeNothing: a mesh whose own terminal is stuck, and one to
// which such a terminal is attached, answer as ever; one that is closed takes
// nothing along.
func TestTerminalsThatTakeNothing(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.web]
command = "APP server SELF"
port = "auto"
[apps.noise]
command = "while true; do echo a line that keeps the screen moving; sleep 0.02; done"
`)
	s := p.onScreen(true, "up", "--theme", "dark")
	r := &running{t: t, p: p, cmd: s.cmd, out: &s.wrote, exited: s.exited}
	r.connect()
	r.ready("web", "noise")
	attached := p.onScreen(true, "attach")
	calls := func(when string) {
		t.Helper()
		for range 100 {
			began := time.Now()
			if code, _, err := r.get("noise", "v1.0/invoke/web/method/who"); code != http.StatusOK || err != nil {
				t.Fatalf("%s: %d %v", when, code, err)
			}
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("%s a call took %v", when, d)
			}
		}
	}
	s.types("4") // all the noise
	calls("while the terminals take nothing")
	if err := attached.tty.Close(); err != nil {
		t.Fatal(err)
	}
	attached.hold.Unlock()
	attached.ends()
	calls("after one was closed")

	s.hold.Unlock()
	s.shows("▸Logs", "a line that keeps the screen moving")
	s.types("q")
	if code := s.ends(); code != 0 {
		t.Errorf("quitting exits with %d\n%s", code, s.vt.String())
	}
}
