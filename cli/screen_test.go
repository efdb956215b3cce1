package cli

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"

	"mesh/runtime/flow"
	"mesh/supervisor/control"
	"mesh/supervisor/proc"
	"mesh/supervisor/state"
	"mesh/tui"
)

// faultyEnv makes the test binary a mesh whose screen fails.
const faultyEnv = "MESH_CLI_FAULTY"

func TestMain(m *testing.M) {
	guardian := len(os.Args) > 1 && os.Args[1] == proc.GuardianArg
	if os.Getenv(faultyEnv) == "" && !guardian {
		os.Exit(m.Run())
	}
	env, err := OS()
	if err != nil {
		panic(err)
	}
	env.flows = func(f tui.Flows) tui.Flows { return &faulty{Flows: f} }
	os.Exit(Main(context.Background(), os.Args[1:], env))
}

// faulty fails when the flows are read for the fourth time.
type faulty struct {
	tui.Flows
	reads atomic.Int32
}

func (f *faulty) Views(recent int) []flow.View {
	if f.reads.Add(1) == 4 {
		panic("no flows today")
	}
	return f.Flows.Views(recent)
}

// TestAMeshOutlivesItsScreen runs a mesh in a terminal whose screen panics: the
// terminal is restored, the apps run on, and the user learns how to come back.
func TestAMeshOutlivesItsScreen(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mesh.toml"), []byte("[apps.web]\ncommand = \"exec sleep 1000\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "up", "--isolated")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), faultyEnv+"=1", "TERM=xterm-256color", "XDG_CONFIG_HOME="+dir)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 100, Rows: 30})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var out bytes.Buffer
	seen := func() string { mu.Lock(); defer mu.Unlock(); return out.String() }
	var read sync.WaitGroup
	read.Go(func() {
		buf := make([]byte, 32<<10)
		for {
			n, err := tty.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			out.Write(buf[:n])
			mu.Unlock()
		}
	})
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // joined below
	defer func() {
		_ = cmd.Process.Kill()
		_ = tty.Close()
		read.Wait()
	}()
	until(t, "word of the fault", seen, func() bool { return strings.Contains(seen(), "`mesh down` stops it") })
	text := seen()
	for _, want := range []string{"the screen failed: no flows today", "`mesh attach` in " + dir} {
		if !strings.Contains(text, want) {
			t.Errorf("the terminal does not say %q: %q", want, text)
		}
	}
	if strings.LastIndex(text, "\x1b[?1049l") < strings.LastIndex(text, "\x1b[?1049h") || strings.LastIndex(text, "\x1b[?25h") < strings.LastIndex(text, "\x1b[?25l") {
		t.Errorf("the terminal is not as it was before: %q", text)
	}

	c, err := control.Dial(t.Context(), dir)
	if err != nil {
		t.Fatalf("the mesh is gone: %v", err)
	}
	defer c.Close()
	until(t, "the app to be ready", seen, func() bool { return c.State().Apps[0].Instances[0].Phase == state.Ready })
	until(t, "the notice", seen, func() bool {
		for _, n := range c.State().Notices {
			if n.Code == "screen" && strings.Contains(n.Text, "no flows today") && n.Hint == "mesh attach" {
				return true
			}
		}
		return false
	})
	if err := c.Do(t.Context(), state.Command{Op: state.Down}); err != nil {
		t.Error(err)
	}
	select {
	case err := <-exited:
		if err != nil {
			t.Errorf("the mesh ends with %v: %q", err, seen())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the mesh does not end")
	}
}

func until(t *testing.T, what string, seen func() string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s; the terminal has %q", what, seen())
		}
	}
}
