package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mesh/supervisor/config"
	"mesh/supervisor/proc"
	"mesh/supervisor/state"
	"mesh/supervisor/watch"
)

// restartPatience bounds how long a reload waits for the app it has restarted
// before it looks at the next change.
const restartPatience = 10 * time.Second

// source is the source code of one app: it is watched, and when it changes the
// app is built and its instances are started anew. The instances share it.
type source struct {
	s     *Supervisor
	app   string
	want  atomic.Pointer[desired] // mesh and app only
	wake  chan struct{}           // want has changed, or files have
	turn  chan struct{}           // holds a token while nobody builds
	built atomic.Bool             // a build has succeeded
	end   context.CancelFunc

	mu      sync.Mutex
	changed map[string]time.Time // files, and when they did
}

func newSource(s *Supervisor, m *config.Mesh, a *config.App) *source {
	q := &source{s: s, app: a.ID, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1), changed: map[string]time.Time{}}
	q.turn <- struct{}{}
	q.want.Store(&desired{mesh: m, app: a})
	return q
}

// configure gives the source another configuration. It never blocks.
func (q *source) configure(m *config.Mesh, a *config.App) {
	q.want.Store(&desired{mesh: m, app: a})
	q.poke()
}

func (q *source) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// buildError says that an app could not be built.
type buildError struct {
	app  string
	exit proc.Exit
	out  string
}

func (e *buildError) Error() string { return fmt.Sprintf("building %s: it %s", e.app, e.exit) }

// needsBuild says whether the app is to be built before it can start.
func (q *source) needsBuild() bool { return q.want.Load().app.Build != "" && !q.built.Load() }

// firstBuild builds the app unless that has been done.
func (q *source) firstBuild(ctx context.Context) error {
	return q.build(ctx, q.needsBuild, "")
}

// build builds the app when it is its turn and needed still says so. Only one
// build of an app runs at a time. What fails is shown as a notice.
func (q *source) build(ctx context.Context, needed func() bool, because string) error {
	select {
	case <-q.turn:
		defer func() { q.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !needed() {
		return nil
	}
	d := q.want.Load()
	env := newEnviron(q.s.o.Environ)
	env.add(d.mesh.Environ(d.app))
	var out head
	q.s.say(q.app, q.app, "building: %s", d.app.Build)
	exit, err := q.s.shell(ctx, "the build of "+q.app, d.app.Build, d.app.Dir, env.list(), func(l proc.Line) {
		out.add(l)
		q.s.o.Logs.Append(q.app, q.app, l.Stream, l.Text, l.At, l.Partial)
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case exit.Success():
		q.built.Store(true)
		q.s.say(q.app, q.app, "built in %v", exit.Took.Round(time.Millisecond))
		q.s.post(func() { q.s.withdraw("build", q.app) })
		return nil
	}
	fault := &buildError{app: q.app, exit: exit, out: out.String()}
	text := fault.Error()
	if because != "" {
		text += " (" + because + ")"
	}
	if fault.out != "" {
		text += "\n" + fault.out
	}
	hint := "mend it and save; it is built again then"
	if q.built.Load() || because != "" {
		hint = "the running process goes on; " + hint
	}
	q.s.post(func() {
		q.s.notice(state.Notice{Level: "error", App: q.app, Code: "build", Text: text, Hint: hint})
	})
	return fault
}

// run watches the files until ctx ends.
func (q *source) run(ctx context.Context) {
	var eyes eyes
	defer eyes.shut()
	var rounds rounds
	var seen *config.App
	for ctx.Err() == nil {
		now := q.want.Load().app
		if seen == nil || !sameSource(seen, now) {
			rounds.forget()
			eyes.aim(ctx, q, now)
			q.s.post(func() { q.s.withdraw("loop", q.app) })
		}
		seen = now
		if changed := q.take(); len(changed) > 0 {
			q.reload(ctx, &rounds, changed)
			continue // there may be more by now
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		}
	}
}

// sameSource says whether the same files of an app are watched, to do the same.
func sameSource(a, b *config.App) bool {
	return a.Dir == b.Dir && a.Build == b.Build && reflect.DeepEqual(a.Watch, b.Watch) && reflect.DeepEqual(a.Ignore, b.Ignore)
}

// take gives the files that have changed since it was last called.
func (q *source) take() map[string]change {
	q.mu.Lock()
	changed := maps.Clone(q.changed)
	clear(q.changed)
	q.mu.Unlock()
	all := map[string]change{}
	for f, at := range changed {
		_, err := os.Lstat(f)
		all[f] = change{at: at, gone: errors.Is(err, fs.ErrNotExist)}
	}
	return all
}

// saw notes what the watcher tells.
func (q *source) saw(e watch.Event) {
	if e.Err != nil {
		q.s.Warn("watch", e.Err.Error(), e.Hint)
	}
	if len(e.Files) == 0 {
		return
	}
	q.mu.Lock()
	for _, f := range e.Files {
		q.changed[f] = time.Now()
	}
	q.mu.Unlock()
	q.poke()
}

// reload builds the app and starts its instances anew, unless all files have
// changed because of the last times that this was done.
func (q *source) reload(ctx context.Context, r *rounds, changed map[string]change) {
	files, verdict := r.judge(changed)
	names := q.names(files)
	switch verdict {
	case roundSkip:
		return
	case roundSuspend:
		q.s.say(q.app, q.app, "not started anew: %s changes whenever it is", names)
		q.s.post(func() {
			q.s.notice(state.Notice{
				Level: "warning", App: q.app, Code: "loop",
				Text: fmt.Sprintf("%s is no longer started anew for %s: the file changes whenever %s is built or started, so that this would never end", q.app, names, q.app),
				Hint: fmt.Sprintf("leave it out with apps.%s.ignore, or watch less", q.app),
			})
		})
		return
	case roundGo:
	}
	began := time.Now()
	because := names + " changed"
	r.begin(began)
	defer func() { r.end(time.Now()) }()
	words := "restarted"
	if q.want.Load().app.Build != "" {
		q.s.say(q.app, q.app, "%s", because)
		if err := q.build(ctx, func() bool { return true }, because); err != nil {
			if _, told := errors.AsType[*buildError](err); !told && ctx.Err() == nil {
				q.s.post(func() {
					q.s.notice(state.Notice{Level: "error", App: q.app, Code: "build", Text: err.Error()})
				})
			}
			return
		}
		words = fmt.Sprintf("built in %v and restarted", time.Since(began).Round(time.Millisecond))
	}
	if err := q.restart(ctx, because); err != nil {
		return // shown as the crash that it is
	}
	q.s.post(func() {
		q.s.notice(state.Notice{
			Level: "info", App: q.app, Code: "source",
			Text: fmt.Sprintf("%s %s: %s", q.app, words, because),
		})
	})
}

// restart starts the app's instances anew and waits a while until they stand.
func (q *source) restart(ctx context.Context, why string) error {
	ctx, cancel := context.WithTimeout(ctx, restartPatience)
	defer cancel()
	wait := map[*unit]uint64{}
	if err := q.s.ask(ctx, func() {
		for _, u := range q.s.of(q.app) {
			if gen := u.renew(why); gen > 0 {
				wait[u] = gen
			}
		}
	}); err != nil {
		return err
	}
	for u, gen := range wait {
		if err := u.settle(ctx, gen, false); err != nil {
			return err
		}
	}
	return nil
}

// names gives files as the user knows them.
func (q *source) names(files []string) string {
	dir := q.want.Load().app.Dir
	const most = 3
	var names []string
	for _, f := range files {
		if rel, err := filepath.Rel(dir, f); err == nil {
			f = rel
		}
		if len(names) == most {
			names = append(names, fmt.Sprintf("%d more", len(files)-most))
			break
		}
		names = append(names, f)
	}
	return strings.Join(names, ", ")
}

// eyes are the watcher of one app, if it has one.
type eyes struct {
	watcher *watch.Watcher
	close   context.CancelFunc
	closed  chan struct{}
}

// aim makes the watcher look at what the app wants watched.
func (e *eyes) aim(ctx context.Context, q *source, a *config.App) {
	if len(a.Watch) == 0 {
		e.shut()
		return
	}
	t := watch.Targets{Trees: []watch.Tree{{Dir: a.Dir, Match: a.Watch, Ignore: a.Ignore, Gitignore: true}}}
	var err error
	if e.watcher != nil {
		err = e.watcher.Retarget(t)
	} else {
		err = e.open(ctx, q, t)
	}
	if err != nil {
		q.s.Warn("watch", err.Error(), "")
	}
}

func (e *eyes) open(ctx context.Context, q *source, t watch.Targets) error {
	w, err := watch.New(watch.Options{Targets: t, Changed: q.saw})
	if err != nil {
		return fmt.Errorf("watching the sources of %s: %w", q.app, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	e.watcher, e.close, e.closed = w, cancel, make(chan struct{})
	go func() { // joined by shut
		defer close(e.closed)
		_ = w.Run(ctx) // ends with ctx only
	}()
	return nil
}

func (e *eyes) shut() {
	if e.watcher != nil {
		e.close()
		<-e.closed
		e.watcher = nil
	}
}
