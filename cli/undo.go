package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"mesh/supervisor/config"
)

// The files in .mesh that `mesh undo` goes back to.
const (
	lastGood   = "last-good.toml"   // what runs
	beforeGood = "before-good.toml" // what ran before that
	undone     = "undone.toml"      // what the last undo has replaced
)

// history keeps the text of the files that the mesh has run with: the present
// one and the one before.
type history struct {
	dir string // .mesh

	mu    sync.Mutex
	texts map[*config.Mesh][]byte // read, and perhaps about to be applied
}

func newHistory(dir string) *history {
	return &history{dir: dir, texts: map[*config.Mesh][]byte{}}
}

// load reads the file and remembers its text.
func (h *history) load(file string, environ []string) (*config.Mesh, error) {
	var text []byte
	m, err := config.Load(file, config.Options{Environ: environ, ReadFile: func(name string) ([]byte, error) {
		b, err := os.ReadFile(name)
		if name == file {
			text = b
		}
		return b, err
	}})
	if err != nil {
		return nil, err //nolint:wrapcheck // it is about the file, in full
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.texts) > 8 { // those of files that could not be applied
		clear(h.texts)
	}
	h.texts[m] = text
	return m, nil
}

// applied makes the text of m the one that runs.
func (h *history) applied(m *config.Mesh) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	text, ok := h.texts[m]
	clear(h.texts)
	if !ok {
		return nil
	}
	good := filepath.Join(h.dir, lastGood)
	old, err := os.ReadFile(good)
	if err == nil && bytes.Equal(old, text) {
		return nil
	}
	if err == nil {
		err = os.Rename(good, filepath.Join(h.dir, beforeGood))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keeping the file for `mesh undo`: %w", err)
	}
	if err := replaceFile(good, text); err != nil {
		return fmt.Errorf("keeping the file for `mesh undo`: %w", err)
	}
	return nil
}

// replaceFile puts a file in the place of another in one step.
func replaceFile(name string, text []byte) error {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(name); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".tmp.*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what matters is why it could not be used
	}
	return err
}

func newUndo(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "undo",
		Short: "Put mesh.toml back to what ran before",
		Long: `undo writes mesh.toml as it was when it was last applied. When it is like that
already, undo writes what was applied before that, so that a second undo takes
back the first. A running mesh notices and follows. What undo has replaced is kept
in .mesh/undone.toml.`,
		Example: `  mesh undo`,
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			said, err := env.undone()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(env.Stdout, said)
			return printed(err)
		},
	}
}

// undone puts mesh.toml back and gives a line that says so.
func (e Env) undone() (said string, err error) {
	file, err := e.find()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(file), ".mesh")
	now, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the file of the mesh: %w", err)
	}
	for _, name := range []string{lastGood, beforeGood} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) || err == nil && bytes.Equal(text, now) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("reading what ran before: %w", err)
		}
		if now != nil {
			if err := replaceFile(filepath.Join(dir, undone), now); err != nil {
				return "", fmt.Errorf("keeping what is replaced: %w", err)
			}
		}
		if err := replaceFile(file, text); err != nil {
			return "", fmt.Errorf("writing %s: %w", filepath.Base(file), err)
		}
		return fmt.Sprintf("%s is what ran before again; what it was is in %s", filepath.Base(file), filepath.Join(".mesh", undone)), nil
	}
	return "", &hinted{errors.New("there is nothing to undo"), "mesh remembers what it has run with, since it was first started here"}
}
