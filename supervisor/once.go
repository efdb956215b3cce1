package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mesh/supervisor/proc"
	"mesh/supervisor/state"
)

// drainGrace bounds how long calls in flight may take before their app is stopped.
const drainGrace = 10 * time.Second

// once starts the process, opens the app's channel when it is ready and waits
// for its end, asked for or not.
func (u *unit) once(ctx context.Context, d *desired) ending {
	app := u.sidecar.App()
	app.Hold(u.name + " is starting")
	u.begin(d)
	switch err := u.during(ctx, d, u.prepare); {
	case errors.Is(err, errSuperseded), ctx.Err() != nil:
		return ending{asked: true}
	case err != nil:
		return ending{err: err, final: isBuildError(err)}
	}
	if now := u.want.Load(); u.still(d) {
		d = now // the file may have changed while we waited
	}
	env, err := u.environ(ctx, d)
	if err != nil {
		return ending{err: err}
	}
	ready := u.newReadiness(d, env)
	u.lines.Store(&ready.line)
	child, err := u.start(d, env)
	if err != nil {
		if why := errors.Unwrap(err); why != nil { // the app is named wherever this is shown
			err = why
		}
		return ending{err: fmt.Errorf("cannot be started: %w", err)}
	}
	u.hold(child)
	defer u.hold(nil)
	defer func() { // nothing to do, unless this function panics
		select {
		case <-child.Done():
		default:
			u.end(ctx, child)
		}
	}()
	began := time.Now()
	u.phase(state.Starting, d.why)
	u.set(func(i *state.Instance) {
		i.PID, i.Started, i.Starts = child.PID(), began, i.Starts+1
		if u.initial && i.Startup.Started.IsZero() {
			i.Startup.Started = began
		}
	})

	var now standing
	m := u.watchOver(ctx, d, ready, now)
	defer func() {
		m.end()
		if now.sick {
			u.ails("")
		}
	}()
	for {
		select {
		case f := <-m.found:
			switch f.kind {
			case foundLate:
				u.phase(state.Starting, f.why)
			case foundReady:
				now.ready = true
				u.ready()
			case foundSick, foundWell:
				now.sick = f.kind == foundSick
				u.health(f)
			case foundLost:
			case foundUnwell:
				app.Hold(u.name + " fails its live check")
				u.phase(state.Stopping, f.why)
				u.end(ctx, child)
				return ending{err: errors.New("fails its live check: " + f.why), exit: child.Exit()}
			}
		case <-child.Exited():
			app.Hold(u.name + " has ended")
			<-child.Done() // what it started is ended too
			return ending{exit: child.Exit()}
		case <-u.wake:
			want := u.want.Load()
			if u.still(d) {
				if !sameProbes(d.app, want.app) {
					m.end()
					r := u.newReadiness(want, env)
					u.lines.Store(&r.line)
					m = u.watchOver(ctx, want, r, now)
				}
				d = want
				continue
			}
			if want.run {
				app.Hold(u.name + " is restarting")
			} else {
				u.refuse("is being stopped")
			}
			m.end()
			u.drain(ctx, child, want.why)
			u.end(ctx, child)
			return ending{asked: true, exit: child.Exit()}
		case <-ctx.Done():
			m.end()
			if errors.Is(context.Cause(ctx), errRemoved) {
				u.bowOut(ctx, child)
			}
			u.refuse("is being stopped")
			u.end(ctx, child)
			return ending{exit: child.Exit()}
		}
	}
}

// start starts the process.
func (u *unit) start(d *desired, env []string) (*proc.Child, error) {
	cols, rows := u.console.Begin()
	return proc.Start(proc.Spec{ //nolint:wrapcheck // the error names the app and says what is wrong
		Name: u.name, Argv: d.app.Argv, Shell: d.app.Shell, Dir: d.app.Dir, Env: env,
		Signal: signalNamed(d.app.StopSignal), Grace: d.app.StopGrace,
		PTY: d.app.PTY, Cols: cols, Rows: rows, Screen: u.console.Show,
	}, u.s.o.Guardian, func(l proc.Line) {
		u.s.o.Logs.Append(u.app, u.name, l.Stream, l.Text, l.At, l.Partial)
		if line := *u.lines.Load(); line != nil {
			line(l.Text)
		}
	})
}

// environ gives the environment of the process.
func (u *unit) environ(ctx context.Context, d *desired) ([]string, error) {
	var siblings map[string]int
	if err := u.s.ask(ctx, func() { siblings = u.s.siblings() }); err != nil {
		return nil, err
	}
	return childEnv(u.s.o.Environ, d.mesh, d.app, u.at, u.tokens(d), siblings), nil
}

// ready shows that the app is ready and lets calls through.
func (u *unit) ready() {
	now := time.Now()
	u.phase(state.Ready, "")
	u.set(func(i *state.Instance) { i.ReadyAt = now })
	u.recovered()
	u.sidecar.App().Open()
	u.arrive.Do(func() { close(u.able) })
}

// health acts on what the health check of an app that is ready has found.
func (u *unit) health(f finding) {
	app := u.sidecar.App()
	if f.kind == foundWell {
		app.Open()
		u.phase(state.Ready, "")
		u.ails("")
		return
	}
	app.Hold(u.name + " fails its health check: " + f.why)
	u.phase(state.Ready, "gets no calls, it fails its health check: "+f.why)
	u.ails(f.why)
}

// ails tells why the health check fails, or with "" that it does not.
func (u *unit) ails(why string) {
	u.set(func(*state.Instance) {
		u.sick = why
		u.s.tellHealth(u.app)
	})
}

// tellHealth makes a notice of the instances of an app that are not well; only
// the loop calls it.
func (s *Supervisor) tellHealth(app string) {
	var sick []string
	for _, u := range s.of(app) {
		if u.sick != "" {
			sick = append(sick, u.name+" fails its health check and gets no calls: "+u.sick)
		}
	}
	if len(sick) == 0 {
		s.withdraw("health", app)
		return
	}
	s.notice(state.Notice{Level: "warning", App: app, Code: "health", Text: strings.Join(sick, "\n"), Hint: "mesh logs " + app})
}

func (u *unit) hold(c *proc.Child) {
	u.mu.Lock()
	u.child = c
	u.mu.Unlock()
	if c == nil {
		u.console.Connect(nil)
	} else {
		u.console.Connect(c)
	}
}

// drain lets calls in flight end before the process is told to stop. It is cut
// short when the mesh ends, not when only this app leaves meanwhile.
func (u *unit) drain(ctx context.Context, child *proc.Child, why string) {
	if n := u.sidecar.App().Stats().Calls; n > 0 {
		if why != "" {
			why += "; "
		}
		u.phase(state.Stopping, fmt.Sprintf("%swaits for %s in flight, at most %v", why, plural(n, "call"), drainGrace))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainGrace)
	defer cancel()
	drained := make(chan struct{})
	go func() { // ends with ctx
		defer close(drained)
		_ = u.sidecar.App().Drain(ctx)
	}()
	var ended <-chan struct{} // of who runs elsewhere that is not known
	if child != nil {
		ended = child.Done()
	}
	select {
	case <-drained:
		return
	case <-ended:
	case <-u.s.ending:
	}
	cancel()
	<-drained
}

// underWay is how long a call may need from the choice of an instance to its gate.
const underWay = 50 * time.Millisecond

// bowOut lets an app leave a mesh that goes on, at most until that ends, too:
// nobody chooses it any more, and whoever has chosen it is still served.
func (u *unit) bowOut(ctx context.Context, child *proc.Child) {
	u.phase(state.Stopping, errRemoved.Error())
	u.sidecar.Leave()
	select {
	case <-time.After(underWay):
		u.drain(ctx, child, errRemoved.Error())
		u.refuse("is being stopped")            // whoever comes now goes to another instance
		u.drain(ctx, child, errRemoved.Error()) // and this is who came in between
	case <-u.s.ending:
	}
}

// plural gives "1 call", "2 calls".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
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
