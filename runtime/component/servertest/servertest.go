// Package servertest runs real servers for tests: Redis, NATS with JetStream,
// RabbitMQ, Mosquitto and PostgreSQL, each on a free port of the loopback
// interface, with its data in a folder of the test, and gone when the test is.
//
// A server that is not installed fails the test where CI is set, and skips it
// elsewhere: a machine with only Go can run all other tests.
package servertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// startTime is how long a server may take to start; RabbitMQ needs most.
	startTime = 60 * time.Second
	// stopTime is how long a server may take to stop before it is killed.
	stopTime = 10 * time.Second
)

// Server is a running server.
type Server struct {
	Addr string // host:port
	Port int

	name    string
	argv    []string
	env     []string
	user    string // who runs it, when the test is root; empty: root
	dir     string
	cmd     *exec.Cmd
	ended   chan struct{}
	alive   *os.File                                          // at its end when no process of the server is left
	answers func(context.Context) error                       // nil: accepting a connection is enough
	sql     func(ctx context.Context, statement string) error // of PostgreSQL
}

// find gives the path of a program, which may be in a folder outside PATH.
func find(tb testing.TB, pkg string, names ...string) string {
	tb.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		if found, _ := filepath.Glob(name); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	why := fmt.Sprintf("%s is not installed: apt-get install %s", filepath.Base(names[0]), pkg)
	if os.Getenv("CI") != "" {
		tb.Fatal(why)
	}
	tb.Skip(why) // a machine with only Go
	return ""
}

// run starts a server that is described and stops it at the end of the test.
func run(tb testing.TB, s *Server) *Server {
	tb.Helper()
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port))
	tb.Cleanup(func() { s.stop() })
	s.Start(tb)
	return s
}

// Start starts a server that was stopped or killed, with the data it had, and
// waits until it answers.
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	out, err := os.OpenFile(filepath.Join(s.dir, "output"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close()                             // the server has its own
	cmd := exec.Command(s.argv[0], s.argv[1:]...) //nolint:noctx // stopped in cleanup, politely first
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, out, out
	cmd.Env = append(os.Environ(), s.env...)
	cmd.SysProcAttr = attributes()
	if s.user != "" && os.Getuid() == 0 {
		if cmd.SysProcAttr.Credential, err = credential(s.user); err != nil {
			tb.Fatal(err)
		}
	}
	alive, inherited, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{inherited}
	err = cmd.Start()
	_ = inherited.Close()
	if err != nil {
		_ = alive.Close()
		tb.Fatalf("starting %s: %v", s.name, err)
	}
	ended := make(chan struct{})
	go func() { // joined through ended
		_ = cmd.Wait()
		close(ended)
	}()
	s.cmd, s.ended, s.alive = cmd, ended, alive
	ctx, cancel := context.WithTimeout(tb.Context(), startTime)
	defer cancel()
	for {
		err := s.ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ended:
			tb.Fatalf("%s ended: %v\n%s", s.name, cmd.ProcessState, s.said())
		case <-ctx.Done():
			tb.Fatalf("%s does not answer: %v\n%s", s.name, err, s.said())
		}
	}
}

func (s *Server) ask(ctx context.Context) error {
	if s.answers != nil {
		return s.answers(ctx)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.Addr)
	if err == nil {
		err = conn.Close()
	}
	return err
}

// said gives the end of what the server printed.
func (s *Server) said() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "output"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// SQL runs statements in the database mesh of a PostgreSQL.
func (s *Server) SQL(tb testing.TB, statements string) {
	tb.Helper()
	if err := s.sql(tb.Context(), statements); err != nil {
		tb.Fatal(err)
	}
}

// Stop stops the server politely; its port is free afterwards.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	s.stop()
}

func (s *Server) stop() {
	s.signal(syscall.SIGTERM)
	if s.cmd != nil {
		select {
		case <-s.ended:
		case <-time.After(stopTime):
		}
	}
	s.signal(syscall.SIGKILL)
	s.wait()
}

// Kill ends the server at once, as a crash would.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	s.signal(syscall.SIGKILL)
	s.wait()
}

// signal goes to the whole process group.
func (s *Server) signal(sig syscall.Signal) {
	if s.cmd != nil {
		_ = syscall.Kill(-s.cmd.Process.Pid, sig)
	}
}

// wait waits until the server is gone, with all the processes it started: then
// nobody listens any more, and nobody holds its data. PostgreSQL's are in groups
// of their own, which no signal of ours reaches, and end by themselves. All of
// them have inherited the other end of the pipe.
func (s *Server) wait() {
	if s.cmd == nil {
		return
	}
	<-s.ended
	s.cmd = nil
	_ = s.alive.SetReadDeadline(time.Now().Add(stopTime))
	_, _ = s.alive.Read(make([]byte, 1))
	_ = s.alive.Close()
}

// FreePort gives a port on which nothing listens now. It is none that the kernel
// gives the near ends of connections, which might take it before the server listens
// or while the server is away.
func FreePort(tb testing.TB) int {
	tb.Helper()
	const first, number, tries = 10_000, 10_000, 100
	var err error
	for range tries {
		port := first + rand.IntN(number) //nolint:gosec // no secret
		var l *net.TCPListener
		if l, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}); err == nil {
			_ = l.Close()
			return port
		}
	}
	tb.Fatalf("no port is free: %v", err)
	return 0
}

// folder makes a folder for a server's data; when another user runs the server,
// it belongs to that user.
func folder(tb testing.TB, owner string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "mesh-server-") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if owner != "" && os.Getuid() == 0 {
		c, err := credential(owner)
		if err != nil {
			tb.Fatal(err)
		}
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// file writes a file for a server.
func file(tb testing.TB, dir, name string, lines ...string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}
