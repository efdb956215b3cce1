package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mesh/supervisor/config"
	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

// fileName is what a project's file is called unless --file says otherwise.
const fileName = "mesh.toml"

// project is what the flags say about the project.
type project struct {
	dir   string // look here instead of in the working directory
	file  string // take this file
	theme string // of the screen, "": as the user has it
}

// find gives the project's file: the one asked for, or mesh.toml in the folder
// or the nearest one above it. The result is absolute.
func (e Env) find() (string, error) {
	dir := e.path(e.project.dir)
	if e.project.dir != "" {
		if info, err := os.Stat(dir); err != nil {
			return "", fmt.Errorf("finding the project folder: %w", err)
		} else if !info.IsDir() {
			return "", &hinted{fmt.Errorf("%s is not a folder", dir), "choose a file with --file"}
		}
	}
	if e.project.file != "" {
		file := e.project.file
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		info, err := os.Stat(file)
		if err == nil && info.IsDir() {
			return "", &hinted{fmt.Errorf("%s is a folder", file), "choose a folder with --dir"}
		}
		if err != nil {
			return "", fmt.Errorf("finding the file of the mesh: %w", err)
		}
		return file, nil
	}
	for at := dir; ; at = filepath.Dir(at) {
		file := filepath.Join(at, fileName)
		_, err := os.Stat(file)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("looking for %s: %w", fileName, err)
		}
		if _, runs := control.Occupied(at); runs { // and its file has been removed
			return file, nil
		}
		if at == filepath.Dir(at) {
			return "", &hinted{
				fmt.Errorf("there is no %s in %s or any folder above it", fileName, dir),
				"go to a project, choose one with --dir, or make one with `mesh init`",
			}
		}
	}
}

// path makes a path of the command line absolute.
func (e Env) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(e.Dir, p)
}

// load reads the project's file.
func (e Env) load() (*config.Mesh, error) {
	file, err := e.find()
	if err != nil {
		return nil, err
	}
	return config.Load(file, config.Options{Environ: e.Environ})
}

// dial connects to the project's running mesh.
func (e Env) dial(ctx context.Context) (*control.Client, error) {
	file, err := e.find()
	if err != nil {
		return nil, err
	}
	return control.Dial(ctx, filepath.Dir(file))
}

// reach connects to the project's running mesh and gives how it stands. The
// caller closes the client.
func (e Env) reach(ctx context.Context) (*control.Client, *state.Mesh, error) {
	c, err := e.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	m, err := c.Fetch(ctx)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, m, nil
}
