package proc

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestOrphansAreAdopted ends a tree of which a member has hidden in every way
// before anybody has seen it. It becomes ours, is ended with the guardian, and
// leaves no zombie; and nobody else's exit status is taken away.
func TestOrphansAreAdopted(t *testing.T) {
	g, err := NewGuardian(GuardianOptions{Adopt: true})
	if err != nil {
		t.Fatal(err)
	}
	c, out := begin(t, spec("shed sleep"), g)
	pid := out.number(t, "pid", 1)
	hidden, _ := look(pid)
	between := hidden.parent
	// The leader goes first, so that its tree can no longer be walked down.
	if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ended(t, c)
	if !running(pid) {
		t.Fatal("it has not hidden well enough for this test")
	}
	if p, _ := look(between); p.parent != os.Getpid() {
		t.Fatalf("the orphan's parent is %d", p.parent)
	}
	if err := syscall.Kill(between, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the zombie to go", func() bool { _, there := look(between); return !there })

	for range 20 {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "exit 5")
		if err := cmd.Run(); err == nil || cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 5 {
			t.Fatalf("the status of a process of our own is %v", err)
		}
	}
	for range 20 {
		c, _ := begin(t, spec("exit 5"), g)
		if e := ended(t, c); e.Code != 5 {
			t.Fatalf("the status of a child is %+v", e)
		}
	}

	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if running(pid) {
		t.Errorf("%d has survived", pid)
	}
}
