package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mesh/mdnsresolve"
	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/run"
	"mesh/supervisor"
	"mesh/supervisor/config"
	"mesh/supervisor/control"
	"mesh/supervisor/logs"
	"mesh/supervisor/proc"
	"mesh/supervisor/state"
	"mesh/supervisor/watch"
	"mesh/tui"
)

// upFlags is what the flags of `mesh up` say.
type upFlags struct {
	headless bool
	except   []string
	isolated bool
	detach   bool
	json     bool // with detach
}

// newUp gives `mesh up`.
func newUp(env Env) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up [APP…]",
		Short: "Run the mesh",
		Long: `Run the apps of mesh.toml, each with a sidecar, until Ctrl-C. In a terminal the
screen shows them and their streams; elsewhere, and with --headless, everything
is printed as lines. Saving mesh.toml changes the running mesh.

With names of apps, only these and what they depend on run. When a mesh already
runs in this project, its screen is shown instead.`,
		Example: `  mesh up
  mesh up web orders
  mesh up --except orders       everything but that app, which you debug
  mesh up --headless | tee run.log
  mesh up --detach && mesh invoke web /`,
		ValidArgsFunction: completeApps(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.up(cmd.Context(), f, args)
		},
	}
	cmd.Flags().BoolVar(&f.headless, "headless", false, "print lines instead of showing the screen")
	cmd.Flags().StringSliceVar(&f.except, "except", nil, "run everything but this app, which you start yourself")
	cmd.Flags().BoolVar(&f.isolated, "isolated", false, "use ports of its own, so that several copies of the project can run")
	cmd.Flags().BoolVar(&f.detach, "detach", false, "run it in the background; returns when all apps are ready or one has failed")
	cmd.Flags().BoolVar(&f.json, "json", false, "with --detach: print JSON")
	themeFlag(cmd, env)
	return cmd
}

func (e Env) up(ctx context.Context, f upFlags, only []string) error {
	file, err := e.find()
	if err != nil {
		return err
	}
	dir := filepath.Dir(file)
	screen := e.StdinTTY && e.StdoutTTY && !f.headless && !f.detach
	if f.json && !f.detach {
		return usage(&hinted{errors.New("--json goes with --detach"), "`mesh tap --json` and `mesh logs --json` print what a mesh does"})
	}
	if pid, runs := control.Occupied(dir); runs {
		if !screen {
			return &hinted{fmt.Errorf("a mesh already runs in %s (pid %d)", dir, pid), "`mesh logs -f` follows it, `mesh down` stops it"}
		}
		return e.attach(ctx)
	}
	look, err := e.prefs()
	if err != nil && screen {
		return err
	}
	past := newHistory(filepath.Join(dir, ".mesh"))
	load := func() (*config.Mesh, error) { return past.load(file, e.Environ) }
	m, err := load()
	if err != nil {
		return err
	}
	if err := known(m, append(only, f.except...)); err != nil {
		return usage(err)
	}
	if f.detach {
		return e.detach(ctx, f, only, file)
	}
	for _, w := range m.Warnings {
		_, _ = fmt.Fprintln(e.Stderr, "mesh: "+w.Error())
	}
	if err := e.clearAway(ctx, filepath.Join(dir, ".mesh")); err != nil {
		return err
	}
	guardian, err := proc.NewGuardian(proc.GuardianOptions{Dir: filepath.Join(dir, ".mesh"), Adopt: runtime.GOOS == "linux"})
	if err != nil {
		return err
	}
	defer guardian.Close()

	log := slog.New(slog.NewTextHandler(e.meshLog(dir), nil))
	component.RouteLibraryLogs(log)
	flows := flow.NewRecorder()
	defer flows.Watch()()
	var super *supervisor.Supervisor
	book := logs.New(logs.Options{Dir: filepath.Join(dir, ".mesh", "logs"), Failed: func(err error) {
		super.Warn("logs", "lines of apps do not reach their files: "+err.Error(), "free space under .mesh/logs; the screen still has the latest lines")
	}}) // its Run begins when super is there
	names, noNames := mdnsresolve.New(mdnsresolve.Options{Interface: m.Interface, Log: log})

	o := supervisor.Options{
		First: m, Load: load, Only: only, Except: f.except, Environ: e.Environ,
		Guardian: guardian, Flows: flows, Logs: book, Log: log, PID: os.Getpid(),
	}
	if f.isolated {
		o.Salt = rand.Text()
	}
	if noNames == nil {
		o.Names, o.Move = announcer{names}, names.Use
	}
	watcher, err := watch.New(watch.Options{Targets: targets(m), Changed: func(e watch.Event) {
		if e.Err != nil {
			super.Warn("watch", e.Err.Error(), e.Hint)
		}
		super.Look()
	}})
	if err != nil {
		return err
	}
	o.Applied = func(m *config.Mesh) {
		if err := errors.Join(watcher.Retarget(targets(m)), past.applied(m)); err != nil {
			super.Warn("watch", err.Error(), "")
		}
	}
	if super, err = supervisor.New(o); err != nil {
		return err
	}
	if err := errors.Join(past.applied(m), handOver(super, f.except, dir)); err != nil {
		return err
	}
	if noNames != nil {
		super.Warn("names", "apps of other meshes cannot be found: "+noNames.Error(), "mesh doctor")
	}
	ctl, err := control.New(control.Options{Dir: dir, Token: super.Token, Mesh: super, Flows: flows, Logs: book, Log: log})
	if err != nil {
		return err
	}

	var g run.Group
	g.Add("logs", book.Run)
	if noNames == nil {
		g.Add("names", names.Run)
	}
	g.Add("collector", newCollector().Run)
	g.Add("control", ctl.Run)
	local := local{super, book}
	// What shows the mesh, and what hears the second Ctrl-C, stays until it has stopped.
	if screen {
		g.Add("screen", e.screen(local, flows, super, dir, look))
	} else {
		g.Add("headless", newHeadless(e.Stdout, local, flows, e.color()).Run)
	}
	g.Add("kill", func(ctx context.Context) error {
		select {
		case <-e.Kill:
			super.Kill()
		case <-ctx.Done():
		}
		<-ctx.Done()
		return nil
	})
	g.Add("supervisor", super.Run)
	g.Add("watch", watcher.Run)
	if err := g.Run(ctx); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// known says which of the names are no apps of the mesh.
func known(m *config.Mesh, names []string) error {
	var ids []string
	for i := range m.Apps {
		ids = append(ids, m.Apps[i].ID)
	}
	for _, n := range names {
		if m.Find(n) != nil {
			continue
		}
		hint := "there are " + strings.Join(ids, ", ")
		if near := control.Nearest(n, ids); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		return &hinted{fmt.Errorf("mesh.toml has no app %q", n), hint}
	}
	return nil
}

// clearAway ends what an earlier mesh in this folder has left behind, and says so.
func (e Env) clearAway(ctx context.Context, dir string) error {
	left, err := proc.Leftovers(dir)
	if err != nil {
		return err
	}
	if len(left) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(e.Stderr, "mesh: an earlier mesh was killed and has left processes behind; ending them:")
	for _, l := range left {
		_, _ = fmt.Fprintln(e.Stderr, "  "+l.String())
	}
	return proc.EndLeftovers(ctx, left, 2*time.Second)
}

// targets are the files whose change is a reason to look at the configuration again.
func targets(m *config.Mesh) watch.Targets {
	files := append([]string{m.File}, m.EnvFiles...)
	for i := range m.Apps {
		files = append(files, m.Apps[i].EnvFiles...)
	}
	var trees []watch.Tree
	for _, dir := range m.Resources {
		trees = append(trees, watch.Tree{Dir: dir, Match: []string{"*.yaml", "*.yml"}})
	}
	return watch.Targets{Files: files, Trees: trees}
}

// meshLog is the file with what mesh says about itself. What cannot be written
// is lost: there is nobody left to tell.
func (e Env) meshLog(dir string) io.Writer {
	folder := filepath.Join(dir, ".mesh", "logs")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return io.Discard
	}
	f, err := os.OpenFile(filepath.Join(folder, "mesh.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return io.Discard
	}
	return f
}

// announcer gives the supervisor the names of mDNS.
type announcer struct{ *mdnsresolve.Responder }

func (a announcer) Announce(appID, instance string, port int) (withdraw func()) {
	return a.Responder.Announce(mdnsresolve.Service{AppID: appID, Instance: instance, Port: port})
}

func (a announcer) Failed(appID string, addr netip.AddrPort) { a.Responder.Failed(appID, addr) }

// local is the mesh of this process as the screen and headless output read it.
type local struct {
	super *supervisor.Supervisor
	book  *logs.Book
}

func (l local) State() *state.Mesh { return l.super.State() }

func (l local) Do(ctx context.Context, c state.Command) error { return l.super.Do(ctx, c) }

func (l local) Lines(app string, after uint64, limit int) []state.Line {
	return l.book.Lines(app, after, limit)
}

func (l local) Wait(ctx context.Context, version uint64) *state.Mesh {
	return l.super.Wait(ctx, version)
}

func (l local) LastLine() uint64 { return l.book.Last() }

func (l local) WaitLine(ctx context.Context, after uint64) error { return l.book.Wait(ctx, after) }

var _ tui.Mesh = local{}
