package proc

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestExitByItself(t *testing.T) {
	c, _ := begin(t, spec("exit 3"), nil)
	e := ended(t, c)
	if e.Code != 3 || e.Asked || e.Killed || e.Success() {
		t.Errorf("exit is %+v", e)
	}
	if got := e.String(); got != "exited with code 3" {
		t.Errorf("in words: %q", got)
	}
	if !slices.Equal(e.Last, []string{"last words"}) {
		t.Errorf("last lines are %q", e.Last)
	}
}

// TestExitedComesFirst has a program that ends and leaves one behind which has
// to be waited for.
func TestExitedComesFirst(t *testing.T) {
	c, out := begin(t, spec("leave deaf"), nil)
	out.number(t, "pid", 1)
	select {
	case <-c.Exited():
	case <-time.After(20 * time.Second):
		t.Fatal("the end of the program is not told")
	}
	select {
	case <-c.Done():
		t.Fatal("Done while a member of the tree lives")
	default:
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Stop(ctx)
	if e := c.Exit(); e.Asked || e.Killed || e.Code != 0 || e.Took > 10*time.Second {
		t.Errorf("exit is %+v", e)
	}
}

func TestKilledFromOutside(t *testing.T) {
	c, out := begin(t, spec("sleep"), nil)
	pid := out.number(t, "pid", 1)
	if pid != c.PID() {
		t.Fatalf("PID is %d, the program says %d", c.PID(), pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	e := ended(t, c)
	if e.Signal != syscall.SIGKILL || e.Asked {
		t.Errorf("exit is %+v", e)
	}
	want := "killed by SIGKILL"
	if _, told := memoryKills(); told {
		want += " (sent by another process; the system has not run out of memory)"
	}
	if got := e.String(); got != want {
		t.Errorf("in words: %q, want %q", got, want)
	}
}

func TestStopPolitely(t *testing.T) {
	c, out := begin(t, spec("polite"), nil)
	out.number(t, "pid", 1)
	c.Stop(t.Context())
	e := ended(t, c)
	if !e.Asked || e.Killed || e.Code != 7 {
		t.Errorf("exit is %+v", e)
	}
	if got := e.String(); got != "stopped with code 7" {
		t.Errorf("in words: %q", got)
	}
	if got := e.Last[len(e.Last)-1]; got != "got terminated" {
		t.Errorf("its last line is %q", got)
	}
}

func TestStopReachesAStoppedProcess(t *testing.T) {
	c, out := begin(t, spec("polite"), nil)
	out.number(t, "pid", 1)
	if err := syscall.Kill(c.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.Stop(t.Context())
	if e := ended(t, c); e.Code != 7 || e.Killed {
		t.Errorf("exit is %+v", e)
	}
}

func TestGraceRunsOut(t *testing.T) {
	s := spec("deaf")
	s.Grace = 50 * time.Millisecond
	c, out := begin(t, s, nil)
	out.number(t, "pid", 1)
	c.Stop(t.Context())
	e := ended(t, c)
	if !e.Asked || !e.Killed {
		t.Errorf("exit is %+v", e)
	}
	if got := e.String(); got != "did not stop within 50ms and was killed" {
		t.Errorf("in words: %q", got)
	}
}

func TestNoPatience(t *testing.T) {
	impatient := map[string]func(t *testing.T, c *Child){
		"second stop": func(t *testing.T, c *Child) {
			t.Helper()
			first := make(chan struct{})
			go func() { c.Stop(context.WithoutCancel(t.Context())); close(first) }()
			until(t, "the first stop", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.asked })
			c.Stop(t.Context())
			<-first
		},
		"cancelled context": func(t *testing.T, c *Child) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			c.Stop(ctx)
		},
	}
	for name, stop := range impatient {
		t.Run(name, func(t *testing.T) {
			c, out := begin(t, spec("deaf"), nil)
			out.number(t, "pid", 1)
			begun := time.Now()
			stop(t, c)
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			if e := ended(t, c); !e.Killed || e.String() != "was killed without waiting" {
				t.Errorf("exit is %+v", e)
			}
		})
	}
}

// TestStopEndsTheTree stops programs whose processes hide in various ways.
func TestStopEndsTheTree(t *testing.T) {
	for _, role := range []string{
		"parent sleep", "daemon sleep", "parent daemon sleep", "parent deaf", "daemon deaf",
	} {
		t.Run(role, func(t *testing.T) {
			s := spec(role)
			if strings.HasSuffix(role, "deaf") {
				s.Grace = 50 * time.Millisecond
			}
			c, out := begin(t, s, nil)
			pid := out.number(t, "pid", 1)
			if pid == c.PID() || !running(pid) {
				t.Fatalf("the grandchild %d does not run", pid)
			}
			c.Stop(t.Context())
			if running(pid) {
				t.Errorf("%d has survived", pid)
			}
		})
	}
}

// TestMembersAreRemembered stops a tree of which a member has shed its mark
// and its session, and has then lost its parent, but was seen before.
func TestMembersAreRemembered(t *testing.T) {
	c, out := begin(t, spec("shed sleep"), nil)
	pid := out.number(t, "pid", 1)
	c.Usage()
	middle, _ := look(pid)
	if middle.parent == c.PID() || middle.session == c.PID() {
		t.Fatalf("it has not hidden: %+v", middle)
	}
	if err := syscall.Kill(middle.parent, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "an orphan", func() bool { p, _ := look(pid); return p.parent != middle.parent })
	c.Stop(t.Context())
	if running(pid) {
		t.Errorf("%d has survived", pid)
	}
}

func TestLeftMembersAreEnded(t *testing.T) {
	for role, grace := range map[string]time.Duration{"leave sleep": 10 * time.Second, "leave deaf": 50 * time.Millisecond} {
		t.Run(role, func(t *testing.T) {
			s := spec(role)
			s.Grace = grace
			c, out := begin(t, s, nil)
			e := ended(t, c)
			if pid := out.number(t, "pid", 1); running(pid) {
				t.Errorf("%d has survived", pid)
			}
			if e.Asked || e.Killed || e.Code != 0 || e.String() != "exited with code 0" {
				t.Errorf("exit is %+v", e)
			}
		})
	}
}

func TestEnvironmentIsTheSpecs(t *testing.T) {
	s := Spec{Name: "app", Shell: "echo $GREETING; echo $" + MarkName, Env: []string{"GREETING=hello", MarkName + "=of another"}}
	c, out := begin(t, s, nil)
	ended(t, c)
	lines := out.all()
	if len(lines) != 2 || lines[0].Text != "hello" || lines[1].Text != c.mark {
		t.Errorf("it printed %q", out.text())
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	file("plain", "", 0o600)
	file("garbage", "\x01\x02", 0o700)
	file("lost", "#!/no/such/interpreter\n", 0o700)
	file("server", "#!/bin/sh\n", 0o700)
	env := []string{"PATH=/nowhere"}
	for name, c := range map[string]struct {
		spec Spec
		is   error
		says string
	}{
		"nothing":        {Spec{}, nil, "no command"},
		"not in PATH":    {Spec{Argv: []string{"nonsuch"}, Env: env}, exec.ErrNotFound, `the command "nonsuch" is not in PATH; is it installed?`},
		"hint":           {Spec{Argv: []string{"server"}, Env: env, Dir: dir}, exec.ErrNotFound, "write ./server"},
		"no PATH":        {Spec{Argv: []string{"nonsuch"}}, exec.ErrNotFound, "no PATH"},
		"no program":     {Spec{Argv: []string{"./nonsuch"}, Dir: dir}, fs.ErrNotExist, "there is no program " + dir + "/nonsuch"},
		"no folder":      {Spec{Shell: "true", Dir: dir + "/gone"}, fs.ErrNotExist, "there is no folder " + dir + "/gone"},
		"file as folder": {Spec{Shell: "true", Dir: dir + "/plain"}, nil, "is not a folder"},
		"folder":         {Spec{Argv: []string{dir}}, nil, "is a folder"},
		"not executable": {Spec{Argv: []string{"./plain"}, Dir: dir}, fs.ErrPermission, "chmod +x"},
		"no program at all": {
			Spec{Argv: []string{"./garbage"}, Dir: dir}, syscall.ENOEXEC, "no program for this machine",
		},
		"no interpreter": {Spec{Argv: []string{"./lost"}, Dir: dir}, fs.ErrNotExist, "interpreter"},
	} {
		t.Run(name, func(t *testing.T) {
			c.spec.Name = "orders"
			_, err := Start(c.spec, nil, nil)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "starting orders: ") {
				t.Errorf("error is %q, want it to say %q", err, c.says)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %q is no %v", err, c.is)
			}
		})
	}
}

func TestExitInWords(t *testing.T) {
	for want, e := range map[string]Exit{
		"exited with code 0":  {},
		"stopped":             {Asked: true, Signal: syscall.SIGTERM, Code: -1},
		"stopped with code 2": {Asked: true, Code: 2},
		"killed by SIGSEGV (it touched memory that is not its own)":               {Signal: syscall.SIGSEGV, Code: -1},
		"exited with code 127 (the shell did not find the command)":               {Code: 127},
		"exited with code 137 (what a shell says of a program killed by SIGKILL)": {Code: 137},
		"killed by SIGKILL": {Signal: syscall.SIGKILL, Code: -1},
		"killed by SIGKILL (the system has just killed for lack of memory)":                       {Signal: syscall.SIGKILL, Code: -1, killer: lackOfMemory},
		"exited with code 1; could not end process 8, 9 (another user's, or stuck in the kernel)": {Code: 1, Left: []int{9, 8}},
		"did not stop within 2s and was killed":                                                   {Asked: true, Killed: true, grace: 2 * time.Second},
	} {
		if got := e.String(); got != want {
			t.Errorf("%+v is %q, want %q", e, got, want)
		}
	}
}

func TestUsage(t *testing.T) {
	c, out := begin(t, spec("parent burn"), nil)
	out.number(t, "pid", 1)
	until(t, "processor time and memory of a grandchild", func() bool {
		cpu, rss := c.Usage()
		return cpu > 0.2 && rss > 64<<20
	})
	before, _ := c.Usage()
	c.Stop(t.Context())
	c.mu.Lock()
	c.used = usage{ticks: c.used.ticks} // look again
	c.mu.Unlock()
	after, rss := c.Usage()
	if after < before {
		t.Errorf("processor time went from %v to %v when the tree ended", before, after)
	}
	if rss != 0 {
		t.Errorf("an ended tree has %d bytes", rss)
	}
}

// TestNothingLeaks starts and stops many children and counts descriptors.
func TestNothingLeaks(t *testing.T) {
	g, err := NewGuardian(GuardianOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	open := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	before := 0
	for i := range 30 {
		s := spec([]string{"exit 0", "sleep", "daemon sleep"}[i%3])
		s.PTY = i%2 == 1
		c, out := begin(t, s, g)
		if i%3 > 0 {
			out.number(t, "pid", 1)
		}
		c.Stop(t.Context())
		if i == 5 {
			before = open()
		}
	}
	if after := open(); after > before {
		t.Errorf("%d descriptors were open, now %d", before, after)
	}
}

func BenchmarkUsage(b *testing.B) {
	for name, walk := range map[string]bool{"known members": false, "new members": true} {
		b.Run(name, func(b *testing.B) {
			out := newOutput()
			c, err := Start(spec("parent sleep"), nil, out.add)
			if err != nil {
				b.Fatal(err)
			}
			c.Usage()
			for b.Loop() {
				c.used.at = time.Time{}
				if walk {
					c.used.walk = time.Time{}
				}
				c.Usage()
			}
			c.Stop(b.Context())
		})
	}
}

func BenchmarkScan(b *testing.B) {
	for b.Loop() {
		scan()
	}
}
