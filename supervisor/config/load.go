package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Options are what a file is read with.
type Options struct {
	Environ  []string                               // KEY=value, the environment of the process
	ReadFile func(name string) ([]byte, error)      // nil: os.ReadFile
	Stat     func(name string) (fs.FileInfo, error) // nil: os.Stat
}

// maxSize bounds the files read, in bytes: a larger one is not what it claims
// to be.
const maxSize = 1 << 20

// Load reads a mesh.toml. Mistakes in it, or in the env files it names, come
// as Errors; that it cannot be read comes as any other error.
//
// In every string ${NAME} stands for a variable and ${NAME:-text} for text
// when the variable is unset or empty; $${ is a plain ${. Variables come from
// the environment, then from the env_file of the app, then from that of the
// mesh: the environment wins. Lines for the shell (command as a string, build,
// ready.exec, live.exec) are left alone, since the shell expands them in the
// environment of the app, where the same variables stand.
func Load(file string, o Options) (*Mesh, error) {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	text, err := o.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the mesh: %w", err)
	}
	return Parse(file, text, o)
}

// Parse is Load with the text of the file at hand. The file itself need not
// exist; relative paths start at its folder.
func Parse(file string, text []byte, o Options) (*Mesh, error) {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	if o.Stat == nil {
		o.Stat = os.Stat
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", file, err)
	}
	d := &decoder{
		Options: o,
		file:    file,
		dir:     filepath.Dir(abs),
		index:   newIndex(strings.TrimPrefix(string(text), "\uFEFF")),
		tainted: map[string]bool{},
		environ: map[string]string{},
	}
	for _, pair := range o.Environ {
		if key, value, ok := strings.Cut(pair, "="); ok {
			d.environ[key] = value
		}
	}
	root, whole := d.parse()
	if !whole {
		return nil, d.errs.tidy()
	}
	m, ok := object(meshTable()).read(d, node{value: root})
	if !ok || len(d.errs) > 0 {
		return nil, d.errs.tidy()
	}
	m.File, m.Dir = abs, d.dir
	m.Places = make(map[string]Place, len(d.index.spots))
	for path, s := range d.index.spots {
		m.Places[path] = d.place(s.key)
	}
	m.Warnings = d.warnings.tidy()
	return &m, nil
}

// folderMissing says why a path is no folder, "" when it is one.
func (d *decoder) folderMissing(path string) string {
	info, err := d.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the folder " + d.shown(path) + " does not exist"
	case err != nil:
		return "the folder " + d.shown(path) + " cannot be opened: " + err.Error()
	case !info.IsDir():
		return d.shown(path) + " is not a folder"
	}
	return ""
}
