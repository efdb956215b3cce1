package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mesh/supervisor/control"
)

// newRoot gives the command line.
func newRoot(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "mesh",
		Short: "Run a local mesh of services and see their streams",
		Long: `mesh runs the services of a mesh.toml, gives each one a Dapr-compatible
sidecar, and shows every invocation while it is streaming, chunk by chunk and
hop by hop.`,
		Example: `  mesh up                    run the mesh of this folder, with its screen
  mesh up --headless         the same, with lines instead of the screen
  mesh ps                    what runs, in which state, on which ports
  mesh logs -f orders        follow what orders prints
  mesh invoke orders /buy -d '{"item": 7}'
  mesh tap 'to:orders gap>1s' --json`,
		SilenceUsage:     true,
		SilenceErrors:    true,
		TraverseChildren: true,
		Version:          control.ThisBuild().Version,
		Args:             cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.SetVersionTemplate("mesh {{.Version}}\n")
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(&hinted{err, fmt.Sprintf("`%s --help` explains its flags", cmd.CommandPath())})
	})
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Running a mesh:"},
		&cobra.Group{ID: "see", Title: "Seeing what it does:"},
		&cobra.Group{ID: "change", Title: "Changing it:"},
		&cobra.Group{ID: "file", Title: "The file:"},
	)
	root.SetHelpCommandGroupID("file")
	root.SetCompletionCommandGroupID("file")
	group(root, "run", newUp(env), newAttach(env), newDown(env), newSidecar(env), newRelay(env))
	group(root, "see", newPS(env), newLogs(env), newTap(env), newWait(env), newInvoke(env), newPublish(env), newBench(env))
	group(root, "change", newRestart(env), newStop(env), newStart(env), newScale(env), newFault(env), newCapture(env), newUndo(env))
	group(root, "file", newCheck(env), newPlan(env), newInit(env), newImport(env), newExport(env), newSchema(env), newDoctor(env), newVersion(env))
	projectFlags(root, env.project)
	for _, cmd := range root.Commands() {
		if cmd.Name() != "version" && cmd.Name() != "schema" && cmd.Name() != "sidecar" && cmd.Name() != "relay" {
			projectFlags(cmd, env.project)
		}
	}
	return root
}

func group(root *cobra.Command, id string, cmds ...*cobra.Command) {
	for _, cmd := range cmds {
		cmd.GroupID = id
		root.AddCommand(cmd)
	}
}

// projectFlags adds the flags that choose a project. They may stand before the
// command and after it. -f is short for --file where the command has no -f of
// its own.
func projectFlags(cmd *cobra.Command, p *project) {
	flags := cmd.Flags()
	short := "f"
	if flags.ShorthandLookup(short) != nil {
		short = ""
	}
	flags.StringVarP(&p.file, "file", short, p.file, "the file of the mesh (default: mesh.toml here or in the nearest folder above)")
	flags.StringVarP(&p.dir, "dir", "C", p.dir, "look for the mesh from this folder on")
}

func unknownCommand(root *cobra.Command, name string) error {
	var names []string
	for _, cmd := range root.Commands() {
		if !cmd.Hidden {
			names = append(names, cmd.Name())
		}
	}
	hint := "`mesh --help` lists the commands"
	if near := control.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean `mesh %s`?", near)
	}
	return usage(&hinted{fmt.Errorf("there is no command %q", name), hint})
}

// atLeast demands that many arguments, described by words.
func atLeast(n int, words string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return usage(&hinted{errors.New(words), "usage: " + cmd.UseLine()})
		}
		return nil
	}
}

// exactly demands that many arguments, described by words.
func exactly(n int, words string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(&hinted{errors.New(words), "usage: " + cmd.UseLine()})
		}
		return nil
	}
}

// none refuses arguments.
func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(&hinted{fmt.Errorf("%q is one word too many", args[0]), "usage: " + cmd.UseLine()})
	}
	return nil
}

// completeApps proposes the ids of apps: those of the running mesh, or else those
// of the file.
func completeApps(env Env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ids := env.appIDs(cmd.Context())
		var fit []string
		for _, id := range ids {
			if strings.HasPrefix(id, begun) && !slices.Contains(args, id) {
				fit = append(fit, id)
			}
		}
		return fit, cobra.ShellCompDirectiveNoFileComp
	}
}

// appIDs gives the ids of the apps of the running mesh, or else of the file.
func (e Env) appIDs(ctx context.Context) (ids []string) {
	if c, err := e.dial(ctx); err == nil {
		defer c.Close()
		if m, err := c.Fetch(ctx); err == nil {
			for _, a := range m.Apps {
				ids = append(ids, a.ID)
			}
		}
	} else if m, err := e.load(); err == nil {
		for i := range m.Apps {
			ids = append(ids, m.Apps[i].ID)
		}
	}
	return ids
}
