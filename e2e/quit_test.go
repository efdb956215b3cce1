package e2e

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const family = `
[apps.family]
command = "APP family+wait SELF"
stop = { grace = "1s" }
[apps.web]
command = "APP server SELF"
port = "auto"
[apps.wrapped]
command = "env E2E_ROLE=server SELF & wait"
port = "auto"
`

// TestQuitLeavesNothing ends a mesh in every way there is. Its apps have
// children that ignore SIGTERM, grandchildren in sessions of their own, and
// shells in between.
func TestQuitLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, how := range []struct {
		name    string
		signals []syscall.Signal
		code    int // of mesh; -1 when it is killed
	}{
		{"Ctrl-C", []syscall.Signal{syscall.SIGINT}, 130},
		{"SIGTERM", []syscall.Signal{syscall.SIGTERM}, 143},
		{"SIGHUP", []syscall.Signal{syscall.SIGHUP}, 129},
		{"Ctrl-C twice", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, 130},
		{"SIGKILL", []syscall.Signal{syscall.SIGKILL}, -1},
	} {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			toml := family
			if len(how.signals) > 1 {
				toml = strings.Replace(toml, `grace = "1s"`, `grace = "60s"`, 1)
			}
			p := newProject(t, toml)
			r := p.up()
			r.ready("family", "web", "wrapped")
			r.await("the family", func() bool { return len(p.pids("pids")) == 3 })
			pids := append(p.pids("pids"), r.instance("web").PID, r.instance("wrapped").PID)
			var ports []int
			for _, name := range []string{"web", "wrapped"} {
				i := r.instance(name)
				ports = append(ports, i.AppPort, i.HTTPPort, i.GRPCPort, i.PeerPort)
			}
			began := time.Now()
			for i, s := range how.signals {
				if i > 0 { // signals that are not waited for become one
					r.await("word of the stop", func() bool { return strings.Contains(r.out.String(), "stopping") })
					began = time.Now()
				}
				if err := r.cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			if how.code >= 0 {
				r.await("word of the stop", func() bool { return strings.Contains(r.out.String(), "stopping") })
				if d := time.Since(began); d > 2*time.Second {
					t.Errorf("the answer to the signal took %v", d)
				}
			}
			select {
			case <-r.exited:
			case <-time.After(patience):
				t.Fatal("mesh does not end")
			}
			if d := time.Since(began); len(how.signals) > 1 && d > 5*time.Second {
				t.Errorf("after the second signal mesh took %v to kill an app with a grace of a minute", d)
			}
			if code := r.cmd.ProcessState.ExitCode(); code != how.code {
				t.Errorf("exit code %d, want %d", code, how.code)
			}
			ended := time.Now()
			for _, pid := range pids {
				await(t, fmt.Sprintf("process %d to end", pid), func() bool { return !alive(pid) })
			}
			if d := time.Since(ended); d > 2*time.Second {
				t.Errorf("processes have survived mesh by %v", d)
			}
			for _, port := range ports {
				await(t, fmt.Sprintf("port %d to be free", port), func() bool {
					ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
					if err != nil {
						return false
					}
					return ln.Close() == nil
				})
			}
		})
	}
}

func TestSecondUpIsRefusedWithoutATerminal(t *testing.T) {
	t.Parallel()
	p := newProject(t, family)
	r := p.up()
	r.ready("web")
	_, errs, code := p.mesh("up", "--headless")
	if code == 0 || !strings.Contains(errs, strconv.Itoa(r.cmd.Process.Pid)) {
		t.Errorf("a second mesh up ends with %d and says %q", code, errs)
	}
}

func TestDown(t *testing.T) {
	t.Parallel()
	p := newProject(t, family)
	r := p.up()
	r.ready("web")
	if _, errs, code := p.mesh("down"); code != 0 {
		t.Errorf("mesh down: %d %s", code, errs)
	}
	select {
	case <-r.exited:
	case <-time.After(patience):
		t.Fatal("mesh runs on after mesh down")
	}
	if code := r.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("mesh up ends with %d after mesh down", code)
	}
}

func TestTakenPortNamesItsHolder(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, portText, _ := net.SplitHostPort(ln.Addr().String())
	p := newProject(t, fmt.Sprintf("[apps.web]\ncommand = \"APP server SELF\"\nport = \"auto\"\nsidecar = { http_port = %s }\n", portText))
	_, errs, code := p.mesh("up", "--headless")
	if code != 1 || !strings.Contains(errs, portText) || !strings.Contains(errs, "held by pid") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
