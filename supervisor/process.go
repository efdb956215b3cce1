package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"mesh/supervisor/config"
	"mesh/supervisor/proc"
	"mesh/supervisor/state"
)

// process keeps the unit's child as it is wanted until ctx ends.
func (u *unit) process(ctx context.Context) error {
	var t tracker
	var last ending
	for ctx.Err() == nil {
		d := u.want.Load()
		if d.gen != u.gen {
			u.gen = d.gen
			t.reset()
		}
		switch {
		case u.external:
			u.attend(ctx)
		case !d.run:
			u.stopped(last)
			u.await(ctx, d, 0)
		default:
			last = u.once(ctx, d)
			if ctx.Err() == nil && !last.asked {
				u.judge(ctx, d, &t, last)
			}
		}
	}
	if errors.Is(context.Cause(ctx), errRemoved) {
		u.sidecar.Leave() // calls that wait go to others, if there are any
	}
	u.refuse("is being stopped")
	u.phase(state.Stopped, "")
	return nil
}

// stopped shows that a command has stopped the process.
func (u *unit) stopped(end ending) {
	reason := "stopped by a command"
	if end.exit.Killed {
		reason += "; it " + end.exit.String()
	}
	u.phase(state.Stopped, reason)
	u.refuse("has been stopped")
}

// ending is how one run of the process ended.
type ending struct {
	asked bool // because something else is wanted
	exit  proc.Exit
	err   error // why it could not be started, or had to be ended
	final bool  // trying again would not help
}

func (e ending) reason() string {
	if e.err != nil {
		return e.err.Error()
	}
	return e.exit.String()
}

// notFound says whether there was no command to start, or none that could be executed.
func (e ending) notFound(a *config.App) bool {
	if e.err != nil {
		return errors.Is(e.err, exec.ErrNotFound) || errors.Is(e.err, fs.ErrNotExist) || errors.Is(e.err, fs.ErrPermission)
	}
	return len(a.Argv) == 0 && (e.exit.Code == 126 || e.exit.Code == 127) // as the shell says it
}

// judge decides what follows an end that nobody asked for. It returns when it
// is time to look again at what is wanted.
func (u *unit) judge(ctx context.Context, d *desired, t *tracker, end ending) {
	c := u.config()
	fine := end.err == nil && end.exit.Signal == 0 && (end.exit.Code == 0 || slices.Contains(c.SuccessCodes, end.exit.Code))
	switch {
	case fine && c.Restart != "always":
		u.phase(state.Done, end.reason())
		u.refuse("has exited")
		u.s.say(u.app, u.name, "%s", end.reason())
		u.recovered()
		u.await(ctx, d, 0)
		return
	case end.final:
		u.giveUp(end, "")
		u.await(ctx, d, 0)
		return
	case !fine && c.Restart == "never":
		u.giveUp(end, "; it is not to be restarted (restart = \"never\")")
		u.await(ctx, d, 0)
		return
	}
	var delay time.Duration
	over, why := false, "; it has failed too often"
	switch {
	case fine:
		delay = t.ended(end.exit.Took, jitter())
	case end.notFound(c):
		delay, over = t.notFound(time.Now(), jitter())
		why = ""
	default:
		t.missing = 0
		delay, over = t.failed(time.Now(), jitter())
	}
	if over {
		u.giveUp(end, why)
		u.await(ctx, d, 0)
		return
	}
	u.backoff(end, fine, delay)
	u.await(ctx, d, delay)
}

func (u *unit) backoff(end ending, fine bool, delay time.Duration) {
	next := time.Now().Add(delay)
	reason := end.reason()
	u.sidecar.App().Hold(u.name + " " + reason)
	u.s.say(u.app, u.name, "%s; starts again in %v", reason, delay.Round(10*time.Millisecond))
	gen := u.gen
	u.set(func(i *state.Instance) {
		i.Phase, i.Reason, i.Since, i.Next, i.Generation = state.Backoff, reason, time.Now(), next, gen
		i.PID, i.CPU, i.Memory, i.Blocked = 0, 0, 0, false
		i.Restarts++
		if !fine {
			u.s.notice(state.Notice{
				Level: "error", App: u.app, Code: "crash", Text: u.name + " " + reason + lastWords(end.exit),
				Hint: "mesh logs " + u.app,
			})
		}
	})
}

func (u *unit) giveUp(end ending, why string) {
	reason := end.reason()
	u.phase(state.Failed, reason+why)
	u.refuse("has failed: " + reason)
	u.s.say(u.app, u.name, "%s%s", reason, why)
	u.set(func(*state.Instance) {
		u.s.notice(state.Notice{
			Level: "error", App: u.app, Code: "crash", Text: u.name + " " + reason + why + lastWords(end.exit),
			Hint: "mend it, then: mesh restart " + u.app,
		})
	})
}

// crashShown is how long the notice of a crash stays at least: nobody should
// have to look at the right moment.
const crashShown = 30 * time.Second

// recovered takes the notice of a crash back when it has been shown for a
// while, unless an instance of the app is down again by then.
func (u *unit) recovered() {
	time.AfterFunc(crashShown, func() {
		u.set(func(*state.Instance) {
			for _, v := range u.s.of(u.app) {
				if v.shown.Phase == state.Backoff || v.shown.Phase == state.Failed {
					return
				}
			}
			u.s.withdrawShown("crash", u.app, crashShown)
		})
	})
}

func lastWords(e proc.Exit) string {
	last := e.Last
	if len(last) > 3 {
		last = last[len(last)-3:]
	}
	if len(last) == 0 {
		return ""
	}
	return "\n" + strings.Join(last, "\n")
}

func (u *unit) refuse(why string) { u.sidecar.App().Refuse(fmt.Errorf("%s %s", u.name, why)) }

// prepare blocks until the process may start: what the app depends on stands as
// it should, the app has been built, and its port is free.
func (u *unit) prepare(ctx context.Context) error {
	if err := u.awaitDependencies(ctx); err != nil {
		return err
	}
	if u.source != nil && u.source.needsBuild() {
		u.pending("is being built", false)
		if err := u.source.firstBuild(ctx); err != nil {
			return err
		}
	}
	return u.awaitPort(ctx)
}

// awaitDependencies blocks until everything that the app depends on stands as
// it should, or ctx ends.
func (u *unit) awaitDependencies(ctx context.Context) error {
	m := u.s.State()
	for said := ""; ; {
		missing, hopeless := unmet(m, u.config().DependsOn)
		if missing == "" {
			return nil
		}
		if missing != said { // saying it again would be news to all who wait, and so for ever
			said = missing
			u.sidecar.App().Hold(u.name + " waits for " + missing)
			u.pending("waits for "+missing, hopeless)
		}
		// A change of the configuration is shown as a new state too.
		version := m.Version
		if m = u.s.Wait(ctx, version); m.Version == version {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return errStopping
		}
	}
}

// unmet names the first dependency that does not hold, or ""; hopeless says
// that somebody has to do something before it can.
func unmet(m *state.Mesh, deps []config.Dependency) (missing string, hopeless bool) {
	for _, d := range deps {
		a := m.Find(d.App)
		if a == nil || len(a.Instances) == 0 {
			return d.App + ", which does not run", true
		}
		open, why := 0, ""
		for _, i := range a.Instances {
			switch {
			case meets(i.Phase, d.Condition):
				open = -len(a.Instances) // one instance is enough
			case i.Phase == state.Failed:
				why = ", which has failed"
			case i.Phase == state.Stopped && !m.Stopping:
				why = ", which has been stopped"
			case i.Phase == state.Done:
				why = ", which has exited"
			case i.Blocked:
				why = ", which " + i.Reason
			default:
				open++
			}
		}
		switch {
		case open < 0:
		case open == 0 && why != "":
			return d.App + why, true
		default:
			return fmt.Sprintf("%s to be %s", d.App, d.Condition), false
		}
	}
	return "", false
}

// meets says whether an instance in that phase meets a condition.
func meets(p state.Phase, condition string) bool {
	switch condition {
	case "started":
		return p == state.Starting || p == state.Ready || p == state.Done
	case "completed":
		return p == state.Done
	default:
		return p == state.Ready
	}
}

// awaitPort waits until nobody else listens on the app's port.
func (u *unit) awaitPort(ctx context.Context) error {
	if u.at.app == 0 {
		return nil
	}
	switch err := portFree(u.at.app); {
	case err == nil:
		return nil
	case !errors.Is(err, errTaken):
		return fmt.Errorf("cannot start: %w", err)
	}
	who := "another process"
	if pid, command, ok := proc.PortHolder(u.at.app); ok {
		who = fmt.Sprintf("pid %d (%s)", pid, command)
	}
	u.pending(fmt.Sprintf("waits for port %d, which %s holds", u.at.app, who), false)
	wait, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := proc.WaitPortFree(wait, u.at.app); err != nil && ctx.Err() == nil {
		return fmt.Errorf("cannot start: port %d is taken by %s; stop it, or change apps.%s.port", u.at.app, who, u.app)
	}
	return nil
}

// attend watches an app that somebody else starts: its channel is open as long
// as its check succeeds.
func (u *unit) attend(ctx context.Context) {
	app := u.sidecar.App()
	d := u.want.Load()
	app.Hold(u.name + " has not been started yet")
	u.phase(state.Pending, "waits for somebody to start it")
	m := u.watchOver(ctx, d, u.newReadiness(d, u.s.o.Environ), standing{})
	sick := false
	defer func() {
		m.end()
		if sick {
			u.ails("")
		}
	}()
	for {
		select {
		case f := <-m.found:
			switch f.kind {
			case foundLate:
				u.phase(state.Pending, "waits for somebody to start it: "+f.why)
			case foundReady:
				u.phase(state.Ready, "")
				app.Open()
			case foundUnwell, foundLost:
				return
			case foundSick, foundWell:
				sick = f.kind == foundSick
				u.health(f)
			}
		case <-u.wake:
			if !sameProbes(d.app, u.config()) {
				return
			}
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errRemoved) {
				u.bowOut(ctx, nil)
			}
			return
		}
	}
}

// signalNamed gives the signal of that name; the configuration has checked it.
func signalNamed(name string) syscall.Signal {
	switch strings.TrimPrefix(strings.ToUpper(name), "SIG") {
	case "INT":
		return syscall.SIGINT
	case "HUP":
		return syscall.SIGHUP
	case "QUIT":
		return syscall.SIGQUIT
	case "KILL":
		return syscall.SIGKILL
	case "USR1":
		return syscall.SIGUSR1
	case "USR2":
		return syscall.SIGUSR2
	case "WINCH":
		return syscall.SIGWINCH
	}
	return syscall.SIGTERM
}

// isBuildError says whether an app could not be started because it could not be
// built, so that trying again would not help.
func isBuildError(err error) bool {
	_, ok := errors.AsType[*buildError](err)
	return ok
}
