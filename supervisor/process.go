package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"mesh/supervisor/config"
	"mesh/supervisor/proc"
	"mesh/supervisor/state"
)

// ask is what a command or an edit wants of a unit's process.
type ask int

const (
	askRestart ask = iota // stop it when it runs, then start it
	askStart              // start it unless it runs
	askStop               // stop it and leave it stopped
)

// drainGrace bounds how long calls in flight may take before their app is stopped.
const drainGrace = 10 * time.Second

// process keeps the unit's child as it is wanted until ctx ends.
func (u *unit) process(ctx context.Context) error {
	if u.external {
		return u.attend(ctx)
	}
	var t tracker
	running := true
	for ctx.Err() == nil {
		if !running {
			if running = u.idle(ctx); running {
				t.reset()
			}
			continue
		}
		if again, ok := u.awaitDependencies(ctx); !ok {
			running = again
			continue
		}
		end := u.once(ctx)
		switch {
		case ctx.Err() != nil:
		case end.ask != nil && *end.ask == askStop:
			u.phase(state.Stopped, "stopped by a command")
			u.refuse("has been stopped")
			running = false
		case end.ask != nil:
			t.reset()
		default:
			running = u.judge(ctx, &t, end)
		}
	}
	u.refuse("is being stopped")
	u.phase(state.Stopped, "")
	return nil
}

// ending is how one run of the process ended.
type ending struct {
	ask  *ask // because it was asked to
	exit proc.Exit
	err  error // it could not be started
}

func (e ending) reason() string {
	if e.err != nil {
		return e.err.Error()
	}
	return e.exit.String()
}

// idle waits until the unit is asked to start.
func (u *unit) idle(ctx context.Context) (start bool) {
	select {
	case a := <-u.asks:
		return a != askStop
	case <-ctx.Done():
		return false
	}
}

// judge decides what follows the end of a process that nobody asked for.
func (u *unit) judge(ctx context.Context, t *tracker, end ending) (again bool) {
	c := u.config()
	fine := end.err == nil && end.exit.Signal == 0 && (end.exit.Code == 0 || slices.Contains(c.SuccessCodes, end.exit.Code))
	switch {
	case fine && c.Restart != "always":
		u.phase(state.Done, end.reason())
		u.refuse("has exited")
		u.s.say(u.app, u.name, "%s", end.reason())
		return false
	case !fine && c.Restart == "never":
		u.giveUp(end, "it is not to be restarted (restart = \"never\")")
		return false
	}
	delay, over := firstBackoff, false
	if !fine {
		if delay, over = t.failed(time.Now(), jitter()); over {
			u.giveUp(end, "it has failed too often")
			return false
		}
	}
	u.backoff(end, fine, delay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case a := <-u.asks:
		t.reset()
		if a == askStop {
			u.phase(state.Stopped, "stopped by a command")
			u.refuse("has been stopped")
			return false
		}
		return true
	case <-ctx.Done():
		return true
	}
}

func (u *unit) backoff(end ending, fine bool, delay time.Duration) {
	next := time.Now().Add(delay)
	reason := end.reason()
	u.sidecar.App().Hold(u.name + " " + reason)
	u.s.say(u.app, u.name, "%s; starts again in %v", reason, delay.Round(10*time.Millisecond))
	u.set(func(i *state.Instance) {
		i.Phase, i.Reason, i.Since, i.Next = state.Backoff, reason, time.Now(), next
		i.PID, i.CPU, i.Memory = 0, 0, 0
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
	u.phase(state.Failed, reason+"; "+why)
	u.refuse("has failed: " + reason)
	u.s.say(u.app, u.name, "%s; %s", reason, why)
	u.set(func(*state.Instance) {
		u.s.notice(state.Notice{
			Level: "error", App: u.app, Code: "crash", Text: u.name + " " + reason + "; " + why + lastWords(end.exit),
			Hint: "mend it, then: mesh restart " + u.app,
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

// awaitDependencies blocks until everything that the app depends on stands as
// it should. ok is false when it was interrupted; again then says whether the
// process is still wanted.
func (u *unit) awaitDependencies(ctx context.Context) (again, ok bool) {
	m := u.s.State()
	for said := ""; ; {
		missing := unmet(m, u.config().DependsOn)
		if missing == "" {
			return true, true
		}
		if missing != said { // saying it again would be news to all who wait, and so for ever
			said = missing
			u.sidecar.App().Hold(u.name + " waits for " + missing)
			u.phase(state.Pending, "waits for "+missing)
		}
		wait, cancel := context.WithCancel(ctx)
		moved := make(chan *state.Mesh, 1)
		go func() { moved <- u.s.Wait(wait, m.Version) }() // joined below
		select {
		case m = <-moved:
			for m.Version < u.s.State().Version {
				m = u.s.State()
			}
		case a := <-u.asks:
			cancel()
			<-moved
			if a == askStop {
				u.phase(state.Stopped, "stopped by a command")
				u.refuse("has been stopped")
				return false, false
			}
		case <-ctx.Done():
			cancel()
			<-moved
			return false, false
		}
		cancel()
	}
}

// unmet names the first dependency that does not hold, or "".
func unmet(m *state.Mesh, deps []config.Dependency) string {
	for _, d := range deps {
		a := m.Find(d.App)
		if a == nil {
			return d.App + ", which does not run"
		}
		met := slices.ContainsFunc(a.Instances, func(i state.Instance) bool {
			switch d.Condition {
			case "started":
				return i.Phase == state.Starting || i.Phase == state.Ready || i.Phase == state.Done
			case "completed":
				return i.Phase == state.Done
			default:
				return i.Phase == state.Ready
			}
		})
		if met {
			continue
		}
		for _, i := range a.Instances {
			if i.Phase == state.Failed {
				return d.App + ", which has failed"
			}
		}
		return fmt.Sprintf("%s to be %s", d.App, d.Condition)
	}
	return ""
}

// once starts the process, opens the app's channel when it is ready and waits
// for its end, asked for or not.
func (u *unit) once(ctx context.Context) ending {
	app := u.sidecar.App()
	app.Hold(u.name + " is starting")
	d := u.want.Load()
	if err := u.awaitPort(ctx); err != nil {
		return ending{err: err}
	}
	var siblings map[string]int
	if err := u.s.ask(ctx, func() { siblings = u.s.siblings() }); err != nil {
		return ending{err: err}
	}
	env := childEnv(u.s.o.Environ, d.mesh, d.app, u.at, u.s.o.Token, siblings)
	ready := newReadiness(d.app, u.at.app, d.app.Dir, env)
	child, err := proc.Start(proc.Spec{
		Name: u.name, Argv: d.app.Argv, Shell: d.app.Shell, Dir: d.app.Dir, Env: env,
		Signal: signalNamed(d.app.StopSignal), Grace: d.app.StopGrace,
	}, u.s.o.Guardian, func(l proc.Line) {
		u.s.o.Logs.Append(u.app, u.name, l.Stream, l.Text, l.At, l.Partial)
		if ready.line != nil {
			ready.line(l.Text)
		}
	})
	if err != nil {
		return ending{err: err}
	}
	u.hold(child)
	defer u.hold(nil)
	began := time.Now()
	u.phase(state.Starting, "")
	u.set(func(i *state.Instance) { i.PID, i.Started, i.Starts = child.PID(), began, i.Starts+1 })

	life, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	isReady := make(chan error, 1)
	go func() { // ends with life
		isReady <- ready.wait(life, func(why string) { u.phase(state.Starting, why) })
	}()
	for {
		select {
		case err := <-isReady:
			isReady = nil
			if err == nil {
				u.phase(state.Ready, "")
				u.set(func(*state.Instance) { u.s.withdraw("crash", u.app) })
				app.Open()
			}
		case <-child.Exited():
			cancel(errors.New("the process has ended"))
			app.Hold(u.name + " has ended")
			<-child.Done() // what it started is ended too
			return ending{exit: child.Exit()}
		case a := <-u.asks:
			if a == askStart {
				continue
			}
			cancel(errors.New("stopping"))
			if a == askStop {
				u.refuse("is being stopped")
			} else {
				app.Hold(u.name + " is restarting")
			}
			u.drain(ctx, child)
			u.end(ctx, child)
			return ending{ask: &a, exit: child.Exit()}
		case <-ctx.Done():
			u.refuse("is being stopped")
			u.end(ctx, child)
			return ending{exit: child.Exit()}
		}
	}
}

func (u *unit) hold(c *proc.Child) {
	u.mu.Lock()
	u.child = c
	u.mu.Unlock()
}

// drain lets calls in flight end before the process is told to stop.
func (u *unit) drain(ctx context.Context, child *proc.Child) {
	if n := u.sidecar.App().Stats().Calls; n > 0 {
		u.phase(state.Stopping, fmt.Sprintf("%d calls in flight", n))
	}
	ctx, cancel := context.WithTimeout(ctx, drainGrace)
	defer cancel()
	drained := make(chan struct{})
	go func() { // ends with ctx
		defer close(drained)
		_ = u.sidecar.App().Drain(ctx)
	}()
	select {
	case <-drained:
	case <-child.Done():
		cancel()
		<-drained
	}
}

// end stops the process, politely at first. When the mesh is told to hurry it
// is killed.
func (u *unit) end(ctx context.Context, child *proc.Child) {
	u.phase(state.Stopping, fmt.Sprintf("grace %v", u.config().StopGrace))
	stop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() { // ends with stop
		select {
		case <-u.s.kill:
			cancel()
		case <-stop.Done():
		}
	}()
	child.Stop(stop)
}

// awaitPort waits until nobody else listens on the app's port.
func (u *unit) awaitPort(ctx context.Context) error {
	if u.at.app == 0 || portFree(u.at.app) {
		return nil
	}
	who := "another process"
	if pid, command, ok := proc.PortHolder(u.at.app); ok {
		who = fmt.Sprintf("pid %d (%s)", pid, command)
	}
	u.phase(state.Starting, fmt.Sprintf("waits for port %d, which %s holds", u.at.app, who))
	wait, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := proc.WaitPortFree(wait, u.at.app); err != nil && ctx.Err() == nil {
		return fmt.Errorf("port %d is taken by %s; stop it, or change apps.%s.port", u.at.app, who, u.app)
	}
	return nil
}

// attend watches an app that somebody else starts: its channel is open as long
// as its check succeeds.
func (u *unit) attend(ctx context.Context) error {
	app := u.sidecar.App()
	for ctx.Err() == nil {
		d := u.want.Load()
		app.Hold(u.name + " has not been started yet")
		u.phase(state.Pending, "waits for somebody to start it")
		ready := newReadiness(d.app, u.at.app, d.app.Dir, u.s.o.Environ)
		if ready.wait(ctx, func(why string) { u.phase(state.Pending, "waits for somebody to start it: "+why) }) == nil {
			u.phase(state.Ready, "")
			app.Open()
			u.awaitLoss(ctx, ready)
		}
	}
	u.refuse("is being stopped")
	u.phase(state.Stopped, "")
	return nil
}

// awaitLoss returns when the check has failed twice in a row, or ctx has ended.
func (u *unit) awaitLoss(ctx context.Context, r readiness) {
	if r.check == nil {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for failed := 0; failed < 2; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		try, cancel := context.WithTimeout(ctx, r.timeout)
		if r.check(try) != nil {
			failed++
		} else {
			failed = 0
		}
		cancel()
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
	}
	return syscall.SIGTERM
}
