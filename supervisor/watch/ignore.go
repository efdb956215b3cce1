package watch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

const gitignore = ".gitignore"

// takes says whether a file of the tree matches its globs.
func (t *Tree) takes(path string) bool {
	if len(t.Match) == 0 {
		return true
	}
	rel, ok := t.relative(path)
	if !ok {
		return false
	}
	for _, glob := range t.Match {
		if matches(strings.TrimPrefix(glob, "./"), rel) {
			return true
		}
	}
	return false
}

// leavesOut says whether a path, or a folder above it in the tree, is never
// watched or matches a glob to be ignored.
func (t *Tree) leavesOut(path string) bool {
	rel, ok := t.relative(path)
	if !ok {
		return false
	}
	for end := 0; end < len(rel); end++ {
		next := strings.IndexByte(rel[end:], '/')
		if next < 0 {
			next = len(rel) - end
		}
		end += next
		if t.leavesOutOne(rel[:end]) {
			return true
		}
	}
	return false
}

func (t *Tree) leavesOutOne(rel string) bool {
	base := rel[strings.LastIndexByte(rel, '/')+1:]
	switch base {
	case ".git", ".mesh", ".hg", ".svn", ".jj", "node_modules", ".DS_Store":
		return true
	case "4913": // vim tries whether it may create a file
		return true
	}
	for _, glob := range temporary() {
		if matches(glob, base) {
			return true
		}
	}
	for _, glob := range t.Ignore {
		glob = strings.TrimSuffix(strings.TrimPrefix(glob, "./"), "/")
		if matches(glob, rel) || matches(strings.TrimSuffix(glob, "/**"), rel) {
			return true
		}
		if !strings.Contains(glob, "/") && matches(glob, base) {
			return true
		}
	}
	return false
}

// temporary gives the names of files that editors make for themselves.
func temporary() []string {
	return []string{
		"*~", ".*.sw[a-z]", // vim
		".#*", "#*#", // Emacs
		"*___jb_tmp___", "*___jb_old___", // JetBrains
		".goutputstream-*", // GNOME
		".*.kate-swp",      // KDE
		"*.tmp.[0-9]*",     // writers that rename when they are done
	}
}

func (t *Tree) relative(path string) (string, bool) {
	rel, err := filepath.Rel(t.Dir, path)
	return filepath.ToSlash(rel), err == nil && rel != "."
}

// matches takes a glob that has been checked before.
func matches(glob, name string) bool {
	ok, err := doublestar.Match(glob, name)
	return ok && err == nil
}

// rule is a line of a .gitignore file.
type rule struct {
	dir     string // where the file lies
	glob    string
	keep    bool // began with !
	folders bool // ended with /
	deep    bool // has no slash: matches at any depth
}

// rules are lines of .gitignore files from the top down; the last one that
// matches counts.
type rules []rule

func (r rules) ignore(path string, folder bool) bool {
	for i := len(r) - 1; i >= 0; i-- {
		if (folder || !r[i].folders) && r[i].matches(path) {
			return !r[i].keep
		}
	}
	return false
}

// hide says whether a file or a folder above it, below top, is ignored.
func (r rules) hide(top, path string) bool {
	for at := filepath.Dir(path); at != top && within(at, top); at = filepath.Dir(at) {
		if r.ignore(at, true) {
			return true
		}
	}
	return r.ignore(path, false)
}

func (r *rule) matches(path string) bool {
	if r.deep {
		return within(path, r.dir) && matches(r.glob, filepath.Base(path))
	}
	rel, err := filepath.Rel(r.dir, path)
	return err == nil && matches(r.glob, filepath.ToSlash(rel))
}

// readRules reads the .gitignore of a folder, if there is one.
func readRules(dir string) rules {
	text, err := os.ReadFile(filepath.Join(dir, gitignore))
	if err != nil {
		return nil
	}
	var found rules
	for line := range strings.Lines(string(text)) {
		if r, ok := parseRule(dir, strings.TrimRight(line, "\r\n")); ok {
			found = append(found, r)
		}
	}
	return found
}

func parseRule(dir, line string) (rule, bool) {
	if !strings.HasSuffix(line, `\ `) {
		line = strings.TrimRight(line, " ")
	}
	if line == "" || line[0] == '#' {
		return rule{}, false
	}
	r := rule{dir: dir}
	line, r.keep = strings.CutPrefix(line, "!")
	line, r.folders = strings.CutSuffix(line, "/")
	r.deep = !strings.Contains(line, "/")
	r.glob = strings.TrimPrefix(line, "/")
	// Braces mean alternatives to us and themselves to git.
	r.glob = strings.NewReplacer("{", `\{`, "}", `\}`).Replace(r.glob)
	return r, r.glob != "" && doublestar.ValidatePattern(r.glob)
}

// rulesAbove gives the rules of the folders from the top of the repository
// down to the one above dir; none when it is in no repository.
func rulesAbove(dir string) rules {
	var above []string
	for at := dir; ; at = filepath.Dir(at) {
		if at != dir {
			above = append(above, at)
		}
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			break
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
	var found rules
	for _, at := range slices.Backward(above) {
		found = append(found, readRules(at)...)
	}
	return found
}

// rulesFor gives the rules that hold for a file in a tree.
func rulesFor(top, path string) rules {
	found := append(rulesAbove(top), readRules(top)...)
	rel, err := filepath.Rel(top, filepath.Dir(path))
	if err != nil || rel == "." {
		return found
	}
	at := top
	for part := range strings.SplitSeq(filepath.ToSlash(rel), "/") {
		at = filepath.Join(at, part)
		found = append(found, readRules(at)...)
	}
	return found
}
