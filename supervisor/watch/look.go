package watch

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// hashSize is the largest file whose content is remembered, to tell a save
	// that changes nothing. Of named files it is remembered from the start, of
	// those in trees from the first change on: nobody wants a whole source
	// tree to be read.
	hashSize = 1 << 20
	// deepest bounds a tree; deeper ones are loops made of mounts.
	deepest = 64
)

// stamp is what is remembered of a file.
type stamp struct {
	changed int64 // time of the last change in Unix nanoseconds
	size    int64
	sum     uint64
	summed  bool // sum is that of the content
}

// targets are compiled Targets.
type targets struct {
	files map[string]bool
	trees []Tree
}

// closeness says what a path has to do with the targets.
type closeness int

const (
	none   closeness = iota
	itself           // a file that is watched
	around           // a folder in which a target lies or would lie
	below            // in a tree, though not a file that is watched
)

func (t *targets) concern(path string) closeness {
	if t.files[path] {
		return itself
	}
	for f := range t.files {
		if within(f, path) {
			return around
		}
	}
	how := none
	for i := range t.trees {
		tree := &t.trees[i]
		if within(tree.Dir, path) {
			return around
		}
		if !within(path, tree.Dir) || tree.leavesOut(path) {
			continue
		}
		if filepath.Base(path) == gitignore {
			return around
		}
		how = below
		if tree.takes(path) {
			return itself
		}
	}
	return how
}

// within says whether path is dir or lies below it.
func within(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == filepath.Separator || strings.HasSuffix(dir, "/"))
}

func isFolder(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// survey is a look at everything.
type survey struct {
	files   map[string]stamp
	folders map[string]bool // that exist and about which notices are wanted
	faults  []error
}

// survey looks at all targets. It calls visit for a folder before it reads
// what is in it, so that notices begin before the look.
func (w *Watcher) survey(visit func(dir string)) survey {
	s := survey{files: map[string]stamp{}, folders: map[string]bool{}}
	enter := func(dir string) {
		if !s.folders[dir] {
			s.folders[dir] = true
			if visit != nil {
				visit(dir)
			}
		}
	}
	for f := range w.targets.files {
		enter(existing(filepath.Dir(f)))
		if st, ok := w.look(f, true, false); ok {
			s.files[f] = st
		}
	}
	for i := range w.targets.trees {
		tree := &w.targets.trees[i]
		dir := existing(tree.Dir)
		enter(dir)
		if dir != tree.Dir {
			continue
		}
		walk := walk{w: w, tree: tree, s: &s, enter: enter}
		if tree.Gitignore {
			walk.rules = rulesAbove(tree.Dir)
		}
		walk.folder(tree.Dir, 0)
	}
	return s
}

// existing gives the path itself or the nearest folder above it that exists.
func existing(dir string) string {
	for !isFolder(dir) && dir != filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir // by a symbolic link
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// walk goes through one tree.
type walk struct {
	w     *Watcher
	tree  *Tree
	s     *survey
	enter func(dir string)
	rules rules
}

func (k *walk) folder(dir string, depth int) {
	k.enter(dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			k.s.faults = append(k.s.faults, fmt.Errorf("watching files: %w", err))
		}
		return
	}
	before := len(k.rules)
	if k.tree.Gitignore {
		k.rules = append(k.rules, readRules(dir)...)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if k.tree.leavesOut(path) || k.rules.ignore(path, e.IsDir()) {
			continue
		}
		if e.IsDir() {
			if depth < deepest {
				k.folder(path, depth+1)
			}
			continue
		}
		if !k.tree.takes(path) {
			continue
		}
		if st, ok := k.w.look(path, false, false); ok {
			k.s.files[path] = st
		}
	}
	k.rules = k.rules[:before]
}

// look reads what there is to remember of a file; its content when summed is
// set, or the file may have changed.
func (w *Watcher) look(path string, summed, noticed bool) (stamp, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return stamp{}, false
	}
	st := stamp{changed: info.ModTime().UnixNano(), size: info.Size()}
	old, known := w.known[path]
	same := known && old.changed == st.changed && old.size == st.size
	switch {
	case same && !noticed:
		return old, true // its sum, too
	case known || w.primed:
		summed = true
	}
	if summed && st.size <= hashSize {
		if text, err := os.ReadFile(path); err == nil {
			st.sum, st.summed = maphash.Bytes(w.seed, text), true
		}
	}
	return st, true
}

// differs says whether a file has changed between two stamps. A file of which
// no content is remembered has, when there was a notice of it.
func (old stamp) differs(now stamp, noticed bool) bool {
	if old.summed && now.summed {
		return old.sum != now.sum
	}
	return noticed || old.changed != now.changed || old.size != now.size
}

// lookAtAll compares everything with what is known, and renews the notices.
func (w *Watcher) lookAtAll() {
	begun := time.Now()
	s := w.survey(w.listenTo)
	w.took = time.Since(begun)
	w.settle(s)
	var changed []string
	for f, now := range s.files {
		if old, known := w.known[f]; !known || old.differs(now, false) {
			changed = append(changed, f)
		}
	}
	for f := range w.known {
		if _, still := s.files[f]; !still && gone(f) {
			changed = append(changed, f)
		}
	}
	for f := range w.dirty {
		// A file whose size and time are as before, but of which there was a
		// notice.
		if _, there := s.files[f]; there && w.dirty[f] && !slices.Contains(changed, f) {
			old := w.known[f]
			if now, there := w.look(f, false, true); there && old.differs(now, true) {
				s.files[f] = now
				changed = append(changed, f)
			}
		}
	}
	w.known = s.files
	w.dirty, w.all = map[string]bool{}, false
	w.tell(changed)
}

// gone tells a file that was deleted from one that is now left out.
func gone(path string) bool {
	info, err := os.Stat(path)
	return err != nil || !info.Mode().IsRegular()
}

// settle ends notices about folders that are no longer of interest and reports
// what went wrong.
func (w *Watcher) settle(s survey) {
	for dir := range w.folders {
		if !s.folders[dir] {
			_ = w.system.Remove(dir) // it may have ended by itself
			delete(w.folders, dir)
		}
	}
	faults := append(s.faults, w.refused...)
	w.refused = nil
	still := map[string]bool{}
	for _, err := range faults {
		still[err.Error()] = true
		w.report(err.Error(), Event{Err: err})
	}
	if w.system != nil {
		w.blind = len(s.folders) > len(w.folders)
	}
	if w.system != nil && w.blind && len(faults) == 0 {
		still[limit] = true
		w.report(limit, Event{
			Err: fmt.Errorf("watching files: the system gives no notices about %d of %d folders, its limit is reached; changes there are seen later",
				len(s.folders)-len(w.folders), len(s.folders)),
			Hint: "raise the limit: sudo sysctl fs.inotify.max_user_watches=1048576, or watch less with ignore",
		})
	}
	w.faults = still
}

// limit is how that fault is remembered, whatever its figures.
const limit = "limit"

// listenTo asks for notices about a folder, again for one that has them: it
// may have been replaced, and asking twice does no harm.
func (w *Watcher) listenTo(dir string) {
	if w.system == nil {
		return
	}
	err := w.system.Add(dir)
	switch {
	case err == nil:
		w.folders[dir] = true
	case errors.Is(err, syscall.ENOSPC):
		delete(w.folders, dir)
	case errors.Is(err, fs.ErrNotExist):
		delete(w.folders, dir)
		w.all = true // it has just gone
	default:
		delete(w.folders, dir)
		w.refused = append(w.refused, fmt.Errorf("watching files: %w", err))
	}
}

// lookAtDirty compares the files of which there was a notice, and those that
// it was time for (whose value is false).
func (w *Watcher) lookAtDirty() {
	var changed []string
	for f, noticed := range w.dirty {
		old, known := w.known[f]
		now, there := w.look(f, w.targets.files[f], noticed)
		switch {
		case !known && !there:
			continue
		case !there:
			delete(w.known, f)
		case known && !old.differs(now, noticed):
			w.known[f] = now
			continue
		case !known && !w.targets.files[f] && w.hidden(f):
			continue
		default:
			w.known[f] = now
		}
		changed = append(changed, f)
	}
	w.dirty = map[string]bool{}
	w.tell(changed)
}

// hidden says whether a new file is left out by .gitignore in every tree that
// takes it.
func (w *Watcher) hidden(path string) bool {
	for i := range w.targets.trees {
		tree := &w.targets.trees[i]
		if within(path, tree.Dir) && tree.takes(path) && !tree.leavesOut(path) {
			if !tree.Gitignore || !rulesFor(tree.Dir, path).hide(tree.Dir, path) {
				return false
			}
		}
	}
	return true
}

func (w *Watcher) tell(changed []string) {
	if len(changed) > 0 {
		slices.Sort(changed)
		w.o.Changed(Event{Files: changed})
	}
}
