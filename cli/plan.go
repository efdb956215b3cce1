package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mesh/supervisor"
	"mesh/supervisor/config"
	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

type planFlags struct {
	json      bool
	resources []string
}

func newPlan(env Env) *cobra.Command {
	var o planFlags
	cmd := &cobra.Command{
		Use:   "plan [FILE]",
		Short: "Show what a file would change of the running mesh",
		Long: `plan compares the running mesh with mesh.toml, or with another file that is to
become it, and says for each app, component and so on what saving it would do, and
how many calls under way would have to end first. It changes nothing. The Dapr YAML
in the resources folders counts, too; with --resources, that of other folders.

  hot-swap                      counts at once; no call notices
  scale                         instances come or go, the others stay
  restart                       processes start anew; calls wait meanwhile
  restart with a new sidecar    the ports of the sidecar close and open, too
  nothing                       it stays as it is

When no mesh runs, plan says what ` + "`mesh up`" + ` would start.`,
		Example: `  cp mesh.toml next.toml && vi next.toml
  mesh plan next.toml && mv next.toml mesh.toml
  mesh plan --resources components-next
  mesh plan --json | jq '.items[] | select(.streams > 0)'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return none(cmd, args[1:])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return env.plan(cmd.Context(), args, o) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	cmd.Flags().StringSliceVar(&o.resources, "resources", nil, "folders with Dapr YAML, instead of those that the file names")
	return cmd
}

func (e Env) plan(ctx context.Context, args []string, o planFlags) error {
	file, err := e.find()
	if err != nil {
		return err
	}
	candidate := file
	if len(args) > 0 {
		candidate = e.path(args[0])
	}
	is := state.Candidate{}
	if is.Text, err = os.ReadFile(candidate); err != nil {
		return fmt.Errorf("reading the file: %w", err)
	}
	if len(is.Text) == 0 {
		is.Text = []byte("\n") // an empty file is one, too
	}
	for _, dir := range o.resources {
		dir = e.path(dir)
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("reading the resources: %w", err)
		}
		is.Resources = append(is.Resources, dir)
	}
	// Its paths start where those of the file do that it is to become.
	read := func() (*config.Mesh, error) {
		m, err := config.Parse(filepath.Join(filepath.Dir(file), filepath.Base(candidate)), is.Text, config.Options{Environ: e.Environ})
		if err == nil && len(is.Resources) > 0 {
			m.Resources = is.Resources
		}
		return m, err //nolint:wrapcheck // it is about the file, in full
	}
	c, err := control.Dial(ctx, filepath.Dir(file))
	if _, stands := errors.AsType[*control.NotRunningError](err); stands {
		m, err := read()
		if err != nil {
			return err
		}
		p, err := supervisor.Fresh(m)
		if err != nil {
			return err
		}
		return e.showPlan(p, o.json, "no mesh runs here; `mesh up` would start:")
	}
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := c.Plan(ctx, is)
	if err != nil {
		if _, mistakes := read(); mistakes != nil { // the same, with places
			return mistakes
		}
		return err
	}
	return e.showPlan(p, o.json, "")
}

func (e Env) showPlan(p *state.Plan, asJSON bool, head string) error {
	if asJSON {
		return writeJSON(e.Stdout, p)
	}
	if head != "" {
		_, _ = fmt.Fprintln(e.Stderr, head)
	}
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	for _, i := range p.Items {
		name := strings.TrimSpace(i.Kind + " " + i.Name)
		cost := ""
		if i.Streams > 0 {
			cost = plural(i.Streams, "call") + " under way"
		}
		line := strings.Join([]string{name, string(i.Action), cost, strings.Join(i.Why, ", ")}, "\t")
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, "\t")); err != nil {
			return printed(err)
		}
	}
	if err := w.Flush(); err != nil {
		return printed(err)
	}
	if p.Empty() {
		_, err := fmt.Fprintln(e.Stdout, "the mesh runs as the file says: nothing would change")
		return printed(err)
	}
	return nil
}
