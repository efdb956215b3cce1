// Package watch tells that files have changed.
//
// A Watcher has two kinds of targets: single files by name, and trees, that is
// folders with everything below them that matches globs. It listens to the
// system's notices about the folders, not the files, because editors put a new
// file in the place of the old one, and because files and whole folders may be
// missing now and appear later. A notice only says where to look: what counts
// as a change is decided by comparing the files with what was seen before, so
// that reading, chmod, temporary files of editors and saves that change
// nothing stay silent. It also looks by itself from time to time, so that a
// notice that was lost delays an event but never loses it. Nothing ends a
// Watcher but its context: errors are events.
package watch

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/fsnotify/fsnotify"
)

const (
	defaultQuiet    = 100 * time.Millisecond
	defaultAtMost   = time.Second
	defaultLook     = 2 * time.Second
	defaultLookTree = 15 * time.Second
	// lookShare bounds the time that looking at trees may take: one part in so
	// many.
	lookShare = 250
)

// Tree is a folder that is watched with everything below it, apart from .git,
// .mesh, node_modules and the temporary files of editors.
type Tree struct {
	Dir       string   // absolute; it need not exist
	Match     []string // globs relative to Dir, with ** for any depth; none: every file
	Ignore    []string // globs of files and folders to leave out; one without a slash matches at any depth
	Gitignore bool     // leave out what .gitignore files leave out
}

// Targets says what is watched.
type Targets struct {
	Files []string // absolute; neither they nor their folders need exist
	Trees []Tree
}

// Options says what is watched, and how. Zero durations mean the defaults.
type Options struct {
	Targets
	Changed  func(Event)   // called by Run's goroutine, once for a burst
	Quiet    time.Duration // without another change before the event; 100 ms
	AtMost   time.Duration // from the first change to the event, however busy it stays; 1 s
	Look     time.Duration // between two looks at Files without a notice; 2 s
	LookTree time.Duration // the same for Trees, longer when they are large; 15 s
}

// Event says what has changed, or what keeps the Watcher from seeing changes
// at once. It goes on in either case.
type Event struct {
	Files []string // new, changed and deleted ones; absolute, sorted
	Err   error    // what went wrong, or nil
	Hint  string   // what to do about Err
}

// Watcher watches files.
type Watcher struct {
	o Options

	mu   sync.Mutex
	next *targets      // set by Retarget until Run takes it
	wake chan struct{} // of size 1

	// What follows belongs to Run.
	targets *targets
	known   map[string]stamp // every file of the targets that exists
	primed  bool             // a file that is not known is new, not just a target since now
	seed    maphash.Seed
	listen  func() (notifier, <-chan fsnotify.Event, <-chan error, error)
	system  notifier        // nil: the system gives no notices
	folders map[string]bool // about which the system gives notices
	blind   bool            // for some folders it does not
	faults  map[string]bool // what has been reported and still holds
	refused []error         // what went wrong since the last report
	dirty   map[string]bool // files to be looked at; true after a notice
	all     bool            // look at everything
	took    time.Duration   // the last look at everything
}

// notifier is the part of fsnotify.Watcher that is used for folders.
type notifier interface {
	Add(dir string) error
	Remove(dir string) error
	Close() error
}

// New makes a watcher and remembers the files as they are now. The error says
// which glob is wrong, or which path is not absolute.
func New(o Options) (*Watcher, error) {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.Quiet, defaultQuiet)
	set(&o.AtMost, defaultAtMost)
	set(&o.Look, defaultLook)
	set(&o.LookTree, defaultLookTree)
	t, err := compile(o.Targets)
	if err != nil {
		return nil, err
	}
	w := &Watcher{
		o: o, targets: t, seed: maphash.MakeSeed(), listen: listen,
		wake:    make(chan struct{}, 1),
		folders: map[string]bool{}, faults: map[string]bool{}, dirty: map[string]bool{},
	}
	w.known = w.survey(nil).files
	w.primed = true
	return w, nil
}

// Retarget changes what is watched. It may be called at any time and returns
// at once. Changes that are under way are still told; files of the new targets
// are taken as they are.
func (w *Watcher) Retarget(t Targets) error {
	next, err := compile(t)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.next = next
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

// compile checks targets and puts their paths into one form.
func compile(t Targets) (*targets, error) {
	c := &targets{files: map[string]bool{}}
	for _, f := range t.Files {
		if !filepath.IsAbs(f) {
			return nil, fmt.Errorf("watching %s: the path is not absolute", f)
		}
		c.files[filepath.Clean(f)] = true
	}
	for _, tree := range t.Trees {
		if !filepath.IsAbs(tree.Dir) {
			return nil, fmt.Errorf("watching %s: the path is not absolute", tree.Dir)
		}
		for _, glob := range slices.Concat(tree.Match, tree.Ignore) {
			if !doublestar.ValidatePattern(glob) {
				return nil, fmt.Errorf("watching %s: the glob %q has a mistake (a missing ] or } ?)", tree.Dir, glob)
			}
		}
		tree.Dir = filepath.Clean(tree.Dir)
		c.trees = append(c.trees, tree)
	}
	return c, nil
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	notices, faults, hangUp := w.open()
	defer hangUp()
	w.settle(w.survey(w.listenTo))

	quiet, most := stopped(), stopped()
	look, lookTree := time.NewTimer(w.o.Look), time.NewTimer(w.pause())
	defer func() {
		for _, t := range []*time.Timer{quiet, most, look, lookTree} {
			t.Stop()
		}
	}()
	// There are notices from now on. What has changed since New is found by a
	// first look, which waits for the end of a burst as any other.
	w.all = true
	waiting := true
	quiet.Reset(w.o.Quiet)
	most.Reset(w.o.AtMost)
	for {
		select {
		case <-ctx.Done():
			return nil
		case n, ok := <-notices:
			if !ok {
				notices = nil
				continue
			}
			if !w.note(n) {
				continue
			}
			quiet.Reset(w.o.Quiet)
			if !waiting {
				waiting = true
				most.Reset(w.o.AtMost)
			}
			continue
		case err, ok := <-faults:
			if !ok {
				faults = nil
				continue
			}
			// Mostly that notices were lost, which a look makes good.
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				w.refused = append(w.refused, fmt.Errorf("watching files: %w", err))
			}
			w.all = true
		case <-quiet.C:
		case <-most.C:
		case <-look.C:
			look.Reset(w.o.Look)
			if waiting {
				continue // it will be looked at in a moment
			}
			for f := range w.targets.files {
				w.dirty[f] = w.dirty[f] || false
			}
		case <-lookTree.C:
			w.all = true
		case <-w.wake:
			w.retarget()
		}
		quiet.Stop()
		most.Stop()
		waiting = false
		if w.all {
			w.lookAtAll()
			lookTree.Reset(w.pause())
			continue
		}
		w.lookAtDirty()
	}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// open asks the system for notices. Without them there are still the looks.
func (w *Watcher) open() (<-chan fsnotify.Event, <-chan error, func()) {
	system, notices, faults, err := w.listen()
	if err != nil {
		w.blind = true
		hint := ""
		if errors.Is(err, syscall.EMFILE) {
			hint = "raise the limit: sudo sysctl fs.inotify.max_user_instances=1024"
		}
		err = fmt.Errorf("watching files: the system gives no notices, so they are looked at from time to time: %w", err)
		w.report(err.Error(), Event{Err: err, Hint: hint})
		return nil, nil, func() {}
	}
	w.system = system
	return notices, faults, func() { system.Close() }
}

func listen() (notifier, <-chan fsnotify.Event, <-chan error, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, nil, nil, err
	}
	return fs, fs.Events, fs.Errors, nil
}

// pause gives the time to the next look at everything.
func (w *Watcher) pause() time.Duration {
	pause := w.o.LookTree
	if w.blind {
		pause = w.o.Look
	}
	return max(pause, lookShare*w.took)
}

// note takes a notice and reports whether it is of interest.
func (w *Watcher) note(n fsnotify.Event) bool {
	if n.Op == fsnotify.Chmod {
		return false
	}
	path := filepath.Clean(n.Name)
	gone := n.Op.Has(fsnotify.Remove) || n.Op.Has(fsnotify.Rename)
	if gone && w.folders[path] {
		// The system has ended its notices, or gives them under a name that is
		// no longer right.
		w.forget(path)
		w.all = true
		return true
	}
	switch w.targets.concern(path) {
	case itself:
		w.dirty[path] = true
		return true
	case around:
		w.all = true
		return true
	case below:
		if n.Op.Has(fsnotify.Create) && isFolder(path) {
			w.all = true
			return true
		}
	case none:
	}
	return false
}

// forget ends the notices about a folder and those below it.
func (w *Watcher) forget(dir string) {
	for f := range w.folders {
		if within(f, dir) {
			_ = w.system.Remove(f) // it may have ended by itself
			delete(w.folders, f)
		}
	}
}

// retarget takes over what Retarget has left.
func (w *Watcher) retarget() {
	w.mu.Lock()
	next := w.next
	w.next = nil
	w.mu.Unlock()
	if next == nil {
		return
	}
	w.lookAtAll() // with the old ones, so that no change of theirs is taken for granted
	w.targets = next
	w.primed = false
	s := w.survey(w.listenTo)
	w.primed = true
	w.known = s.files
	w.settle(s)
	w.dirty, w.all = map[string]bool{}, false
}

// report passes on what went wrong once, until it has gone away.
func (w *Watcher) report(fault string, e Event) {
	if !w.faults[fault] {
		w.faults[fault] = true
		w.o.Changed(e)
	}
}
