package resource

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxFile is far more than any resource needs; a larger file is a mistake.
const maxFile = 4 << 20

// Load reads the .yaml and .yml files of some folders, not those below them.
// A folder that does not exist is empty. The error is of type Errors and has
// every mistake; what could be read is returned all the same.
func Load(dirs ...string) (Resources, error) {
	var all Resources
	var errs Errors
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, &Error{Place: Place{File: dir}, Msg: err.Error()})
			continue
		}
		for _, e := range entries {
			if isResource(e.Name()) {
				loadFile(filepath.Join(dir, e.Name()), &all, &errs)
			}
		}
	}
	return finish(all, errs)
}

// isResource leaves out what editors write beside a file.
func isResource(name string) bool {
	ext := filepath.Ext(name)
	return (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "#")
}

func loadFile(name string, all *Resources, errs *Errors) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return // renamed away since the folder was listed
	case err != nil:
		*errs = append(*errs, &Error{Place: Place{File: name}, Msg: err.Error()})
		return
	case info.IsDir():
		return
	case info.Size() > maxFile:
		*errs = append(*errs, &Error{Place: Place{File: name}, Msg: fmt.Sprintf("the file is larger than %d MiB", maxFile>>20)})
		return
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		*errs = append(*errs, &Error{Place: Place{File: name}, Msg: err.Error()})
		return
	}
	parse(name, string(text), all, errs)
}

// Parse reads the documents of one file; name is for the places.
func Parse(name, text string) (Resources, error) {
	var all Resources
	var errs Errors
	parse(name, text, &all, &errs)
	return finish(all, errs)
}

// finish makes the checks that span documents and sorts the mistakes.
func finish(all Resources, errs Errors) (Resources, error) {
	checkNames(&all, &errs)
	if len(errs) == 0 {
		return all, nil
	}
	slices.SortStableFunc(errs, func(a, b *Error) int {
		return cmp.Or(
			strings.Compare(a.Place.File, b.Place.File),
			cmp.Compare(a.Place.Line, b.Place.Line),
			cmp.Compare(a.Place.Column, b.Place.Column),
			strings.Compare(a.Msg, b.Msg),
		)
	})
	return all, errs
}

// parse reads each document by itself, so that a broken one does not hide
// those after it.
func parse(name, text string, all *Resources, errs *Errors) {
	text = strings.TrimPrefix(strings.ReplaceAll(text, "\r\n", "\n"), "\uFEFF")
	lines := strings.Split(text, "\n")
	from := 0
	for i := 0; i <= len(lines); i++ {
		if i < len(lines) && !strings.HasPrefix(lines[i], "---") {
			continue
		}
		r := &reader{file: name, lines: lines, offset: from, errs: errs}
		r.document(strings.Join(lines[from:i], "\n"), all)
		from = i + 1
	}
}

func (r *reader) document(text string, all *Resources) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		r.syntax(err)
		return
	}
	if doc.Kind == 0 || len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return // nothing but comments
	}
	root := doc.Content[0]
	top := r.fields(root, "apiVersion", "kind", "metadata", "spec", "auth", "scopes")
	if top == nil {
		return
	}
	kind := r.text(top["kind"])
	if kind == "" {
		r.fail(root, "the document has no kind", "say kind: Component, or another one")
		return
	}
	d := document{reader: r, root: root, top: top, place: r.place(root)}
	d.version = r.text(top["apiVersion"])
	if meta := r.fields(top["metadata"]); meta != nil {
		d.name = r.text(meta["name"])
	}
	if d.name == "" {
		r.fail(root, fmt.Sprintf("this %s has no name", kind), "say metadata: { name: … }")
		return
	}
	if top["scopes"] != nil {
		d.scopes = r.texts(top["scopes"])
	}
	if auth := r.fields(top["auth"], "secretStore"); auth != nil {
		d.secretStore = r.text(auth["secretStore"])
	}
	switch kind {
	case "Component":
		all.Components = append(all.Components, d.component())
	case "Subscription":
		all.Subscriptions = append(all.Subscriptions, d.subscription())
	case "Resiliency":
		all.Resiliency = append(all.Resiliency, d.resiliency())
	case "Configuration":
		all.Configurations = append(all.Configurations, d.configuration())
	case "HTTPEndpoint":
		all.Endpoints = append(all.Endpoints, d.endpoint())
	case "MCPServer", "WorkflowAccessPolicy": // of Dapr, not used here
	default:
		hint := "kinds are Component, Subscription, Resiliency, Configuration and HTTPEndpoint"
		r.fail(top["kind"], fmt.Sprintf("unknown kind %q", kind), hint)
	}
}

// checkNames finds components of which one app would see two by the same name.
func checkNames(all *Resources, errs *Errors) {
	for i := range all.Components {
		c := &all.Components[i]
		for j := range all.Components[:i] {
			if first := &all.Components[j]; first.Name == c.Name && overlap(first.Scopes, c.Scopes) {
				*errs = append(*errs, &Error{
					Place: c.Place,
					Msg:   fmt.Sprintf("there is a second component named %q", c.Name),
					Hint:  fmt.Sprintf("the first is at %s: give one another name, or scopes that do not overlap", first.Place),
				})
				break
			}
		}
	}
}

func overlap(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(app string) bool { return slices.Contains(b, app) })
}
