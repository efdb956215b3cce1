// Package cli is the command line: one file for each command.
//
// `mesh up` runs a mesh; most other commands are clients of a running one, over
// the socket in its project folder. Commands are plain functions of an Env, so
// that tests run them with buffers for terminals. Answers go to stdout,
// everything else to stderr; what fails says what, why and what to do about it,
// and sets the exit code.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"

	"mesh/supervisor/config"
	"mesh/supervisor/proc"
	"mesh/tui"
)

// Exit codes. A command ended by a signal exits with 128 and the signal's number.
const (
	exitFailed  = 1   // it did not work
	exitUsage   = 2   // the command line makes no sense
	exitTimeout = 124 // what was waited for did not happen in time, as timeout(1) has it
)

// Env is the world of a command.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	StdinTTY       bool // stdin is a terminal
	StdoutTTY      bool
	Dir            string          // the working directory, absolute
	Environ        []string        // KEY=value
	Kill           <-chan struct{} // closed when the user has asked to end for the second time; may be nil
	Hangup         <-chan struct{} // gets a value with every hangup, where WantsHangup; may be nil
	Resized        <-chan struct{} // gets a value when the terminal has another size; may be nil
	Program        string          // the name that this program was started by

	project *project                  // what the flags say; Main sets it
	flows   func(tui.Flows) tui.Flows // what `mesh up` shows of the flows; nil: all as it is
}

// OS gives the environment of this process.
func OS() (Env, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Env{}, fmt.Errorf("finding the working directory: %w", err)
	}
	return Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		StdinTTY: term.IsTerminal(int(os.Stdin.Fd())), StdoutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		Dir: dir, Environ: os.Environ(), Program: os.Args[0],
	}, nil
}

// getenv gives the value of a variable, "" when it is not set.
func (e Env) getenv(key string) string {
	for _, pair := range slices.Backward(e.Environ) { // the last one counts
		if name, value, _ := strings.Cut(pair, "="); name == key {
			return value
		}
	}
	return ""
}

// color says whether stdout may be coloured.
func (e Env) color() bool {
	return e.StdoutTTY && e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb"
}

// SignalError is the cause with which a context ends because of a signal.
type SignalError struct{ syscall.Signal }

func (s SignalError) Error() string { return s.String() }

// Main runs the command that args name and gives the exit code. ctx ends, with
// a SignalError as its cause, when the user wants the command to end.
func Main(ctx context.Context, args []string, env Env) int {
	if len(args) > 0 && args[0] == proc.GuardianArg {
		return proc.GuardianMain(env.Stdin)
	}
	env.project = &project{}
	root := newRoot(env)
	root.SetArgs(env.sidecarArgs(args))
	return env.report(ctx, root.ExecuteContext(ctx))
}

// exitError ends the command with a code and, when err is not nil, with words.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage is the error of a command line that makes no sense.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code: exitUsage, err: err}
}

// hinted is an error with advice for the user.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// Advice says what to do about the error.
func (h *hinted) Advice() string { return h.hint }

// report writes an error for people and gives the exit code.
func (e Env) report(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	if s, ok := errors.AsType[SignalError](context.Cause(ctx)); ok && (errors.Is(err, s) || errors.Is(err, context.Canceled)) {
		return 128 + int(s.Signal)
	}
	code := exitFailed
	if x, ok := errors.AsType[*exitError](err); ok {
		if code = x.code; x.err == nil {
			return code
		}
	}
	if mistakes, ok := errors.AsType[config.Errors](err); ok {
		_, _ = fmt.Fprintln(e.Stderr, e.mistakes(mistakes))
		return code
	}
	text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n  ")
	_, _ = fmt.Fprintf(e.Stderr, "mesh: %s\n", text)
	if a, ok := errors.AsType[interface {
		error
		Advice() string
	}](err); ok && a.Advice() != "" {
		_, _ = fmt.Fprintf(e.Stderr, "  %s\n", a.Advice())
	}
	return code
}

// mistakes writes what is wrong with files, with the shortest names the files have
// from here.
func (e Env) mistakes(all config.Errors) string {
	return all.From(e.Dir).Error() + "\n\n" + plural(len(all), "error")
}

// plural gives "1 error", "2 errors".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
