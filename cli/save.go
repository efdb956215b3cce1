package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"mesh/convert"
	"mesh/supervisor/config"
)

// keep decides what happens to a file that is there already.
type keep int

const (
	refuse  keep = iota // it is an error
	setAway             // it gets another name
)

// save writes a file that is not there yet. It gives the new name of the file
// that was there, "" when there was none.
func (e Env) save(path string, data []byte, k keep) (old string, err error) {
	if k == setAway {
		if old, err = asideFrom(path); err != nil {
			return "", err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return old, &hinted{fmt.Errorf("%s exists already", e.short(path)), "nothing was written; --force gives the present one another name first"}
	}
	if err != nil {
		return old, fmt.Errorf("making %s: %w", e.short(path), err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return old, errors.Join(fmt.Errorf("writing %s: %w", e.short(path), err), os.Remove(path))
	}
	return old, nil
}

// asideFrom renames a file to the first free name of the kind mesh.toml.old,
// mesh.toml.old2 … and gives that name.
func asideFrom(path string) (old string, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for n := 1; ; n++ {
		old = path + ".old"
		if n > 1 {
			old += strconv.Itoa(n)
		}
		if _, err := os.Lstat(old); errors.Is(err, fs.ErrNotExist) {
			if err := os.Rename(path, old); err != nil {
				return "", fmt.Errorf("giving %s another name: %w", path, err)
			}
			return old, nil
		}
	}
}

// saveDraft writes a draft and the schema that its first line names, and says so.
func (e Env) saveDraft(path string, r *convert.Result, k keep) error {
	schema := filepath.Join(filepath.Dir(path), convert.SchemaFile)
	present, err := os.ReadFile(schema)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("looking at what is there: %w", err)
	case err == nil && !isSchema(present):
		return &hinted{fmt.Errorf("%s exists already, and is no schema of mesh.toml", e.short(schema)), "nothing was written; rename it first"}
	}
	old, err := e.save(path, r.Draft.Text(), k)
	if err != nil {
		return err
	}
	if err := os.WriteFile(schema, config.Schema(), 0o644); err != nil { // that of another version is made anew
		return fmt.Errorf("writing the schema: %w", err)
	}
	for _, line := range r.Found {
		_, _ = fmt.Fprintln(e.Stdout, "found  "+line)
	}
	if old != "" {
		_, _ = fmt.Fprintf(e.Stdout, "kept   %s as %s\n", e.short(path), e.short(old))
	}
	_, err = fmt.Fprintf(e.Stdout, "wrote  %s, and %s for editors\n", e.short(path), e.short(schema))
	return printed(err)
}

// isSchema says whether a file that was there is a schema of mesh.toml, perhaps
// of another version.
func isSchema(text []byte) bool {
	return bytes.Contains(text, []byte(`"title": "mesh.toml"`))
}

// notes prints what a conversion could not keep.
func (e Env) notes(notes []convert.Note) {
	if len(notes) == 0 {
		return
	}
	_, _ = fmt.Fprintf(e.Stderr, "\n%s without a counterpart:\n", plural(len(notes), "thing"))
	for _, n := range notes {
		_, _ = fmt.Fprintln(e.Stderr, "  "+n.String())
	}
}

// short gives the shortest name that a file has from here.
func (e Env) short(path string) string {
	if rel, err := filepath.Rel(e.Dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}
