package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mesh/cli"
	"mesh/supervisor/control/controltest"
	"mesh/supervisor/state"
)

// screen gathers what a command prints; it may be read while the command runs.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// shell runs commands in a folder.
type shell struct {
	t     *testing.T
	ctx   context.Context //nolint:containedctx // that of the test
	dir   string
	stdin string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	return &shell{t: t, ctx: t.Context(), dir: t.TempDir()}
}

// file writes a file below the folder.
func (s *shell) file(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// command is a command that runs.
type command struct {
	out, err screen
	code     chan int
}

// start starts a command.
func (s *shell) start(args ...string) *command {
	return s.startWith(strings.NewReader(s.stdin), args...)
}

// startWith starts a command that reads stdin.
func (s *shell) startWith(stdin io.Reader, args ...string) *command {
	c := &command{code: make(chan int, 1)}
	env := cli.Env{Stdin: stdin, Stdout: &c.out, Stderr: &c.err, Dir: s.dir, Environ: []string{"XDG_CONFIG_HOME=" + filepath.Join(s.dir, "home")}}
	go func() { c.code <- cli.Main(s.ctx, args, env) }()
	return c
}

// wait waits for a command and gives its exit code.
func (c *command) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-c.code:
		return code
	case <-time.After(20 * time.Second):
		t.Fatalf("the command does not return; it has printed:\n%s%s", c.out.String(), c.err.String())
		return -1
	}
}

// run runs a command to its end.
func (s *shell) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	c := s.start(args...)
	code = c.wait(s.t)
	return c.out.String(), c.err.String(), code
}

// says runs a command and checks its exit code and that its output, on stdout
// when it succeeds and on stderr when it fails, holds some words.
func (s *shell) says(code int, args []string, words ...string) string {
	s.t.Helper()
	stdout, stderr, got := s.run(args...)
	text := stdout
	if code != 0 {
		text = stderr
	}
	if got != code {
		s.t.Errorf("mesh %s exits with %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			s.t.Errorf("mesh %s does not say %q:\n%s", strings.Join(args, " "), w, text)
		}
	}
	return text
}

// words splits a line of arguments without quotes.
func words(line string) []string { return strings.Fields(line) }

// soon fails the test when ok does not become true.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// serve makes a mesh with an app in two instances and one that has failed
// reachable in the shell's folder.
func serve(s *shell) *controltest.Running {
	s.t.Helper()
	s.file("mesh.toml", "name = \"shop\"\n")
	since := time.Now().Add(-90 * time.Second)
	return controltest.Serve(s.t, s.dir, state.Mesh{
		Name: "shop", PID: 42, Dir: s.dir, File: filepath.Join(s.dir, "mesh.toml"), Transport: "auto",
		Apps: []state.App{
			{ID: "inventory", Protocol: "http", Instances: []state.Instance{
				{Name: "inventory", Phase: state.Failed, Since: since, Restarts: 5, HTTPPort: 3502, Reason: "exited with 2: no such table"},
			}},
			{ID: "orders", Protocol: "http", Instances: []state.Instance{
				{Name: "orders-1", Phase: state.Ready, Since: since, PID: 4711, AppPort: 8080, HTTPPort: 3500, GRPCPort: 50001, CPU: 0.125, Memory: 12_300_000, Calls: 2, Waiting: 1},
				{Name: "orders-2", Phase: state.Starting, Since: since, PID: 4712, AppPort: 8081, HTTPPort: 3501, GRPCPort: 50002},
			}},
		},
	})
}

// repair makes every instance ready.
func repair(m *state.Mesh) {
	apps := make([]state.App, len(m.Apps))
	for i, a := range m.Apps {
		a.Instances = append([]state.Instance(nil), a.Instances...)
		for j := range a.Instances {
			a.Instances[j].Phase, a.Instances[j].Reason = state.Ready, ""
		}
		apps[i] = a
	}
	m.Apps = apps
}

func TestHelp(t *testing.T) {
	s := newShell(t)
	text := s.says(0, nil, "Examples:", "mesh up")
	for _, name := range words("up attach down ps logs tap wait invoke restart stop start scale check schema doctor version completion") {
		if !strings.Contains(text, "\n  "+name+" ") {
			t.Errorf("the help does not list %s", name)
		}
		help := s.says(0, []string{name, "--help"}, "Usage:")
		if name != "version" && name != "completion" && !strings.Contains(help, "Examples:") {
			t.Errorf("the help of %s has no examples", name)
		}
	}
}

func TestUsage(t *testing.T) {
	s := newShell(t)
	for _, c := range []struct {
		args string
		says []string
	}{
		{"restat", []string{`there is no command "restat"`, "did you mean `mesh restart`?"}},
		{"xyzzy", []string{"`mesh --help` lists the commands"}},
		{"ps --jsn", []string{"unknown flag: --jsn", "`mesh ps --help`"}},
		{"--nonsense", []string{"unknown flag: --nonsense"}},
		{"restart", []string{"restart needs the name of an app, or --all"}},
		{"stop --all orders", []string{"exclude each other"}},
		{"scale orders", []string{`"orders" is not an app and a number of instances`, "orders=3"}},
		{"scale orders=-1", []string{"not an app and a number"}},
		{"invoke orders", []string{"invoke needs the id of an app and a method"}},
		{"invoke orders / -H nonsense", []string{`"nonsense" is not a header`}},
		{"wait --for love", []string{`there is no state "love"`, "--for ready"}},
		{"logs --since yesterday", []string{`"yesterday" is neither a duration nor a time`}},
		{"logs --grep (", []string{"reading --grep"}},
		{"logs --mark here orders", []string{"name none with --mark"}},
		{"tap to:(", []string{"to:(", "^"}},
		{"check mesh.toml", []string{`"mesh.toml" is one word too many`}},
	} {
		s.says(2, words(c.args), c.says...)
	}
}

func TestProject(t *testing.T) {
	s := newShell(t)
	serve(s)
	s.file("services/orders/main.go", "")
	s.file("other/staging.toml", "name = \"staging\"\n")
	below := &shell{t: t, ctx: t.Context(), dir: filepath.Join(s.dir, "services/orders")}
	below.says(0, words("ps"), "orders-1")
	elsewhere := newShell(t)
	elsewhere.says(1, words("ps"), "there is no mesh.toml in "+elsewhere.dir, "--dir")
	for _, args := range [][]string{
		{"ps", "-C", s.dir},
		{"-C", s.dir, "ps"},
		{"ps", "--file", filepath.Join(s.dir, "mesh.toml")},
		{"-f", filepath.Join(s.dir, "mesh.toml"), "ps"},
		{"logs", "-C", s.dir},
	} {
		if _, stderr, code := elsewhere.run(args...); code != 0 {
			t.Errorf("mesh %v exits with %d: %s", args, code, stderr)
		}
	}
	s.says(1, words("ps --file other/staging.toml"), "no mesh runs in "+filepath.Join(s.dir, "other"), "`mesh up`")
	s.says(1, words("ps --file nothing.toml"), "nothing.toml")
	s.says(1, words("ps --dir nowhere"), "nowhere")
	if err := os.Remove(filepath.Join(s.dir, "mesh.toml")); err != nil {
		t.Fatal(err)
	}
	s.says(0, words("ps"), "orders-1") // the mesh still runs
}

func TestSignalEndsACommand(t *testing.T) {
	s := newShell(t)
	serve(s)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	s.ctx = ctx
	c := s.start("logs", "-f")
	cancel(cli.SignalError{Signal: syscall.SIGTERM})
	if code := c.wait(t); code != 128+int(syscall.SIGTERM) {
		t.Errorf("the exit code is %d", code)
	}
	if text := c.err.String(); text != "" {
		t.Errorf("an interrupted command says %q", text)
	}
}
