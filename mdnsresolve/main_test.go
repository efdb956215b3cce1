package mdnsresolve

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childEnv makes the test binary a process that announces one sidecar:
// "app id,instance,port". It lives until its standard input ends, or announces
// nothing more when it is killed.
const childEnv = "MDNSRESOLVE_ANNOUNCE"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		if err := announceFor(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func announceFor(what string) error {
	f := strings.Split(what, ",")
	port, err := strconv.Atoi(f[2])
	if err != nil {
		return err
	}
	r, err := New(Options{})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	r.Announce(Service{AppID: f[0], Instance: f[1], Port: port})
	fmt.Println("announced")
	_, err = io.Copy(io.Discard, os.Stdin)
	stop()
	if end := <-done; end != nil {
		return end
	}
	return err
}

// child is another process with one sidecar.
type child struct {
	*exec.Cmd
	in io.Closer
}

func startChild(t *testing.T, appID, instance string, port int) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: exec.CommandContext(context.WithoutCancel(t.Context()), exe)}
	c.Env = append(os.Environ(), fmt.Sprintf("%s=%s,%s,%d", childEnv, appID, instance, port))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.in, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the child said %q and ended: %v", line, err)
	}
	return c
}

// unique gives an app id that no other run of the tests uses.
func unique(name string) string { return fmt.Sprintf("%s-%x", name, rand.Uint64()) }

// start runs a responder on the loopback interface until the test ends.
func start(tb testing.TB, o Options) *Responder {
	tb.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	r, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	run(tb, r)
	return r
}

func run(tb testing.TB, r *Responder) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run ended with %v", err)
		}
	}
	tb.Cleanup(stop)
	return stop
}

// eventually waits until ok holds, and fails when it does not within d.
func eventually(tb testing.TB, d time.Duration, what string, ok func() bool) time.Duration {
	tb.Helper()
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Since(began) > d {
			tb.Fatalf("not within %v: %s", d, what)
		}
		<-tick.C
	}
	return time.Since(began)
}

func knows(r *Responder, appID string, want ...string) func() bool {
	return func() bool { return slices.Equal(addrs(r.Known(appID)), want) }
}

func addrs(list []netip.AddrPort) []string {
	var s []string
	for _, a := range list {
		s = append(s, a.String())
	}
	return s
}

func resolve(t *testing.T, r *Responder, appID string) []string {
	t.Helper()
	list, err := r.Resolve(t.Context(), appID)
	if err != nil {
		t.Fatal(err)
	}
	return addrs(list)
}
