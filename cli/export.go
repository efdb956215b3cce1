package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mesh/convert/export"
)

func newExport(env Env) *cobra.Command {
	out, image := "", ""
	formats := slices.Sorted(maps.Keys(export.Formats()))
	cmd := &cobra.Command{
		Use:   "export dapr|kubernetes|compose",
		Short: "Write the mesh as files for Dapr",
		Long: `export writes the apps, components, subscriptions and resiliency of mesh.toml as
files that run with Dapr:

  dapr         a dapr.yaml for ` + "`dapr run -f`" + `, and resources beside it
  kubernetes   Deployments, Services and Jobs with Dapr's annotations, and resources
  compose      a compose file with daprd beside each app, and resources

What has no counterpart is named, each with its line. Files of an earlier export
are written anew; any other file that is in the way is left alone, and nothing is
written then.`,
		Example: `  mesh export dapr
  mesh export kubernetes -o deploy --image registry.example.com/shop/{app}:1.0
  mesh export compose`,
		Args:      exactly(1, "export needs a format: "+strings.Join(formats, ", ")),
		ValidArgs: formats,
		RunE:      func(_ *cobra.Command, args []string) error { return env.export(args[0], out, image) },
	}
	cmd.Flags().StringVarP(&out, "output", "o", out, "the folder to write to (default: one named like the format, beside mesh.toml)")
	cmd.Flags().StringVar(&image, "image", image, "name of the images, with {app} for the id of the app (default {app}:latest)")
	return cmd
}

func (e Env) export(format, out, image string) error {
	convert, ok := export.Formats()[format]
	if !ok {
		return usage(&hinted{fmt.Errorf("there is no format %q", format), "there are dapr, kubernetes and compose"})
	}
	m, err := e.load()
	if err != nil {
		return err
	}
	folder := filepath.Join(m.Dir, format)
	if out != "" {
		folder = e.path(out)
	}
	if folder == m.Dir {
		return usage(&hinted{errors.New("the files would lie among those of the project"), "choose a folder of their own with --output"})
	}
	r, err := convert(export.Options{Mesh: m, Out: folder, Shown: e.short(folder), Image: image})
	if err != nil {
		return err
	}
	if err := e.saveAll(folder, r.Files); err != nil {
		return err
	}
	e.notes(r.Notes)
	for _, line := range r.Next {
		if _, err := fmt.Fprintln(e.Stdout, "next   "+line); err != nil {
			return printed(err)
		}
	}
	return nil
}

// saveAll writes the files of an export, or none when one of them is in the way
// that no export has made.
func (e Env) saveAll(folder string, files []export.File) error {
	for _, f := range files {
		path := filepath.Join(folder, f.Name)
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("looking at what is there: %w", err)
		}
		if err == nil && !bytes.HasPrefix(text, []byte(export.Header)) {
			return &hinted{fmt.Errorf("%s exists already, and no export has made it", e.short(path)), "nothing was written; choose another folder with --output"}
		}
	}
	for _, f := range files {
		path := filepath.Join(folder, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making the folder: %w", err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			return fmt.Errorf("writing the export: %w", err)
		}
		if _, err := fmt.Fprintln(e.Stdout, "wrote  "+e.short(path)); err != nil {
			return printed(err)
		}
	}
	return e.outdated(folder, files)
}

// outdated names files of an earlier export that this one has not made.
func (e Env) outdated(folder string, files []export.File) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("looking for files of an earlier export: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || slices.ContainsFunc(files, func(f export.File) bool { return f.Name == name }) {
			continue
		}
		if text, err := os.ReadFile(filepath.Join(folder, name)); err == nil && bytes.HasPrefix(text, []byte(export.Header)) {
			_, _ = fmt.Fprintf(e.Stderr, "mesh: %s is of an earlier export: remove it when it is not needed\n", e.short(filepath.Join(folder, name)))
		}
	}
	return nil
}
