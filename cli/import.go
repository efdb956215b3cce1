package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"mesh/convert"
)

func newImport(env Env) *cobra.Command {
	out, force := fileName, false
	cmd := &cobra.Command{
		Use:   "import dapr.yaml",
		Short: "Make a mesh.toml from a dapr.yaml",
		Long: `import reads a dapr.yaml, the file of ` + "`dapr run -f`" + `, and writes a mesh.toml that runs
the same apps with the same resources. What has no counterpart is named, each
with its line. It writes nothing when there is a mistake, and never over a file
that is there.`,
		Example: `  mesh import dapr.yaml
  mesh import deploy/dapr.yaml -o deploy/mesh.toml
  mesh import dapr.yaml -o -           print it instead`,
		Args: exactly(1, "import needs a file"),
		RunE: func(_ *cobra.Command, args []string) error { return env.importDapr(args[0], out, force) },
	}
	cmd.Flags().StringVarP(&out, "output", "o", out, "the file to write; - is the standard output")
	cmd.Flags().BoolVar(&force, "force", false, "give a file that is there another name first")
	return cmd
}

func (e Env) importDapr(file, out string, force bool) error {
	base := Env{Dir: e.path(e.project.dir)}
	o := convert.Options{File: base.path(file), Out: base.path(out), Home: e.getenv("HOME")}
	if out == "-" {
		o.Out = base.path(fileName)
	}
	o.Name = e.short(o.File)
	r, err := convert.Dapr(o)
	if err != nil {
		return err
	}
	if out == "-" {
		_, err = e.Stdout.Write(r.Draft.Text())
		e.notes(r.Notes)
		return printed(err)
	}
	k := refuse
	if force {
		k = setAway
	}
	if err := e.saveDraft(o.Out, r, k); err != nil {
		return err
	}
	e.notes(r.Notes)
	_, err = fmt.Fprintf(e.Stdout, "next   `%s`, then `%s`\n", e.command("check", o.Out), e.command("up", o.Out))
	return printed(err)
}
