package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

// patience bounds every wait of these tests. It is long because CI is slow and
// costs nothing when all is well.
const patience = 30 * time.Second

var meshBinary string // built once for all tests of the package

// TestMain builds the binary, or, started by mesh, plays an app.
func TestMain(m *testing.M) {
	if role := os.Getenv("E2E_ROLE"); role != "" {
		os.Exit(play(role))
	}
	if signal.Ignored(syscall.SIGHUP) {
		// mesh heeds nohup. What is handled here is not ignored by our children.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	// What has the race detector sleeps for a second before it exits, unless told
	// not to: every app and every mesh that is started below.
	_ = os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")) // fails only for a name that is none
	dir, err := os.MkdirTemp("", "mesh-e2e")
	if err != nil {
		panic(err)
	}
	meshBinary = filepath.Join(dir, "mesh")
	args := []string{"build", "-o", meshBinary}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "mesh")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building mesh: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// project is a folder with a mesh.toml.
type project struct {
	t   testing.TB
	dir string
}

func newProject(t testing.TB, toml string) *project {
	t.Helper()
	p := &project{t: t, dir: t.TempDir()}
	p.write("mesh.toml", toml)
	return p
}

// write saves a file as editors do: a new one, renamed over the old.
func (p *project) write(name, text string) {
	p.t.Helper()
	// APP stands for a command that plays a role of play.
	text = strings.ReplaceAll(text, "APP ", "exec env E2E_ROLE=")
	text = strings.ReplaceAll(text, "SELF", os.Args[0])
	file := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		p.t.Fatal(err)
	}
}

// running is a `mesh up --headless` of a project.
type running struct {
	t      testing.TB
	p      *project
	cmd    *exec.Cmd
	out    *output
	exited chan struct{}
	client *control.Client
}

// up starts the mesh and waits until its control socket answers.
func (p *project) up(args ...string) *running {
	p.t.Helper()
	r := p.start(args...)
	r.connect()
	return r
}

// connect waits until the control socket of the mesh answers.
func (r *running) connect() {
	r.t.Helper()
	p := r.p
	r.await("the control socket", func() bool {
		select {
		case <-r.exited:
			p.t.Fatalf("mesh up ended: %v\n%s", r.cmd.ProcessState, r.out)
		default:
		}
		c, err := control.Dial(p.t.Context(), p.dir)
		if err != nil {
			return false
		}
		r.client = c
		p.t.Cleanup(c.Close)
		return true
	})
}

// start starts the mesh without waiting for anything.
func (p *project) start(args ...string) *running {
	p.t.Helper()
	r := &running{t: p.t, p: p, out: &output{}, exited: make(chan struct{})}
	r.cmd = exec.Command(meshBinary, append([]string{"up", "--headless"}, args...)...)
	r.cmd.Dir = p.dir
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	r.cmd.WaitDelay = time.Second
	if err := r.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { // joined by the cleanup
		_ = r.cmd.Wait()
		close(r.exited)
	}()
	p.t.Cleanup(func() {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-r.exited:
		case <-time.After(patience):
			_ = r.cmd.Process.Kill()
			<-r.exited
			p.t.Errorf("mesh did not stop\n%s", r.out)
		}
		if p.t.Failed() {
			p.t.Logf("mesh printed:\n%s", r.out)
		}
	})
	return r
}

// await polls until something is so.
func (r *running) await(what string, ok func() bool) { await(r.t, what, ok) }

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("waited %v in vain for %s", patience, what)
		case <-tick.C:
		}
	}
}

// instance gives an instance by name, or the zero value.
func (r *running) instance(name string) state.Instance {
	m := r.client.State()
	for _, a := range m.Apps {
		for _, i := range a.Instances {
			if i.Name == name {
				return i
			}
		}
	}
	return state.Instance{}
}

// ready waits until the instances are ready.
func (r *running) ready(names ...string) {
	r.t.Helper()
	for _, n := range names {
		r.await(n+" to be ready", func() bool { return r.instance(n).Phase == state.Ready })
	}
}

// get calls through the sidecar of an instance and gives status and body.
func (r *running) get(from, path string) (int, string, error) {
	return get(r.t.Context(), fmt.Sprintf("http://127.0.0.1:%d/%s", r.instance(from).HTTPPort, path))
}

func get(ctx context.Context, url string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// open calls through the sidecar of an instance and gives the reply while it
// still arrives. It is closed when the test ends.
func (r *running) open(ctx context.Context, verb, from, path string, body io.Reader) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(ctx, verb, fmt.Sprintf("http://127.0.0.1:%d/%s", r.instance(from).HTTPPort, path), body)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// notice gives the text of the notice of that code, or "".
func (r *running) notice(code string) string {
	for _, n := range r.client.State().Notices {
		if n.Code == code {
			return n.Text
		}
	}
	return ""
}

// mesh runs another command of the binary in the project.
func (p *project) mesh(args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, meshBinary, args...)
	cmd.Dir = p.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if x, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errs.String(), x.ExitCode()
	}
	if err != nil {
		p.t.Fatalf("mesh %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), 0
}

// output collects what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// alive says whether a process exists and is no zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// pids reads the process numbers that an app has written into a file.
func (p *project) pids(file string) (pids []int) {
	f, err := os.Open(filepath.Join(p.dir, file))
	if err != nil {
		return nil
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		var n int
		if json.Unmarshal(s.Bytes(), &n) == nil {
			pids = append(pids, n)
		}
	}
	return pids
}
