package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// place is a folder with a watcher.
type place struct {
	t      *testing.T
	dir    string
	w      *Watcher
	events chan Event
}

// watching starts a watcher for targets named relative to a new folder. Looks
// without notices are left out unless o says when.
func watching(t *testing.T, o Options, prepare func(p *place)) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir(), events: make(chan Event, 1000)}
	if prepare != nil {
		prepare(p)
	}
	for i, f := range o.Files {
		o.Files[i] = p.path(f)
	}
	for i := range o.Trees {
		o.Trees[i].Dir = p.path(o.Trees[i].Dir)
	}
	if o.Quiet == 0 {
		o.Quiet = 30 * time.Millisecond
	}
	if o.Look == 0 {
		o.Look = time.Hour
	}
	if o.LookTree == 0 {
		o.LookTree = time.Hour
	}
	o.Changed = func(e Event) { p.events <- e }
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	p.w = w
	p.run()
	return p
}

func (p *place) run() {
	ctx, cancel := context.WithCancel(p.t.Context())
	w, done := p.w, make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	})
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) write(name, text string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) rename(from, to string) {
	p.t.Helper()
	if err := os.Rename(p.path(from), p.path(to)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) remove(name string) {
	p.t.Helper()
	if err := os.RemoveAll(p.path(name)); err != nil {
		p.t.Fatal(err)
	}
}

// expect waits for an event of exactly these files.
func (p *place) expect(names ...string) {
	p.t.Helper()
	select {
	case e := <-p.events:
		var got []string
		for _, f := range e.Files {
			got = append(got, strings.TrimPrefix(f, p.dir+"/"))
		}
		if e.Err != nil || !slices.Equal(got, names) {
			p.t.Fatalf("the event names %v (%v), want %v", got, e.Err, names)
		}
	case <-time.After(10 * time.Second):
		p.t.Fatalf("no event for %v", names)
	}
}

func TestNamedFile(t *testing.T) {
	for name, save := range map[string]func(p *place){
		"write": func(p *place) { p.write("mesh.toml", "two") },
		"rename over": func(p *place) {
			p.write("mesh.toml.new", "two")
			p.rename("mesh.toml.new", "mesh.toml")
		},
		"as vim does": func(p *place) {
			p.write("4913", "")
			p.remove("4913")
			p.write(".mesh.toml.swp", "x")
			p.rename("mesh.toml", "mesh.toml~")
			p.write("mesh.toml", "two")
			p.remove("mesh.toml~")
			p.remove(".mesh.toml.swp")
		},
		"delete and create": func(p *place) {
			p.remove("mesh.toml")
			p.write("mesh.toml", "two")
		},
		"delete":    func(p *place) { p.remove("mesh.toml") },
		"same size": func(p *place) { p.write("mesh.toml", "uno") },
	} {
		t.Run(name, func(t *testing.T) {
			p := watching(t, Options{Targets: Targets{Files: []string{"mesh.toml"}}}, func(p *place) { p.write("mesh.toml", "one") })
			save(p)
			p.expect("mesh.toml")
			p.write("mesh.toml", "three") // notices go on
			p.expect("mesh.toml")
		})
	}
}

// TestSilence makes changes that are none, and one that is, which must come
// alone.
func TestSilence(t *testing.T) {
	for name, touch := range map[string]func(p *place){
		"read": func(p *place) {
			if _, err := os.ReadFile(p.path("mesh.toml")); err != nil {
				p.t.Fatal(err)
			}
		},
		"chmod": func(p *place) {
			if err := os.Chmod(p.path("mesh.toml"), 0o644); err != nil {
				p.t.Fatal(err)
			}
		},
		"same content": func(p *place) { p.write("mesh.toml", "one") },
		"same content in a new file": func(p *place) {
			p.write("mesh.toml.new", "one")
			p.rename("mesh.toml.new", "mesh.toml")
		},
		"another file": func(p *place) { p.write("mesh.toml.bak", "x") },
		"temporary files in a tree": func(p *place) {
			for _, name := range []string{".a.go.swp", "a.go~", ".#a.go", "#a.go#", "a.go___jb_tmp___", "4913"} {
				p.write("src/"+name, "x")
			}
		},
		"folders that are never watched": func(p *place) {
			for _, name := range []string{".git/index", "node_modules/x/index.js", ".mesh/state.db"} {
				p.write("src/"+name, "x")
			}
		},
		"an empty folder": func(p *place) {
			if err := os.Mkdir(p.path("src/empty"), 0o700); err != nil {
				p.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := watching(t, Options{Targets: Targets{Files: []string{"mesh.toml"}, Trees: []Tree{{Dir: "src"}}}}, func(p *place) {
				p.write("mesh.toml", "one")
				p.write("src/a.go", "package a")
			})
			touch(p)
			p.settled()
			p.write("mesh.toml", "two")
			p.expect("mesh.toml")
		})
	}
}

// settled waits until the notices so far have led to a look. A change of a
// folder that is a target's own makes one.
func (p *place) settled() {
	p.t.Helper()
	p.write("src/zz-sentinel", "x")
	p.expect("src/zz-sentinel")
}

func TestFileAppearsLater(t *testing.T) {
	p := watching(t, Options{Targets: Targets{Files: []string{"a/b/.env"}}}, nil)
	p.write("a/b/.env", "X=1")
	p.expect("a/b/.env")
	p.remove("a")
	p.expect("a/b/.env")
	p.write("a/b/.env", "X=2")
	p.expect("a/b/.env")
	p.write("a/b/.env", "X=3")
	p.expect("a/b/.env")
}

func TestTree(t *testing.T) {
	p := watching(t, Options{Targets: Targets{Trees: []Tree{{Dir: "src", Match: []string{"**/*.go", "go.mod"}, Ignore: []string{"bin/**", "*_gen.go"}}}}}, func(p *place) {
		p.write("src/main.go", "package main")
	})
	p.write("src/main.go", "package other")
	p.expect("src/main.go")
	p.write("src/bin/x.go", "package x")
	p.write("src/a_gen.go", "package x")
	p.write("src/notes.txt", "no")
	p.write("src/go.mod", "module x")
	p.expect("src/go.mod")
	p.write("src/new/deep/er/x.go", "package er")
	p.expect("src/new/deep/er/x.go")
	p.write("src/new/deep/er/y.go", "package er")
	p.expect("src/new/deep/er/y.go")
	p.rename("src/new", "src/old")
	p.expect("src/new/deep/er/x.go", "src/new/deep/er/y.go", "src/old/deep/er/x.go", "src/old/deep/er/y.go")
	p.write("src/old/deep/er/y.go", "package changed")
	p.expect("src/old/deep/er/y.go")
	p.remove("src/old")
	p.expect("src/old/deep/er/x.go", "src/old/deep/er/y.go")
	p.write("src/old/z.go", "package z") // a folder comes back
	p.expect("src/old/z.go")
}

func TestTreeVanishesAndComesBack(t *testing.T) {
	p := watching(t, Options{Targets: Targets{Trees: []Tree{{Dir: "up/components", Match: []string{"*.yaml"}}}}}, func(p *place) {
		p.write("up/components/a.yaml", "a: 1")
	})
	p.remove("up")
	p.expect("up/components/a.yaml")
	p.write("up/components/a.yaml", "a: 1")
	p.expect("up/components/a.yaml")
	p.write("up/components/b.yaml", "b: 1")
	p.expect("up/components/b.yaml")
	p.rename("up/components", "up/elsewhere")
	p.expect("up/components/a.yaml", "up/components/b.yaml")
	p.write("up/elsewhere/a.yaml", "a: 2") // no longer of interest
	p.rename("up/elsewhere", "up/components")
	p.expect("up/components/a.yaml", "up/components/b.yaml")
}

// TestSameContentInATree is silent from the second save on: the content is not
// known before the first.
func TestSameContentInATree(t *testing.T) {
	p := watching(t, Options{Targets: Targets{Trees: []Tree{{Dir: "src"}}}}, func(p *place) { p.write("src/a.go", "one") })
	p.write("src/a.go", "two")
	p.expect("src/a.go")
	p.write("src/a.go", "two")
	p.settled()
}

func TestGitignore(t *testing.T) {
	p := watching(t, Options{Targets: Targets{Trees: []Tree{{Dir: "repo/app", Gitignore: true}}}}, func(p *place) {
		p.write("repo/.git/HEAD", "")
		p.write("repo/.gitignore", "*.log\n/app/dist/\n")
		p.write("repo/app/.gitignore", "# build\nout\n!keep.log\n")
		p.write("repo/app/a.go", "")
	})
	p.write("repo/app/x.log", "x")
	p.write("repo/app/dist/x.js", "x")
	p.write("repo/app/out/x", "x")
	p.write("repo/app/sub/out", "x")
	p.write("repo/app/keep.log", "x")
	p.expect("repo/app/keep.log")
	p.write("repo/app/.gitignore", "")
	p.expect("repo/app/.gitignore", "repo/app/out/x", "repo/app/sub/out")
	p.write("repo/app/out/x", "y")
	p.expect("repo/app/out/x")
}

func TestGitignoreRules(t *testing.T) {
	for _, c := range []struct {
		lines, path string
		folder      bool
		want        bool
	}{
		{"*.o", "a.o", false, true},
		{"*.o", "x/y/a.o", false, true},
		{"/a.o", "x/a.o", false, false},
		{"x/a.o", "x/a.o", false, true},
		{"x/a.o", "y/x/a.o", false, false},
		{"**/x/a.o", "y/x/a.o", false, true},
		{"bin/", "bin", true, true},
		{"bin/", "bin", false, false},
		{"x/**", "x/y/z", false, true},
		{"*.o\n!a.o", "a.o", false, false},
		{"!a.o\n*.o", "a.o", false, true},
		{"# a", "# a", false, false},
		{`\#a`, "#a", false, true},
		{"a.o  ", "a.o", false, true},
		{"a{b,c}", "ab", false, false},
		{"a{b,c}", "a{b,c}", false, true},
	} {
		var r rules
		for line := range strings.SplitSeq(c.lines, "\n") {
			if one, ok := parseRule("/repo", line); ok {
				r = append(r, one)
			}
		}
		if got := r.ignore("/repo/"+c.path, c.folder); got != c.want {
			t.Errorf("%q on %s: %v", c.lines, c.path, got)
		}
	}
}

func TestBurstIsOneEvent(t *testing.T) {
	p := watching(t, Options{Quiet: 200 * time.Millisecond, AtMost: time.Minute, Targets: Targets{Trees: []Tree{{Dir: "src"}}}}, func(p *place) { p.write("src/a", "") })
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("src/%02d", i))
		p.write(names[i], "one")
		p.write(names[i], "two")
	}
	p.expect(names...)
	p.write("src/a", "end")
	p.expect("src/a")
}

// TestBusyFilesAreTold writes without a pause and expects an event nevertheless.
func TestBusyFilesAreTold(t *testing.T) {
	p := watching(t, Options{Quiet: time.Hour, AtMost: 50 * time.Millisecond, Targets: Targets{Files: []string{"f"}}}, func(p *place) { p.write("f", "") })
	p.write("f", "1")
	p.write("f", "2")
	p.expect("f")
}

// TestLooksByItself loses all notices.
func TestLooksByItself(t *testing.T) {
	p := watching(t, Options{}, nil)
	w, err := New(Options{
		Targets: Targets{Files: []string{p.path("f")}, Trees: []Tree{{Dir: p.path("src")}}},
		Look:    10 * time.Millisecond, LookTree: 10 * time.Millisecond,
		Changed: func(e Event) { p.events <- e },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.listen = deaf{}.listen
	p.w = w
	p.run()
	p.write("f", "1")
	p.expect("f")
	p.write("src/deep/x", "1")
	p.expect("src/deep/x")
	p.remove("f")
	p.expect("f")
}

// deaf is a system that gives no notices, and may refuse to promise any.
type deaf struct{ open, add error }

func (d deaf) listen() (notifier, <-chan fsnotify.Event, <-chan error, error) {
	return d, nil, nil, d.open
}

func (d deaf) Add(string) error    { return d.add }
func (d deaf) Remove(string) error { return nil }
func (d deaf) Close() error        { return nil }

func TestLimitIsToldOnceAndWatchingGoesOn(t *testing.T) {
	p := watching(t, Options{}, nil)
	p.write("src/a", "")
	w, err := New(Options{
		Targets: Targets{Trees: []Tree{{Dir: p.path("src")}}},
		Look:    10 * time.Millisecond,
		Changed: func(e Event) { p.events <- e },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.listen = deaf{add: syscall.ENOSPC}.listen
	p.w = w
	p.run()
	e := <-p.events
	if e.Err == nil || !strings.Contains(e.Err.Error(), "no notices about 1 of 1 folders") || !strings.Contains(e.Hint, "fs.inotify.max_user_watches") {
		t.Fatalf("the event is %+v", e)
	}
	p.write("src/a", "1")
	p.expect("src/a")
	p.write("src/b", "1")
	p.expect("src/b")
}

func TestNoNoticesAtAll(t *testing.T) {
	p := watching(t, Options{}, nil)
	w, err := New(Options{
		Targets: Targets{Trees: []Tree{{Dir: p.path("src")}}},
		Look:    10 * time.Millisecond,
		Changed: func(e Event) { p.events <- e },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.listen = deaf{open: syscall.EMFILE}.listen
	p.w = w
	p.run()
	e := <-p.events
	if !errors.Is(e.Err, syscall.EMFILE) || !strings.Contains(e.Hint, "fs.inotify.max_user_instances") {
		t.Fatalf("the event is %+v", e)
	}
	p.write("src/b", "1")
	p.expect("src/b")
}

func TestRetarget(t *testing.T) {
	p := watching(t, Options{Targets: Targets{Files: []string{"a"}}}, func(p *place) {
		p.write("a", "1")
		p.write("b", "1")
		p.write("src/c", "1")
	})
	p.write("b", "2") // not of interest yet
	p.write("a", "2") // must not be lost
	if err := p.w.Retarget(Targets{Files: []string{p.path("b")}, Trees: []Tree{{Dir: p.path("src")}}}); err != nil {
		t.Fatal(err)
	}
	p.expect("a")
	p.write("a", "3") // no longer of interest
	p.write("b", "3")
	p.expect("b")
	p.write("src/c", "2")
	p.expect("src/c")
}

func TestBadTargets(t *testing.T) {
	for want, targets := range map[string]Targets{
		"watching a: the path is not absolute":       {Files: []string{"a"}},
		"watching b: the path is not absolute":       {Trees: []Tree{{Dir: "b"}}},
		`watching /c: the glob "[a" has a mistake`:   {Trees: []Tree{{Dir: "/c", Match: []string{"[a"}}}},
		`watching /c: the glob "{a,b" has a mistake`: {Trees: []Tree{{Dir: "/c", Ignore: []string{"{a,b"}}}},
	} {
		if _, err := New(Options{Targets: targets}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
}

func BenchmarkLookAtATree(b *testing.B) {
	dir := b.TempDir()
	for i := range 100 {
		sub := filepath.Join(dir, fmt.Sprint("d", i))
		if err := os.Mkdir(sub, 0o700); err != nil {
			b.Fatal(err)
		}
		for j := range 20 {
			if err := os.WriteFile(filepath.Join(sub, fmt.Sprint(j, ".go")), nil, 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	w, err := New(Options{Targets: Targets{Trees: []Tree{{Dir: dir, Match: []string{"**/*.go"}, Gitignore: true}}}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w.lookAtAll()
	}
}
