package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mesh/supervisor/config"
)

// InitOptions say what Init looks at.
type InitOptions struct {
	Dir  string // the project, absolute
	File string // the mesh.toml that the draft is for, absolute
	From string // the one file to read, absolute; "": whatever is found
	Home string // what ~ stands for
}

// source is a kind of file that says how a project is run.
type source struct {
	names []string // of the files, the preferred one first
	read  func(p *project, file string) (*Result, error)
}

// sources are those that describe whole projects, the most telling first.
func sources() []source {
	return []source{
		{[]string{"dapr.yaml", "dapr.yml"}, (*project).dapr},
		{[]string{"Procfile", "Procfile.dev"}, (*project).procfile},
		{[]string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}, (*project).compose},
	}
}

// project is the folder that Init looks at.
type project struct {
	dir, home string
	toml      string // the file that the draft is for; its paths start at its folder
}

// shown gives a file the name it has in the project.
func (p *project) shown(file string) string { return below(p.dir, file) }

// path gives a path as the draft writes it.
func (p *project) path(of string) string { return plain(below(filepath.Dir(p.toml), of)) }

// Init drafts a mesh.toml for a project. The draft passes `mesh check` as it
// is. When nothing is found it has one app that says hello.
func Init(o InitOptions) (*Result, error) {
	p := &project{dir: o.Dir, home: o.Home, toml: o.File}
	r, err := p.draft(o.From)
	if err != nil {
		return nil, err
	}
	r.settlePorts()
	r.Draft.Head = append([]string{
		"`mesh up` runs this mesh; saving this file changes it while it runs.",
	}, r.Draft.Head...)
	r.Draft.Tail = more()
	if err := r.check(p.toml, func(string) (config.Error, bool) { return config.Error{}, false }); err != nil {
		return nil, fmt.Errorf("what was found makes no good mesh.toml: %w", err)
	}
	return r, nil
}

func (p *project) draft(from string) (*Result, error) {
	if from != "" {
		r, err := p.from(from)
		if err == nil && len(r.Draft.Apps) == 0 {
			why := slices.Clone(r.Found)
			for _, n := range r.Notes {
				why = append(why, n.String())
			}
			return nil, fmt.Errorf("there is nothing to run in it: %s", strings.Join(why, "\n"))
		}
		return r, err
	}
	var others []string
	var r *Result
	for _, s := range sources() {
		for _, name := range s.names {
			file := filepath.Join(p.dir, name)
			if info, err := os.Stat(file); err != nil || info.IsDir() {
				continue
			}
			if r != nil && len(r.Draft.Apps) > 0 {
				others = append(others, name)
				break
			}
			found, err := s.read(p, file)
			if err != nil {
				return nil, err
			}
			if r != nil {
				found.Notes = append(r.Notes, found.Notes...)
			}
			r = found
			break
		}
	}
	if r == nil || len(r.Draft.Apps) == 0 {
		code, err := p.code()
		if err != nil {
			return nil, err
		}
		if r != nil {
			code.Found, code.Notes = append(r.Found, code.Found...), append(r.Notes, code.Notes...)
		}
		r = code
	}
	for _, name := range others {
		r.Next = append(r.Next, fmt.Sprintf("%s was not read: `mesh init --from %s` reads it instead", name, name))
	}
	if len(r.Draft.Apps) == 0 {
		hello(r)
	}
	return r, nil
}

// from reads one file, whose name says what it is.
func (p *project) from(file string) (*Result, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("reading what the project has: %w", err)
	}
	base := filepath.Base(file)
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a folder; name a file in it", file)
	}
	dir := filepath.Dir(file)
	switch {
	case base == "package.json":
		r := &Result{Draft: &Draft{}}
		return r, p.node(r, dir, nil)
	case base == "go.mod":
		r := &Result{Draft: &Draft{}}
		return r, p.goModule(r, dir)
	case strings.HasPrefix(base, "Procfile"):
		return p.procfile(file)
	case strings.Contains(base, "compose") && slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(base)):
		return p.compose(file)
	case strings.Contains(base, "dapr") && slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(base)):
		return p.dapr(file)
	}
	return nil, fmt.Errorf("%s is of no kind that can be read: it must be a dapr.yaml, a Procfile, a compose file, a package.json or a go.mod", base)
}

func (p *project) dapr(file string) (*Result, error) {
	return Dapr(Options{File: file, Name: p.shown(file), Out: p.toml, Home: p.home})
}

// hello makes the mesh of a folder in which nothing was found.
func hello(r *Result) {
	r.Draft.Apps = []App{{
		ID:      "hello",
		Comment: []string{"An app is whatever runs in a terminal. Put the command of yours here."},
		Entries: []Entry{
			{Key: "command", Value: `while true; do echo hello; sleep 2; done`},
			{Key: "port", Value: "auto", Comment: "when it listens: picked, and handed over in APP_PORT", Off: true},
		},
	}}
	r.Next = append(r.Next, "write your own command into [apps.hello]")
}

// settlePorts leaves a fixed port to the first app that has it.
func (r *Result) settlePorts() {
	taken := map[int]string{}
	for i := range r.Draft.Apps {
		a := &r.Draft.Apps[i]
		e := a.find("port")
		if e == nil {
			continue
		}
		port, fixed := e.Value.(int)
		first, twice := taken[port]
		switch {
		case !fixed:
		case !twice:
			taken[port] = a.ID
		default:
			for _, key := range []string{"port", "protocol", "health"} {
				if e := a.find(key); e != nil {
					e.Off = true
				}
			}
			e.Comment = "taken by " + first
			r.Next = append(r.Next, fmt.Sprintf("%s and %s both listen on port %d: give one of them another", first, a.ID, port))
		}
	}
}

// more is what a new file says about keys that it does not use.
func more() []string {
	return []string{
		"More that an app can have:",
		`  port       = "auto"                # where it listens: picked, and handed over in APP_PORT`,
		`  ready      = { http = "/healthz" } # instead of: its port accepts a connection`,
		`  instances  = 2                     # calls are spread over them`,
		`  depends_on = { other = "ready" }   # or "started", or "completed"`,
		`  watch      = ["src/**"]            # saving such a file restarts it; calls wait meanwhile`,
		`  build      = "make"                # before that; when it fails, the running app stays`,
		`  env        = { LEVEL = "debug" }`,
		"",
		"A state store named statestore and a broker named pubsub are there as long as",
		"no others are declared, here or in a folder with Dapr YAML named components:",
		"  [components.statestore]",
		`  type     = "state.redis"`,
		`  metadata = { redisHost = "localhost:6379" }`,
	}
}

// readSmall reads a file that a person has written.
func readSmall(file string) ([]byte, error) {
	const most = 1 << 20
	info, err := os.Stat(file)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says what it is for
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, &fs.PathError{Op: "read", Path: file, Err: errors.New("no file of at most 1 MiB")}
	}
	text, err := os.ReadFile(file)
	if err == nil && bytes.IndexByte(text, 0) >= 0 {
		return nil, &fs.PathError{Op: "read", Path: file, Err: errors.New("it holds a NUL character, as no text does")}
	}
	return text, err
}

// unique gives an id that no app has yet.
func unique(apps []App, id string) string {
	taken := func(id string) bool {
		return slices.ContainsFunc(apps, func(a App) bool { return sameName(a.ID, id) })
	}
	if id == "" {
		id = "app"
	}
	try := id
	for n := 2; taken(try); n++ {
		try = fmt.Sprintf("%s-%d", id, n)
	}
	return try
}

// sameName says whether two ids could not stand in one mesh.
func sameName(a, b string) bool {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	return plain(a) == plain(b)
}
