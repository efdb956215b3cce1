package proc

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startMesh runs this binary as a program that guards children.
func startMesh(t *testing.T, env []string, roles ...string) (*os.Process, io.Closer, *output) {
	t.Helper()
	out := newOutput()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(append(os.Environ(), env...), roleEnv+"=mesh "+strings.Join(roles, " "))
	cmd.Stdout = w
	if testing.Verbose() {
		cmd.Stderr = os.Stderr
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		read(&reader{f: r, name: "stdout", ended: make(chan struct{})}, out.add)
	}()
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		for _, l := range out.all() { // what has survived in a test that fails
			pid, err := strconv.Atoi(strings.TrimPrefix(l.Text, "pid "))
			if err == nil && strings.HasPrefix(commandOf(pid), "/proc/self/exe") {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		<-done // every process that could write has ended
		r.Close()
	})
	return cmd.Process, stdin, out
}

// TestNothingSurvivesSIGKILL kills a program with children that hide in every
// way, and expects all of them gone within two seconds.
func TestNothingSurvivesSIGKILL(t *testing.T) {
	roles := []string{"sleep", "deaf", "parent+sleep", "parent+deaf", "daemon+sleep", "parent+daemon+deaf", "parent+parent+sleep"}
	cmd, _, out := startMesh(t, nil, roles...)
	pids := []int{out.number(t, "guardian", 1)}
	for i := range roles {
		pids = append(pids, out.number(t, "child", i+1), out.number(t, "pid", i+1))
	}
	killed := time.Now()
	if err := cmd.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		until(t, "the end of all processes", func() bool { return !running(pid) })
	}
	if took := time.Since(killed); took > 2*time.Second {
		t.Errorf("it took %v", took)
	} else {
		t.Logf("all %d processes ended within %v", len(pids), took)
	}
}

// TestNothingSurvivesAPanic does the same for a bug of ours.
func TestNothingSurvivesAPanic(t *testing.T) {
	_, stdin, out := startMesh(t, nil, "daemon+deaf")
	pids := []int{out.number(t, "guardian", 1), out.number(t, "child", 1), out.number(t, "pid", 1)}
	stdin.Close() // the sign to panic
	for _, pid := range pids {
		until(t, "the end of all processes", func() bool { return !running(pid) })
	}
}

// TestStraysAreTold kills a program with a child of which two members have
// neither its session nor its mark. They have been seen once, so the guardian
// knows them.
func TestStraysAreTold(t *testing.T) {
	cmd, _, out := startMesh(t, []string{"PROC_TEST_STRAYS=1"}, "shed+sleep")
	pid := out.number(t, "pid", 1)
	until(t, "the strays", func() bool { return strings.Contains(out.text(), "all started\n") })
	if p, _ := look(pid); p.session == out.number(t, "child", 1) || marked(MarkName)(p) {
		t.Fatal("it has not hidden")
	}
	if err := cmd.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, "the end of the stray", func() bool { return !running(pid) })
}

// TestDiesBeforeTheGuardianIsThere kills a program whose helper is held up
// while it starts and goes on only when nobody waits for it any more.
func TestDiesBeforeTheGuardianIsThere(t *testing.T) {
	cmd, _, out := startMesh(t, []string{"PROC_TEST_HASTE=1"}, "daemon+sleep")
	pid, helper := out.number(t, "pid", 1), out.number(t, "guardian", 1)
	if err := cmd.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, "the end of the program", func() bool { return !running(cmd.Pid) })
	if !running(pid) {
		t.Fatal("there is nothing left to be ended")
	}
	if err := syscall.Kill(helper, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{pid, helper} {
		until(t, "the end of all processes", func() bool { return !running(pid) })
	}
}

func TestGuardianLeavesQuietly(t *testing.T) {
	g, err := NewGuardian(GuardianOptions{})
	if err != nil {
		t.Fatal(err)
	}
	helper := g.PID()
	c, out := begin(t, spec("daemon sleep"), g)
	pid := out.number(t, "pid", 1)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if running(helper) {
		t.Error("the helper stays")
	}
	if !running(pid) {
		t.Error("a guardian that was closed has killed")
	}
	if _, err := Start(spec("sleep"), g, nil); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("starting with a closed guardian gives %v", err)
	}
	c.Stop(t.Context())
}

func TestGuardianIsReplaced(t *testing.T) {
	cmd, _, out := startMesh(t, nil, "sleep", "daemon+sleep")
	first := out.number(t, "guardian", 1)
	pids := []int{out.number(t, "pid", 1), out.number(t, "pid", 2)}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := 0
	until(t, "another guardian", func() bool {
		for _, pid := range childrenOf(cmd.Pid) {
			if strings.Contains(commandOf(pid), GuardianArg) && pid != first {
				second = pid
			}
		}
		return second != 0
	})
	// It has to know what the first one was told.
	until(t, "its report", func() bool { name, _ := os.ReadFile(procFile(second, "comm")); return string(name) == "guardian\n" })
	for _, pid := range pids {
		if !running(pid) {
			t.Fatalf("%d ended with the guardian", pid)
		}
	}
	if err := cmd.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range append(pids, second) {
		until(t, "the end of all processes", func() bool { return !running(pid) })
	}
}

// TestProgramWithoutGuardianMain has a helper that is something else.
func TestProgramWithoutGuardianMain(t *testing.T) {
	report, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "echo usage: mesh; read x"}, &os.ProcAttr{Files: []*os.File{nil, w}})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	h := &helper{process: p, report: report}
	if err := h.hello(); err == nil || !strings.Contains(err.Error(), "does main call proc.GuardianMain") {
		t.Errorf("the error is %v", err)
	}
	if state, err := p.Wait(); err != nil || state.Success() {
		t.Errorf("it has ended with %v (%v)", state, err)
	}
	g := &Guardian{broken: errors.New("the guardian did not report")}
	if _, err := Start(spec("sleep"), g, nil); err == nil || err.Error() != "starting app: the guardian did not report" {
		t.Errorf("starting a child unguarded gives %v", err)
	}
}

func TestGuardianIsModest(t *testing.T) {
	g, err := NewGuardian(GuardianOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	until(t, "its report", func() bool { name, _ := os.ReadFile(procFile(g.PID(), "comm")); return string(name) == "guardian\n" })
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if err := syscall.Kill(g.PID(), sig); err != nil {
			t.Fatal(err)
		}
	}
	p, ok := look(g.PID())
	if !ok || p.dead {
		t.Fatal("a signal of the terminal has ended it")
	}
	if p.session != p.pid {
		t.Error("it is in our session")
	}
	name, err := os.ReadFile(procFile(p.pid, "comm"))
	if err != nil || strings.Contains(string(name), "mesh") {
		t.Errorf("its name is %q (%v)", name, err)
	}
	if line := commandOf(p.pid); strings.Contains(line, "mesh") {
		t.Errorf("its command line is %q", line)
	}
	if dir, err := os.Readlink(procFile(p.pid, "cwd")); err != nil || dir != "/" {
		t.Errorf("it keeps %s busy (%v)", dir, err)
	}
	t.Logf("resident: %d KiB", p.rss>>10)
}

func TestLeftovers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[.mesh]")
	cmd, _, out := startMesh(t, []string{"PROC_TEST_DIR=" + dir}, "daemon+sleep")
	child, stray := out.number(t, "child", 1), out.number(t, "pid", 1)
	if left, err := Leftovers(dir); err != nil || len(left) != 0 {
		t.Fatalf("a living run has leftovers: %v, %v", left, err)
	}
	// Both die at once: the guardian is stopped before it is killed, so that
	// it cannot act in between.
	helper := out.number(t, "guardian", 1)
	for _, k := range []struct {
		pid int
		sig syscall.Signal
	}{{helper, syscall.SIGSTOP}, {cmd.Pid, syscall.SIGKILL}, {helper, syscall.SIGKILL}} {
		if err := syscall.Kill(k.pid, k.sig); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the end of the children", func() bool { return !running(child) }) // the parent-death signal
	if !running(stray) {
		t.Fatal("nothing is left to be found")
	}
	var left []Leftover
	until(t, "one leftover", func() bool { // the process between it and the leader ends by itself
		var err error
		left, err = Leftovers(dir)
		return err == nil && len(left) == 1
	})
	if left[0].PID != stray || left[0].Name != "daemon+sleep" {
		t.Fatalf("found %v", left)
	}
	if age := time.Since(left[0].Since); age < -time.Second || age > time.Minute {
		t.Errorf("it is said to run since %v", left[0].Since)
	}
	if s := left[0].String(); !strings.Contains(s, "daemon+sleep: pid ") || !strings.Contains(s, "(/proc/self/exe), since ") {
		t.Errorf("in words: %s", s)
	}
	if err := EndLeftovers(t.Context(), left, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if running(stray) {
		t.Error("it has survived")
	}
	if left, err := Leftovers(dir); err != nil || len(left) != 0 {
		t.Errorf("afterwards: %v, %v", left, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("files remain: %v", files)
	}
}

func TestLeftoversOfNothing(t *testing.T) {
	dir := t.TempDir()
	if left, err := Leftovers(filepath.Join(dir, "none")); err != nil || left != nil {
		t.Errorf("a missing folder gives %v, %v", left, err)
	}
	broken := filepath.Join(dir, "run-x.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if left, err := Leftovers(dir); err != nil || left != nil {
		t.Errorf("a broken file gives %v, %v", left, err)
	}
	if _, err := os.Stat(broken); err == nil {
		t.Error("a broken file stays")
	}
}

func TestRunFileGoes(t *testing.T) {
	dir := t.TempDir()
	g, err := NewGuardian(GuardianOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Fatalf("files of a run: %v", files)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("files remain: %v", files)
	}
}
