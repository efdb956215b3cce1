package tui

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminal is the screen in a process of its own, on a pseudo terminal.
type terminal struct {
	t    *testing.T
	file *os.File
	cmd  *exec.Cmd
	over chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
	new chan struct{}
}

func start(t *testing.T, how string) *terminal {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), playEnv+"="+how, "TERM=xterm-256color", "NO_COLOR=1")
	file, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 100, Rows: 30})
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, file: file, cmd: cmd, over: make(chan struct{}), new: make(chan struct{}, 1)}
	var read sync.WaitGroup
	read.Go(func() {
		buf := make([]byte, 32<<10)
		for {
			n, err := file.Read(buf)
			if err != nil {
				return
			}
			term.mu.Lock()
			term.out.Write(buf[:n])
			term.mu.Unlock()
			select {
			case term.new <- struct{}{}:
			default:
			}
		}
	})
	read.Go(func() {
		_ = cmd.Wait() // the exit code says it all
		close(term.over)
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = file.Close()
		read.Wait()
	})
	return term
}

func (x *terminal) seen() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.out.String()
}

// expect waits until a text has been written since the last key, and gives
// how long that took.
func (x *terminal) expect(text string) time.Duration {
	x.t.Helper()
	begun, deadline := time.Now(), time.After(20*time.Second)
	for !strings.Contains(x.seen(), text) {
		select {
		case <-x.new:
		case <-deadline:
			x.t.Fatalf("the terminal never got %q, but %q", text, x.seen())
		}
	}
	return time.Since(begun)
}

// key types a key; what was written before is forgotten.
func (x *terminal) key(k string) {
	x.t.Helper()
	x.mu.Lock()
	x.out.Reset()
	x.mu.Unlock()
	if _, err := x.file.WriteString(k); err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) exit() int {
	x.t.Helper()
	select {
	case <-x.over:
	case <-time.After(20 * time.Second):
		x.t.Fatal("the screen does not end")
	}
	return x.cmd.ProcessState.ExitCode()
}

const leaveAltScreen = "\x1b[?1049l"

func TestSessionOnATerminal(t *testing.T) {
	x := start(t, "6,50")
	x.expect("\x1b[?1049h")
	x.expect("gave up after 5 starts")
	x.expect("\x1b]2;mesh: shop ✖ 2\a") // what the window is called
	x.expect("\x1b]9;4;2;")             // a bar that shows a failure
	x.key("2")
	x.expect("flowing")
	x.key("\r")
	x.expect("live, ")
	x.expect("◆")
	x.key("s") // raw logs
	x.expect(leaveAltScreen)
	x.expect("web │ INFO served request")
	x.key("s")
	x.expect("\x1b[?1049h")
	x.key("e")
	x.expect("editing /home/ada/shop/mesh.toml:0:0")
	x.expect("\x1b[?1049h")
	x.key("1")
	x.key("a")
	x.expect("at the terminal of bill")
	x.expect("\x1b[?1049h")
	x.expect("back from the terminal of bill")
	x.key("\x03")
	x.expect("left: quit")
	if !strings.Contains(x.seen(), "\x1b]9;4;0") {
		t.Errorf("the terminal's progress bar stays: %q", x.seen())
	}
	if !strings.Contains(x.seen(), leaveAltScreen) || !strings.Contains(x.seen(), "\x1b[?25h") {
		t.Errorf("the terminal is not as it was before: %q", x.seen())
	}
	if code := x.exit(); code != 0 {
		t.Errorf("the exit code is %d", code)
	}
}

// TestABlockedTerminalHoldsNobodyUp gives the screen a terminal that takes
// nothing: when the mesh ends, the screen does too.
func TestABlockedTerminalHoldsNobodyUp(t *testing.T) {
	mesh, flows := shop()
	in, keyboard := io.Pipe()
	defer func() { _ = keyboard.Close() }()
	full, blocked := io.Pipe() // nobody reads
	defer func() { _ = full.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	begun := time.Now()
	err := New(mesh, flows, Options{Input: in, Output: blocked, Environ: []string{"TERM=xterm"}}).Run(ctx)
	if err == nil || !strings.Contains(err.Error(), "takes no output") {
		t.Errorf("got %v, want a word about the terminal", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAPanicRestoresTheTerminal(t *testing.T) {
	x := start(t, "panic")
	x.expect("left: the screen failed: no state today")
	if out := x.seen(); strings.LastIndex(out, leaveAltScreen) < strings.LastIndex(out, "\x1b[?1049h") {
		t.Errorf("the screen is still there: %q", out)
	}
	x.exit()
}
