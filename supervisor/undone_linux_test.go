package supervisor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

func parse(t *testing.T, dir, text string) *config.Mesh {
	t.Helper()
	m, err := config.Parse(filepath.Join(dir, "mesh.toml"), []byte(text), config.Options{})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return m
}

// listen takes a port for the length of the test.
func listen(t *testing.T) (port int) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return portOf(t, l)
}

func portOf(t *testing.T, l net.Listener) int {
	t.Helper()
	at, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("%v is no TCP address", l.Addr())
	}
	return at.Port
}

// TestImpossibleScaleLeavesNothing: a number that cannot be had must not come
// back with the next edit of something else.
func TestImpossibleScaleLeavesNothing(t *testing.T) {
	file := "[apps.web]\ncommand = \"exec sleep 1000\"\n"
	dir := t.TempDir()
	l := start(t, parse(t, dir, file))
	defer l.end()
	l.settle()
	for _, n := range []int{-1, 1001, 1 << 40} {
		if err := l.Do(t.Context(), state.Command{Op: state.Scale, App: "web", Count: n}); err == nil || !strings.Contains(err.Error(), "1000") {
			t.Errorf("scaling to %d: %v", n, err)
		}
	}
	spoken := map[int]bool{}
	l.do(func() { // no port is left for a third instance
		for p := portBase; p < portBase+portRange; p++ {
			spoken[p] = l.ports.taken[p]
			l.ports.taken[p] = true
		}
	})
	if err := l.Do(t.Context(), state.Command{Op: state.Scale, App: "web", Count: 3}); err == nil || !strings.Contains(err.Error(), "no free port") {
		t.Errorf("scaling without ports: %v", err)
	}
	l.do(func() { l.ports.taken = spoken })
	if err := l.Apply(t.Context(), parse(t, dir, file+"hold = \"3s\"\n")); err != nil {
		t.Fatal(err)
	}
	if n := len(l.State().Find("web").Instances); n != 1 {
		t.Errorf("%d instances run, want 1", n)
	}
	if err := l.Do(t.Context(), state.Command{Op: state.Scale, App: "web", Count: 3}); err != nil {
		t.Fatal(err)
	}
	if n := ready(l.State().Find("web")); n != 3 {
		t.Errorf("scale returns when %d instances are ready, want 3", n)
	}
}

// do runs f in the loop.
func (l *live) do(f func()) {
	l.t.Helper()
	if err := l.ask(l.t.Context(), f); err != nil {
		l.t.Fatal(err)
	}
}

func ready(a *state.App) (n int) {
	for _, i := range a.Instances {
		if i.Phase == state.Ready {
			n++
		}
	}
	return n
}

// TestEditThatFailsKeepsFixedPorts: the ports that the user has fixed are still
// not to be picked for others after an edit that could not be had.
func TestEditThatFailsKeepsFixedPorts(t *testing.T) {
	dir := t.TempDir()
	l := start(t, parse(t, dir, "[apps.web]\ncommand = \"exec sleep 1000\"\nport = 23456\n"))
	defer l.end()
	taken := listen(t)
	bad := fmt.Sprintf("[apps.web]\ncommand = \"exec sleep 1000\"\nport = 23457\nsidecar = { http_port = %d }\n", taken)
	if err := l.Apply(t.Context(), parse(t, dir, bad)); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Fatalf("moving to a taken port: %v", err)
	}
	l.do(func() {
		if !l.ports.fixed[23456] || l.ports.fixed[23457] {
			t.Error("the fixed ports are those of the edit that failed")
		}
	})
}

// freePort gives a port that nobody has at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return portOf(t, l)
}

// TestEditIsAllOrNothing: when one app's new place is lost after it has been
// stopped, nothing of the edit counts: what was added goes, what was removed,
// restarted, scaled or moved is what it was.
func TestEditIsAllOrNothing(t *testing.T) {
	const patient = `command = "exec ./patient -c \"trap 'while [ ! -e go ]; do sleep 0.01; done; exit 0' TERM; while :; do sleep 0.05; done\""` + "\n"
	dir := t.TempDir()
	if err := os.Symlink("/bin/sh", filepath.Join(dir, "patient")); err != nil {
		t.Fatal(err)
	}
	old := parse(t, dir, "[apps.web]\n"+patient+`
[apps.other]
command = "exec sleep 1000"
env = { COLOR = "red" }
[apps.moved]
command = "exec sleep 1000"
[apps.gone]
command = "exec sleep 1000"
`)
	var counted []*config.Mesh
	l := start(t, old, func(o *Options) { o.Applied = func(m *config.Mesh) { counted = append(counted, m) } })
	defer l.end()
	before := l.settle()

	lost, free := freePort(t), freePort(t)
	edit := fmt.Sprintf("[apps.web]\n"+patient+`sidecar = { http_port = %d }
[apps.other]
command = "exec sleep 1000"
env = { COLOR = "blue" }
instances = 2
[apps.moved]
command = "exec sleep 1000"
sidecar = { http_port = %d }
[apps.new]
command = "exec sleep 1000"
`, lost, free)
	done := make(chan error, 1)
	go func() { done <- l.Apply(t.Context(), parse(t, dir, edit)) }() // joined below
	l.until("web is stopped", func(m *state.Mesh) bool { return m.Find("web").Instances[0].Phase == state.Stopping })
	thief, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", lost))
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err = <-done
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(lost)) || !strings.Contains(err.Error(), "everything is as it was before") {
		t.Errorf("the edit ends with %v", err)
	}
	if now := l.settle(); now != before {
		t.Errorf("the mesh was\n%s\nand is\n%s", before, now)
	}
	if len(counted) != 0 {
		t.Error("the edit is said to have been applied")
	}
	l.do(func() {
		if !config.Diff(l.cfg, old).Empty() {
			t.Error("the configuration is not what it was")
		}
	})
}
