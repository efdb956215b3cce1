package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mesh/supervisor/config"
)

// Bounds of the search for code: a project is drafted, not indexed.
const (
	maxDepth   = 4    // folders below the project
	maxFolders = 2000 // looked into
	maxSources = 300  // read in search of a port
)

// code looks for programs: packages of Node with scripts, and main packages of
// Go.
func (p *project) code() (*Result, error) {
	r := &Result{Draft: &Draft{}}
	folders, err := p.folders(p.dir)
	if err != nil {
		return nil, err
	}
	for _, dir := range folders {
		if exists(filepath.Join(dir, "go.mod")) {
			if err := p.goModule(r, dir); err != nil {
				return nil, err
			}
		}
		if exists(filepath.Join(dir, "package.json")) {
			err := p.node(r, dir, folders)
			if mistakes, ok := errors.AsType[config.Errors](err); ok { // somewhere in the project, perhaps on purpose
				for _, m := range mistakes {
					r.Notes = append(r.Notes, Note{File: m.Place.File, Line: m.Place.Line, Text: m.Msg})
				}
			} else if err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// own lists the folders of what a file such as go.mod is the root of: not those
// below another such file.
func (p *project) own(dir, root string) ([]string, error) {
	all, err := p.folders(dir)
	if err != nil {
		return nil, err
	}
	var own []string
	for _, folder := range all {
		if folder == dir || slices.Contains(own, filepath.Dir(folder)) && !exists(filepath.Join(folder, root)) {
			own = append(own, folder)
		}
	}
	return own, nil
}

// folders lists the folders of a tree in which a project has its own code, the
// root first.
func (p *project) folders(root string) ([]string, error) {
	var list []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil && path == root:
			return err
		case err != nil:
			return fs.SkipDir // what cannot be read is not looked at
		case !e.IsDir():
			return nil
		case path != root && foreign(e.Name()):
			return fs.SkipDir
		case len(list) >= maxFolders:
			return fs.SkipAll
		}
		list = append(list, path)
		if rel, _ := filepath.Rel(root, path); strings.Count(rel, string(filepath.Separator)) >= maxDepth-1 {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking at the project: %w", err)
	}
	return list, nil
}

// foreign says whether a folder of that name holds no code of the project, or
// none that it is run by.
func foreign(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
		slices.Contains([]string{"node_modules", "vendor", "testdata", "dist", "build", "examples", "target", "tmp"}, name)
}

// listens is what sources say about the port of their program.
type listens struct {
	variable string // the variable with the port, "" when there is none
	port     int    // the port itself, 0 when there is none, or more than one
	file     string // that says so
}

// Patterns that say where a program listens.
func portPatterns() (variable, port *regexp.Regexp) {
	return regexp.MustCompile(`(?:[eE]nv(?:iron)?(?:\.get)?(?:\(|\[|\.)|Getenv\(|LookupEnv\()["']?(APP_PORT|PORT)\b`),
		regexp.MustCompile(`(?:\.listen\(|Listen(?:AndServe)?(?:TLS)?\((?:"tcp", *)?"[a-z0-9.]*:|Addr: *"[a-z0-9.]*:)([1-9][0-9]{1,4})\b`)
}

// port looks for the port of a program in its sources.
func (p *project) port(folders []string, extensions ...string) listens {
	variable, number := portPatterns()
	var found listens
	numbers := map[int]bool{}
	left := maxSources
	for _, dir := range folders {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // not there, so it says nothing
		}
		for _, e := range entries {
			name := e.Name()
			if !slices.Contains(extensions, filepath.Ext(name)) || strings.HasSuffix(name, "_test.go") || left == 0 {
				continue
			}
			left--
			text, err := readSmall(filepath.Join(dir, name))
			if err != nil {
				continue
			}
			if m := variable.FindSubmatch(text); m != nil && found.variable != "APP_PORT" {
				if v := string(m[1]); v == "APP_PORT" || found.variable == "" {
					found.variable, found.file = v, name
				}
			}
			for _, m := range number.FindAllSubmatch(text, -1) {
				if n, err := strconv.Atoi(string(m[1])); err == nil && n < 1<<16 {
					numbers[n] = true
					found.port = n
					if found.variable == "" {
						found.file = name
					}
				}
			}
		}
	}
	if len(numbers) != 1 {
		found.port = 0
	}
	return found
}

// listen gives an app its command and what is known of its port.
func (l listens) listen(a *App, command string) {
	switch {
	case l.variable == "APP_PORT":
		a.add("command", command, "")
		a.add("port", "auto", "picked; "+l.file+" finds it in APP_PORT")
	case l.variable == "PORT":
		a.add("command", `PORT="$APP_PORT" `+command, "")
		a.add("port", "auto", "picked; "+l.file+" finds it in PORT")
	case l.port > 0:
		a.add("command", command, "")
		a.add("port", l.port, "as "+l.file+" has it")
	default:
		a.add("command", command, "")
		a.propose("port", "auto", "when it listens: picked, and handed over in APP_PORT")
	}
}

// list says what apps were found: "2 processes (web, worker)".
func list(one, many string, apps []App) string {
	ids := make([]string, len(apps))
	for i := range apps {
		ids[i] = apps[i].ID
	}
	switch len(ids) {
	case 0:
		return "no " + one
	case 1:
		return "1 " + one + " (" + ids[0] + ")"
	}
	return fmt.Sprintf("%d %s (%s)", len(ids), many, strings.Join(ids, ", "))
}
