package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

// detached is what `mesh up --detach --json` prints.
type detached struct {
	PID    int      `json:"pid"`
	Dir    string   `json:"dir"`
	Socket string   `json:"socket"`
	Log    string   `json:"log"`   // what `mesh up` prints goes here
	Ready  bool     `json:"ready"` // every app is
	Open   []string `json:"open,omitempty"`
}

// detach runs `mesh up --headless` in a session of its own and returns when all
// apps are ready or one of them cannot be. The mesh goes on in both cases.
func (e Env) detach(ctx context.Context, f upFlags, only []string, file string) error {
	dir := filepath.Dir(file)
	logFile := filepath.Join(dir, ".mesh", "logs", "up.log")
	if err := os.MkdirAll(filepath.Dir(logFile), 0o755); err != nil {
		return fmt.Errorf("making the folder of the log: %w", err)
	}
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer out.Close()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the program: %w", err)
	}
	args := append([]string{"up", "--headless", "--file", file}, f.args()...)
	cmd := exec.Command(self, append(args, only...)...) //nolint:noctx // it is to outlive us
	cmd.Dir, cmd.Env = e.Dir, e.Environ
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the mesh: %w", err)
	}
	life, over := context.WithCancelCause(ctx)
	defer over(nil)
	ended := make(chan struct{})
	go func() { // ends with the mesh; when we end first, the system takes it over
		err := cmd.Wait()
		over(fmt.Errorf("the mesh has ended: %w", err))
		close(ended)
	}()
	d := detached{PID: cmd.Process.Pid, Dir: dir, Log: logFile}
	c, err := dialWhenUp(life, dir)
	if err != nil {
		return e.stillborn(ctx, ended, logFile, err)
	}
	defer c.Close()
	d.Socket = control.Socket(dir)
	var failed error
	told := map[string]bool{} // how to start these apps of --except, for which others may wait
	for m, err := range c.Watch(life) {
		if err != nil {
			return e.stillborn(ctx, ended, logFile, err)
		}
		for app, n := range handedOver(m) {
			if !told[app] && !f.json {
				if _, err := fmt.Fprintf(e.Stdout, "%s\n  %s\n\n", n.Text, n.Hint); err != nil {
					return printed(err)
				}
			}
			told[app] = true
		}
		if slices.ContainsFunc(f.except, func(app string) bool { return !told[app] }) {
			continue
		}
		if d.Open, failed = verdict(running(m), nil, "ready"); failed != nil || len(d.Open) == 0 {
			break
		}
	}
	d.Ready = failed == nil && len(d.Open) == 0
	if f.json {
		err = writeJSON(e.Stdout, d)
	} else {
		words := "ready"
		if !d.Ready {
			words = "running, but not ready"
		}
		_, err = fmt.Fprintf(e.Stdout, "the mesh is %s (pid %d)\n  mesh attach   shows its screen\n  mesh logs -f  follows its apps\n  mesh down     ends it\n", words, d.PID)
	}
	return errors.Join(failed, printed(err))
}

// running gives the mesh without the apps that are to have no instances.
func running(m *state.Mesh) *state.Mesh {
	some := *m
	some.Apps = nil
	for _, a := range m.Apps {
		if len(a.Instances) > 0 && !a.External {
			some.Apps = append(some.Apps, a)
		}
	}
	return &some
}

// stillborn gives the error of a mesh that ended before it was up: what it said.
func (e Env) stillborn(ctx context.Context, ended <-chan struct{}, logFile string, err error) error {
	if ctx.Err() != nil { // we were told to stop waiting; the mesh goes on
		return context.Cause(ctx)
	}
	select {
	case <-ended:
	default:
		return err
	}
	text, unread := os.ReadFile(logFile)
	if unread != nil {
		return errors.Join(err, unread)
	}
	return &exitError{exitFailed, errors.New("the mesh did not start\n" + strings.TrimPrefix(strings.TrimSpace(string(text)), "mesh: "))}
}

// args gives the flags as words for another `mesh up`.
func (f upFlags) args() (args []string) {
	for _, app := range f.except {
		args = append(args, "--except", app)
	}
	if f.isolated {
		args = append(args, "--isolated")
	}
	return args
}
