package supervisor

import (
	"fmt"
	"net"
	"path/filepath"
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

// TestAppThatCannotBeRebuiltRunsAsBefore: when the new place is lost after the
// app has been stopped, it comes back where it was, and the next look tries again.
func TestAppThatCannotBeRebuiltRunsAsBefore(t *testing.T) {
	dir := t.TempDir()
	file := "[apps.web]\ncommand = \"exec sleep 1000\"\n"
	old := parse(t, dir, file)
	l := start(t, old)
	defer l.end()
	before := l.settle()
	taken := listen(t)
	e := &edit{mesh: parse(t, dir, file+fmt.Sprintf("sidecar = { http_port = %d }\n", taken)), scaled: map[string]int{}}
	var units []*unit
	l.do(func() {
		e.have, units = l.stock.have, l.of("web")
		l.commit(e, nil)
	})
	l.stopUnits(units, errRemoved)
	err := l.replace(t.Context(), e, old, units, []string{"web"})
	if err == nil || !strings.Contains(err.Error(), "as before") {
		t.Errorf("rebuilding on a taken port: %v", err)
	}
	if now := l.settle(); now != before {
		t.Errorf("the app was\n%s\nand is\n%s", before, now)
	}
	l.do(func() {
		if config.Diff(l.cfg, e.mesh).Empty() {
			t.Error("the next look at the file finds nothing to try again")
		}
	})
}
