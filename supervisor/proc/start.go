package proc

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Start starts a child. out is called for every line, by one goroutine per
// stream, in order; while it blocks, the child's writing blocks too, so that
// nothing is lost. A nil g leaves the child unguarded against our own death by
// SIGKILL. The error says in words what is wrong with the command; it wraps
// exec.ErrNotFound, fs.ErrNotExist or fs.ErrPermission where one applies. Who
// starts a child must Stop it, or wait for Done.
func Start(s Spec, g *Guardian, out func(Line)) (*Child, error) {
	if s.Signal == 0 {
		s.Signal = syscall.SIGTERM
	}
	if s.Grace <= 0 {
		s.Grace = DefaultGrace
	}
	path, argv, err := s.program()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	c := &Child{
		spec: s, g: g, mark: rand.Text() + "/1",
		known:    map[ident]member{},
		exited:   make(chan struct{}),
		stopping: make(chan struct{}),
		killing:  make(chan struct{}),
		done:     make(chan struct{}),
	}
	if g != nil {
		if c.mark, err = g.nextMark(); err != nil {
			return nil, fmt.Errorf("starting %s: %w", s.Name, err)
		}
	}
	std, err := openStdio(&s)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	c.terminal = std.terminal
	attr := &os.ProcAttr{
		Dir:   s.Dir,
		Env:   withMark(s.Env, c.mark),
		Files: std.child[:],
		Sys:   attributes(s.PTY),
	}
	started := make(chan error, 1)
	begun := time.Now()
	c.memoryKills, c.memoryTold = memoryKills()
	go c.hold(path, argv, attr, started)
	err = <-started
	std.closeChild()
	if err != nil {
		std.closeOurs()
		return nil, fmt.Errorf("starting %s: %w", s.Name, explain(path, s.Dir, err))
	}
	last := &tail{}
	for _, r := range std.readers {
		c.reading.Go(func() {
			read(r, func(l Line) {
				last.add(l)
				if out != nil {
					out(l)
				}
			})
		})
	}
	go c.live(begun, std, last)
	return c, nil
}

// hold starts the program and waits for it on one and the same thread. Linux
// sends the parent-death signal when the *thread* that forked ends, so that
// thread must not end before the child does: it is locked to this goroutine,
// which blocks in wait4 until then and gives the thread back unharmed.
func (c *Child) hold(path string, argv []string, attr *os.ProcAttr, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := c.g.fork(c, func() (*os.Process, error) {
		return os.StartProcess(path, argv, attr)
	})
	if err != nil {
		started <- err
		return
	}
	started <- nil
	state, err := p.Wait()
	if err == nil {
		c.state = state
	}
	c.at = time.Now()
	close(c.exited)
}

// program finds what to execute.
func (s *Spec) program() (path string, argv []string, err error) {
	if s.Dir != "" {
		switch info, err := os.Stat(s.Dir); {
		case errors.Is(err, fs.ErrNotExist):
			return "", nil, missing(fs.ErrNotExist, "there is no folder %s", s.Dir)
		case err != nil:
			return "", nil, fmt.Errorf("looking at its folder: %w", err)
		case !info.IsDir():
			return "", nil, fmt.Errorf("%s is not a folder", s.Dir)
		}
	}
	switch {
	case len(s.Argv) > 0 && s.Argv[0] != "":
		path, err = s.lookup(s.Argv[0])
		return path, s.Argv, err
	case s.Shell != "":
		return "/bin/sh", []string{"sh", "-c", s.Shell}, nil
	}
	return "", nil, errors.New("there is no command")
}

// lookup finds a program as a shell would do it in the child's folder with the
// child's PATH, which need not be ours.
func (s *Spec) lookup(name string) (string, error) {
	if strings.ContainsRune(name, '/') {
		at := name
		if !filepath.IsAbs(at) {
			at = filepath.Join(s.Dir, at)
		}
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", missing(fs.ErrNotExist, "there is no program %s", at)
		case err != nil:
			return "", fmt.Errorf("looking at the program: %w", err)
		case info.IsDir():
			return "", fmt.Errorf("%s is a folder, not a program", at)
		case info.Mode()&0o111 == 0:
			return "", missing(fs.ErrPermission, "%s is not executable (chmod +x makes it so)", at)
		}
		return filepath.Abs(at)
	}
	list, set := "", false
	for _, kv := range s.Env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			list, set = v, true
		}
	}
	if !set {
		return "", missing(exec.ErrNotFound, "the command %q cannot be looked up, the app's environment has no PATH", name)
	}
	for _, dir := range filepath.SplitList(list) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.Dir, dir)
		}
		at := filepath.Join(dir, name)
		if info, err := os.Stat(at); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return filepath.Abs(at)
		}
	}
	hint := "; is it installed?"
	if info, err := os.Stat(filepath.Join(s.Dir, name)); err == nil && !info.IsDir() {
		hint = fmt.Sprintf("; there is one in the app's folder, write ./%s to run it", name)
	}
	return "", missing(exec.ErrNotFound, "the command %q is not in PATH%s", name, hint)
}

// missingError says in full what is not there; the kind of it says no more.
type missingError struct {
	text string
	kind error
}

func (e *missingError) Error() string { return e.text }

func (e *missingError) Unwrap() error { return e.kind }

func missing(kind error, format string, args ...any) error {
	return &missingError{fmt.Sprintf(format, args...), kind}
}

// explain puts what the system says of an execve into words.
func explain(path, dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%s is no program for this machine; a script needs a first line such as #!/bin/sh: %w", path, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s names an interpreter in its first line, or a loader, that does not exist: %w", path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be executed in folder %s by this user: %w", path, dir, err)
	case errors.Is(err, syscall.E2BIG):
		return fmt.Errorf("its arguments and environment are too large: %w", err)
	}
	return err
}

// withMark gives env with every name once, the last one counts, and with our
// mark in place of one that stands there already: that of a mesh around us.
func withMark(env []string, mark string) []string {
	last := make(map[string]int, len(env))
	for i, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		last[name] = i
	}
	marked := make([]string, 0, len(env)+1)
	for i, kv := range env {
		if name, _, _ := strings.Cut(kv, "="); name != MarkName && last[name] == i {
			marked = append(marked, kv)
		}
	}
	return append(marked, MarkName+"="+mark)
}

// command gives what is started, for people.
func (s *Spec) command() string {
	if len(s.Argv) > 0 {
		return strings.Join(s.Argv, " ")
	}
	return s.Shell
}
