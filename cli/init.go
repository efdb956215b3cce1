package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mesh/convert"
)

func newInit(env Env) *cobra.Command {
	from, force := "", false
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a mesh.toml for this folder",
		Long: `init writes a mesh.toml with comments. It looks for what says how the project is
run: a dapr.yaml, a Procfile, the processes of a compose file, else package.json
and go.mod here and below. It says what it has found and what is left to do. A
mesh.toml that is there is never written over.`,
		Example: `  mesh init
  mesh init --from docker-compose.dev.yml
  mesh init --force                    the present mesh.toml becomes mesh.toml.old`,
		Args: none,
		RunE: func(*cobra.Command, []string) error { return env.init(from, force) },
	}
	cmd.Flags().StringVar(&from, "from", "", "read this dapr.yaml, Procfile, compose file, package.json or go.mod")
	cmd.Flags().BoolVar(&force, "force", false, "give a mesh.toml that is there another name first")
	return cmd
}

func (e Env) init(from string, force bool) error {
	o := convert.InitOptions{Dir: e.path(e.project.dir), Home: e.getenv("HOME")}
	if info, err := os.Stat(o.Dir); err != nil {
		return fmt.Errorf("finding the project folder: %w", err)
	} else if !info.IsDir() {
		return &hinted{fmt.Errorf("%s is not a folder", o.Dir), "choose one with --dir"}
	}
	file := filepath.Join(o.Dir, fileName)
	if e.project.file != "" {
		file = Env{Dir: o.Dir}.path(e.project.file)
	}
	k := refuse
	if force {
		k = setAway
	}
	if _, err := os.Lstat(file); err == nil && !force {
		return &hinted{fmt.Errorf("%s exists already", e.short(file)), "`mesh check` reads it; `mesh init --force` gives it another name and starts anew"}
	}
	o.File = file
	if from != "" {
		o.From = Env{Dir: o.Dir}.path(from)
	}
	r, err := convert.Init(o)
	if err != nil {
		return err
	}
	if err := e.saveDraft(file, r, k); err != nil {
		return err
	}
	e.notes(r.Notes)
	next := r.Next
	if ignored, err := os.ReadFile(filepath.Join(o.Dir, ".gitignore")); exists(filepath.Join(o.Dir, ".git")) && (err != nil || !strings.Contains(string(ignored), ".mesh")) {
		next = append(next, "add .mesh/ to .gitignore: it holds logs and other things of a run")
	}
	next = append(next, "look at "+e.short(file)+", then `"+e.command("up", file)+"`")
	for _, line := range next {
		if _, err := fmt.Fprintln(e.Stdout, "next   "+line); err != nil {
			return printed(err)
		}
	}
	return nil
}

// command gives the command line that runs a command with a file.
func (e Env) command(name, file string) string {
	if filepath.Base(file) != fileName {
		return "mesh " + name + " -f " + e.short(file)
	}
	if dir := filepath.Dir(file); dir != e.Dir {
		return "mesh " + name + " -C " + e.short(dir)
	}
	return "mesh " + name
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
