// Package export turns a mesh into the files of others: a dapr.yaml for one
// machine, manifests of Kubernetes with Dapr's annotations, a compose file with
// daprd beside each app.
//
// It is the way out for who outgrows mesh: the same apps, components,
// subscriptions and resiliency, in files that Dapr's own tools take. What has no
// counterpart there is named, each with its line in mesh.toml. Nothing is
// written here. The way in is package convert.
package export

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"mesh/convert"
	"mesh/runtime/resource"
	"mesh/supervisor/config"
)

// Header is the first line of every file that is exported. A file that has it
// may be written anew.
const Header = "# Made by `mesh export`: the next export writes it anew.\n"

// Options say what is exported, and how.
type Options struct {
	Mesh  *config.Mesh
	Out   string // the folder that the files are for, absolute
	Shown string // how Out is shown to the user; "": its last part
	Image string // name of the image of an app, with {app} for its id; "": {app}:latest
}

// File is one file to write, by its name below the folder.
type File struct {
	Name string
	Data []byte
}

// Result is what an export gives.
type Result struct {
	Files []File
	Notes []convert.Note // what has no counterpart
	Next  []string       // what is left to do
}

// exporter gathers a Result.
type exporter struct {
	Options

	r        Result
	declared resource.Resources // what the folders of the mesh hold
}

// start reads what all exports need.
func start(o Options) (*exporter, error) {
	if o.Image == "" {
		o.Image = "{app}:latest"
	}
	if o.Shown == "" {
		o.Shown = filepath.Base(o.Out)
	}
	x := &exporter{Options: o}
	var err error
	if x.declared, err = resource.Load(o.Mesh.Resources...); err != nil {
		return nil, fmt.Errorf("reading the resources of the mesh: %w", err)
	}
	text, err := os.ReadFile(o.Mesh.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the mesh: %w", err)
	}
	if bytes.Contains(text, []byte("${")) {
		x.next("the ${…} of mesh.toml are filled in: look for secrets before you share the files")
	}
	return x, nil
}

func (x *exporter) next(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(x.r.Next, s) {
		x.r.Next = append(x.r.Next, s)
	}
}

// note remarks something about a key of mesh.toml.
func (x *exporter) note(key, format string, args ...any) {
	n := convert.Note{File: filepath.Base(x.Mesh.File), Line: x.Mesh.Places[key].Line, Text: fmt.Sprintf(format, args...)}
	if !slices.Contains(x.r.Notes, n) {
		x.r.Notes = append(x.r.Notes, n)
	}
}

// file adds a file with one YAML document for each value.
func (x *exporter) file(name string, docs ...any) error {
	var b bytes.Buffer
	b.WriteString(Header)
	for i, doc := range docs {
		if i > 0 {
			b.WriteString("---\n")
		}
		e := yaml.NewEncoder(&b)
		e.SetIndent(2)
		if err := errors.Join(e.Encode(doc), e.Close()); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	x.r.Files = append(x.r.Files, File{name, b.Bytes()})
	return nil
}

// done gives the result in a stable order.
func (x *exporter) done() *Result {
	slices.SortStableFunc(x.r.Notes, func(a, b convert.Note) int { return a.Line - b.Line })
	slices.SortFunc(x.r.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return &x.r
}

// path gives a path as the exported files write it.
func (x *exporter) path(of string) string {
	rel, err := filepath.Rel(x.Out, of)
	if err != nil {
		return of
	}
	return filepath.ToSlash(rel)
}

// local is path for what would take a bare name for something else.
func (x *exporter) local(of string) string {
	rel := x.path(of)
	if !strings.HasPrefix(rel, ".") && !filepath.IsAbs(rel) {
		rel = "./" + rel
	}
	return rel
}

// key gives the path of a table that is named, as the places of a mesh have it.
func key(table, name string) string {
	if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		name = strconv.Quote(name)
	}
	return table + "." + name
}

// said says whether the file has a key.
func (x *exporter) said(key string) bool {
	_, ok := x.Mesh.Places[key]
	return ok
}

// lost names the keys of the file that an export has no use for. why has those
// of an app, by name.
func (x *exporter) lost(why map[string]string) {
	for i := range x.Mesh.Apps {
		id := x.Mesh.Apps[i].ID
		for key, reason := range why {
			if at := "apps." + id + "." + key; x.said(at) {
				x.note(at, "%s of %s has no counterpart: %s", key, id, reason)
			}
		}
	}
	for name := range x.Mesh.Faults {
		x.note(key("faults", name), "the fault %s has no counterpart", name)
	}
}

// private remarks components of kinds that each daprd would have for itself.
func (x *exporter) private(kinds ...string) {
	for i := range x.Mesh.Components {
		c := &x.Mesh.Components[i]
		if _, kind, _ := strings.Cut(c.Type, "."); slices.Contains(kinds, kind) {
			x.note(key("components", c.Name), "%s is %s, which each daprd has for itself: choose another type", c.Name, c.Type)
		}
	}
}

// folders gives the folders of resources that are there.
func (x *exporter) folders() (list []string) {
	for _, dir := range x.Mesh.Resources {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			list = append(list, dir)
		}
	}
	return list
}

// ordered gives the apps, each after those that it depends on.
func (x *exporter) ordered() []*config.App {
	var list []*config.App
	seen := map[string]bool{}
	var add func(a *config.App)
	add = func(a *config.App) {
		if a == nil || seen[a.ID] {
			return
		}
		seen[a.ID] = true
		for _, d := range a.DependsOn {
			add(x.Mesh.Find(d.App))
		}
		list = append(list, a)
	}
	for i := range x.Mesh.Apps {
		add(&x.Mesh.Apps[i])
	}
	return list
}

// ports gives each app that listens a port: that of the file, or one from 6001
// on that nobody has.
func (x *exporter) ports() map[string]int {
	taken := map[int]bool{}
	for i := range x.Mesh.Apps {
		a := &x.Mesh.Apps[i]
		taken[a.Port], taken[a.HTTPPort], taken[a.GRPCPort] = true, true, true
	}
	ports := map[string]int{}
	free := 6001
	for i := range x.Mesh.Apps {
		a := &x.Mesh.Apps[i]
		if ports[a.ID] = a.Port; a.AutoPort {
			for taken[free] {
				free++
			}
			ports[a.ID] = free
			free++
			x.note("apps."+a.ID+".port", "%s gets port %d instead of one that is picked; it still finds it in APP_PORT", a.ID, ports[a.ID])
		}
	}
	return ports
}

// quantity writes bytes as Dapr does: 4Mi.
func quantity(bytes int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10}} {
		if bytes >= unit.size && bytes%unit.size == 0 {
			return fmt.Sprintf("%d%s", bytes/unit.size, unit.name)
		}
	}
	return strconv.FormatInt(bytes, 10)
}

// image names the image of an app.
func (x *exporter) image(id string) string {
	return strings.ReplaceAll(x.Image, "{app}", strings.ToLower(id))
}

// seconds gives a time in whole seconds, at least one.
func seconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }
