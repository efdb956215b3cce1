package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

func newRestart(env Env) *cobra.Command {
	return newChange(env, state.Restart, "Restart apps or instances; calls to them wait meanwhile",
		`restart stops the processes of the apps and starts them again. Their sidecars
stay, so that calls wait instead of failing. It returns when they are ready.`)
}

func newStop(env Env) *cobra.Command {
	return newChange(env, state.Stop, "Stop apps or instances",
		`stop ends the processes of the apps and leaves them stopped, whatever their
restart policy says. It returns when they have ended.`)
}

func newStart(env Env) *cobra.Command {
	return newChange(env, state.Start, "Start apps or instances that were stopped",
		`start starts the processes of apps that were stopped, that have failed for good
or that have completed. It returns when they are ready.`)
}

// newChange gives the command for an operation on apps.
func newChange(env Env, op state.Op, short, long string) *cobra.Command {
	noWait, all := false, false
	cmd := &cobra.Command{
		Use:   string(op) + " APP…",
		Short: short,
		Long:  long,
		Example: fmt.Sprintf(`  mesh %[1]s orders
  mesh %[1]s orders-2 inventory     an instance, and all of another app
  mesh %[1]s --all --no-wait`, op),
		ValidArgsFunction: completeApps(env),
		Args: func(cmd *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return usage(errors.New("--all and the names of apps exclude each other"))
			}
			if all {
				return nil
			}
			return atLeast(1, string(op)+" needs the name of an app, or --all")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if all {
				args = []string{""}
			}
			cmds := make([]state.Command, len(args))
			for i, app := range args {
				cmds[i] = state.Command{Op: op, App: app}
			}
			return change(cmd.Context(), env, cmds, noWait)
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return at once")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "every app")
	return cmd
}

func newScale(env Env) *cobra.Command {
	noWait := false
	cmd := &cobra.Command{
		Use:   "scale APP=N…",
		Short: "Run another number of instances",
		Long: `scale starts or stops instances of apps until so many run. It holds until
mesh.toml says another number or the mesh ends. It returns when it is done.`,
		Example: `  mesh scale orders=3
  mesh scale orders=1 inventory=2`,
		Args: atLeast(1, "scale needs an app and a number, such as orders=3"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			ids, _ := completeApps(env)(cmd, args, begun)
			for i := range ids {
				ids[i] += "="
			}
			return ids, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cmds := make([]state.Command, len(args))
			for i, arg := range args {
				app, number, _ := strings.Cut(arg, "=")
				n, err := strconv.Atoi(number)
				if err != nil || app == "" || n < 0 {
					return usage(&hinted{fmt.Errorf("%q is not an app and a number of instances", arg), "write it as orders=3"})
				}
				cmds[i] = state.Command{Op: state.Scale, App: app, Count: n}
			}
			return change(cmd.Context(), env, cmds, noWait)
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return at once")
	return cmd
}

// change carries out commands at the same time, all or none of them: a name
// that the mesh does not know is found before anything is changed.
func change(ctx context.Context, env Env, cmds []state.Command, noWait bool) error {
	c, m, err := env.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := knownTo(m, appsOf(cmds)); err != nil {
		return err
	}
	do := c.Do
	if noWait {
		do = c.Post
	}
	failures := make([]error, len(cmds))
	var all sync.WaitGroup
	for i, cmd := range cmds {
		all.Go(func() { failures[i] = do(ctx, cmd) })
	}
	all.Wait()
	return errors.Join(failures...)
}

func appsOf(cmds []state.Command) []string {
	var apps []string
	for _, c := range cmds {
		if c.App != "" {
			apps = append(apps, c.App)
		}
	}
	return apps
}

// knownTo gives an error when a name is no app or instance of the mesh.
func knownTo(m *state.Mesh, names []string) error {
	for _, name := range names {
		if err := control.Known(m, name); err != nil {
			return err
		}
	}
	return nil
}
