package watch

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// TestLooksByItself loses all notices.
func TestLooksByItself(t *testing.T) {
	p := watching(t, Options{}, nil)
	p.hears(deaf{}, Options{
		Targets: Targets{Files: []string{p.path("f")}, Trees: []Tree{{Dir: p.path("src")}}}, LookTree: 10 * time.Millisecond,
	})
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

// hears puts a watcher with such notices, which looks all the time, in the place
// of the one that there is.
func (p *place) hears(notices deaf, o Options) {
	p.t.Helper()
	o.Look = 10 * time.Millisecond
	o.Changed = func(e Event) { p.events <- e }
	w, err := New(o)
	if err != nil {
		p.t.Fatal(err)
	}
	w.listen = notices.listen
	p.w = w
	p.run()
}

func TestLimitIsToldOnceAndWatchingGoesOn(t *testing.T) {
	p := watching(t, Options{}, nil)
	p.write("src/a", "")
	p.hears(deaf{add: syscall.ENOSPC}, Options{Targets: Targets{Trees: []Tree{{Dir: p.path("src")}}}})
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
	p.hears(deaf{open: syscall.EMFILE}, Options{Targets: Targets{Trees: []Tree{{Dir: p.path("src")}}}})
	e := <-p.events
	if !errors.Is(e.Err, syscall.EMFILE) || !strings.Contains(e.Hint, "fs.inotify.max_user_instances") {
		t.Fatalf("the event is %+v", e)
	}
	p.write("src/b", "1")
	p.expect("src/b")
}
