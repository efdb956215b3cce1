package proc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleEnv makes this test binary play the program that a test starts.
const roleEnv = "PROC_TEST_ROLE"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == GuardianArg {
		os.Exit(GuardianMain(os.Stdin))
	}
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(strings.Fields(role)))
	}
	// What has the race detector sleeps for a second before it exits, unless told
	// not to: the programs that these tests start.
	_ = os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")) // fails only for a name that is none
	goleak.VerifyTestMain(m)
}

func play(role []string) int {
	arg := func(i int) int {
		n, err := strconv.Atoi(role[i])
		if err != nil {
			panic(err)
		}
		return n
	}
	switch role[0] {
	case "exit":
		fmt.Println("last words")
		return arg(1)
	case "sleep":
		fmt.Println("pid", os.Getpid())
		wait()
	case "polite": // stops on SIGTERM, says so, and exits with 7
		got := make(chan os.Signal, 1)
		signal.Notify(got, syscall.SIGTERM)
		fmt.Println("pid", os.Getpid())
		fmt.Println("got", <-got)
		return 7
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("pid", os.Getpid())
		wait()
	case "parent": // of a process that plays the rest, and stays
		cmd := again(role[1:], false, os.Environ())
		start(cmd)
		wait()
	case "leave": // leaves a process behind that plays the rest
		cmd := again(role[1:], false, os.Environ())
		r, w := io.Pipe()
		cmd.Stdout = w
		start(cmd)
		line, _ := bufio.NewReader(r).ReadString('\n')
		fmt.Print(line)
		return 0
	case "daemon": // leaves one in a session of its own, with the mark
		start(again(append([]string{"daemon2"}, role[1:]...), true, os.Environ()))
		wait()
	case "daemon2":
		start(again(role[1:], true, os.Environ()))
		return 0
	case "shed": // leaves one in a session of its own, without the mark
		start(again(append([]string{"parent"}, role[1:]...), true, nil))
		wait()
	case "flood":
		w := bufio.NewWriter(os.Stdout)
		for i := range arg(1) {
			fmt.Fprintln(w, "line", i)
		}
		w.Flush()
		return 0
	case "long":
		w := bufio.NewWriter(os.Stdout)
		for i := range arg(1) {
			_ = w.WriteByte(byte('a' + i%26))
		}
		_, _ = w.WriteString("\nafter\nno newline")
		w.Flush()
		return 0
	case "binary":
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		os.Stdout.Write(all)
		return 0
	case "port":
		var lc net.ListenConfig
		l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:"+role[1])
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer l.Close()
		fmt.Println("listening")
		wait()
	case "burn":
		fmt.Println("pid", os.Getpid())
		hold := make([]byte, 64<<20)
		for i := 0; ; i++ {
			hold[i%len(hold)]++
		}
	case "ask":
		fmt.Print("name? ")
		var name string
		_, _ = fmt.Scanln(&name)
		fmt.Println("hello", name)
		return 0
	case "mesh":
		return mesh(role[1:])
	}
	panic("no such role: " + role[0])
}

// mesh is a program that guards children which play the given roles (words
// joined by +), passes their output on, and never ends by itself.
func mesh(roles []string) int {
	if os.Getenv("PROC_TEST_NESTED") != "" {
		panic("a mesh in a mesh")
	}
	g, err := NewGuardian(GuardianOptions{Dir: os.Getenv("PROC_TEST_DIR")})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if os.Getenv("PROC_TEST_HASTE") != "" {
		_ = syscall.Kill(g.PID(), syscall.SIGSTOP)
	}
	fmt.Println("guardian", g.PID())
	var mu sync.Mutex
	pid := 0 // the last one that a child has named
	for _, role := range roles {
		s := spec(strings.ReplaceAll(role, "+", " "))
		s.Name = role
		c, err := Start(s, g, func(l Line) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Println(l.Text)
			if v, ok := strings.CutPrefix(l.Text, "pid "); ok {
				pid, _ = strconv.Atoi(v)
			}
		})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		mu.Lock()
		fmt.Println("child", c.PID())
		mu.Unlock()
		sees := func() bool {
			c.used = usage{ticks: c.used.ticks}
			c.Usage()
			mu.Lock()
			defer mu.Unlock()
			return slices.ContainsFunc(c.strays(), func(s seen) bool { return s.PID == pid })
		}
		for wanted := os.Getenv("PROC_TEST_STRAYS") != ""; wanted; wanted = !sees() {
			<-time.After(time.Millisecond)
		}
	}
	fmt.Println("all started")
	_, _ = os.Stdin.Read(make([]byte, 1))
	panic("on purpose")
}

// wait blocks for good. The runtime would take a select without cases for a
// deadlock.
func wait() {
	for {
		<-time.After(time.Hour)
	}
}

func again(role []string, session bool, env []string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe")
	cmd.Env = append(env, roleEnv+"="+strings.Join(role, " "))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	return cmd
}

func start(cmd *exec.Cmd) {
	if err := cmd.Start(); err != nil {
		panic(err)
	}
}

// spec makes the test binary play a role.
func spec(role string) Spec {
	return Spec{
		Name:  "app",
		Argv:  []string{"/proc/self/exe"},
		Env:   append(os.Environ(), roleEnv+"="+role, "PROC_TEST_NESTED=1", "GORACE=atexit_sleep_ms=0"),
		Grace: 10 * time.Second,
	}
}

// output collects lines and lets a test wait for one.
type output struct {
	mu    sync.Mutex
	lines []Line
	more  chan struct{}
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) add(l Line) {
	o.mu.Lock()
	o.lines = append(o.lines, l)
	o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
}

func (o *output) all() []Line {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Line(nil), o.lines...)
}

func (o *output) text() string {
	var b strings.Builder
	for _, l := range o.all() {
		b.WriteString(l.Text)
		if !l.Partial {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// number waits for the n-th line that begins with word and gives its number.
func (o *output) number(t *testing.T, word string, n int) int {
	t.Helper()
	var found int
	until(t, "line "+word, func() bool {
		left := n
		for _, l := range o.all() {
			if v, ok := strings.CutPrefix(l.Text, word+" "); ok {
				if left--; left == 0 {
					found, _ = strconv.Atoi(v)
					return true
				}
			}
		}
		return false
	})
	return found
}

// until polls a condition that other processes bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(15 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func running(pid int) bool {
	p, ok := look(pid)
	return ok && !p.dead
}

func begin(t *testing.T, s Spec, g *Guardian) (*Child, *output) {
	t.Helper()
	out := newOutput()
	c, err := Start(s, g, out.add)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		go c.Stop(t.Context()) // which has ended by now
		<-c.Done()
	})
	return c, out
}

func ended(t *testing.T, c *Child) Exit {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the child does not end")
	}
	return c.Exit()
}

func procFile(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
