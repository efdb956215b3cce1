package proc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Run files are named run-<run>.json.
const recordPrefix, recordSuffix = "run-", ".json"

// record is the content of a run file.
type record struct {
	Run   string  `json:"run"`
	Boot  string  `json:"boot"` // start times mean something only until the next one
	PID   int     `json:"pid"`  // of the process that started the children
	Start uint64  `json:"start"`
	Trees []*tree `json:"children"`
}

// openRecord makes the folder and the file.
func (g *Guardian) openRecord(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	g.file = filepath.Join(dir, recordPrefix+g.run+recordSuffix)
	g.writeRecord()
	return g.fault
}

// writeRecord replaces the file. It is called after every start and end of a
// child with g.mu held.
func (g *Guardian) writeRecord() {
	if g.file == "" {
		return
	}
	r := record{Run: g.run, Boot: boot(), PID: g.self.pid, Start: g.self.start}
	for _, t := range g.trees {
		r.Trees = append(r.Trees, t)
	}
	slices.SortFunc(r.Trees, func(a, b *tree) int { return cmp.Compare(a.Name, b.Name) })
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		if err = os.WriteFile(g.file+".new", text, 0o600); err == nil {
			err = os.Rename(g.file+".new", g.file)
		}
	}
	g.fault = nil
	if err != nil {
		g.fault = fmt.Errorf("writing the run file: %w", err)
	}
}

// closeRecord removes the file, unless children are still there.
func (g *Guardian) closeRecord() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file != "" && len(g.trees) == 0 {
		_ = os.Remove(g.file)
	}
}

// Leftover is a process that an earlier run has left behind.
type Leftover struct {
	PID     int       `json:"pid"`
	Name    string    `json:"name"`    // the instance it belongs to, "" when that is not known
	Command string    `json:"command"` // as the system shows it
	Since   time.Time `json:"since"`

	id ident
}

// String names it: "orders: pid 4711 (node server.js), since 14:03:21".
func (l Leftover) String() string {
	name := l.Name
	if name == "" {
		name = "an app"
	}
	at := l.Since.Format(time.TimeOnly)
	if time.Since(l.Since) > 12*time.Hour {
		at = l.Since.Format(time.DateTime)
	}
	return fmt.Sprintf("%s: pid %d (%s), since %s", name, l.PID, l.Command, at)
}

// Leftovers reads the run files in dir and finds what is still alive of runs
// whose own process is gone. Files that are no longer of use are removed. A
// folder that does not exist has no leftovers.
func Leftovers(dir string) ([]Leftover, error) {
	files, err := filepath.Glob(filepath.Join(escape(dir), recordPrefix+"*"+recordSuffix))
	if err != nil {
		return nil, fmt.Errorf("looking for run files: %w", err)
	}
	var all []Leftover
	var errs []error
	for _, file := range files {
		left, err := leftoversOf(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading what an earlier run has left: %w", err))
		}
		all = append(all, left...)
	}
	return all, errors.Join(errs...)
}

// escape makes a path stand for itself in a pattern.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func leftoversOf(file string) ([]Leftover, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // its run has just ended
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil || r.Run == "" {
		// Files are replaced as a whole, so this was a broken disk or a hand.
		return nil, os.Remove(file)
	}
	if r.Boot == boot() {
		if (ident{r.PID, r.Start}).alive() {
			return nil, nil
		}
		if left := r.left(); len(left) > 0 {
			return left, nil
		}
	}
	_ = os.Remove(file + ".new") // when it was killed while writing
	return nil, os.Remove(file)
}

// left finds the living members of the run.
func (r *record) left() []Leftover {
	t := scan()
	roots := []root{{leader: ident{pid: -1, start: r.Start}}}
	for _, tree := range r.Trees {
		roots = append(roots, root{leader: ident{tree.PID, tree.Start}})
	}
	var left []Leftover
	for _, p := range t.family(roots, marked(r.Run+"/")) {
		left = append(left, Leftover{PID: p.pid, Name: r.owner(p), Command: commandOf(p.pid), Since: p.since(), id: p.ident})
	}
	slices.SortFunc(left, func(a, b Leftover) int { return cmp.Compare(a.PID, b.PID) })
	return left
}

func (r *record) owner(p process) string {
	for _, tree := range r.Trees {
		if p.session == tree.PID || marked(tree.Mark)(p) {
			return tree.Name
		}
	}
	return ""
}

// EndLeftovers asks the processes to stop, kills them when the grace is over
// or ctx ends, and returns when they and what they have started meanwhile are
// gone. The error names those that cannot be ended.
func EndLeftovers(ctx context.Context, left []Leftover, grace time.Duration) error {
	eldest := root{leader: ident{pid: -1, start: ^uint64(0)}}
	for _, l := range left {
		eldest.known = append(eldest.known, l.id)
		eldest.leader.start = min(eldest.leader.start, l.id.start)
	}
	find := func() []process {
		found := scan().family([]root{eldest}, func(process) bool { return false })
		for _, p := range found {
			if !slices.Contains(eldest.known, p.ident) {
				eldest.known = append(eldest.known, p.ident)
			}
		}
		return found
	}
	if _, _, stuck := bringDown(find, syscall.SIGTERM, grace, ctx.Done()); len(stuck) > 0 {
		return fmt.Errorf("ending what an earlier run has left: process %s is another user's, or stuck in the kernel", join(stuck))
	}
	return nil
}
