package watch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
