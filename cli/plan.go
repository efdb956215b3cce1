package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mesh/supervisor/config"
	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

func newPlan(env Env) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "plan [FILE]",
		Short: "Show what a file would change of the running mesh",
		Long: `plan compares the running mesh with mesh.toml, or with another file that is to
become it, and says for each app, component and so on what saving it would do, and
how many calls under way would have to end first. It changes nothing.

  hot-swap                      counts at once; no call notices
  scale                         instances come or go, the others stay
  restart                       processes start anew; calls wait meanwhile
  restart with a new sidecar    the ports of the sidecar close and open, too
  nothing                       it stays as it is

When no mesh runs, plan says what ` + "`mesh up`" + ` would start.`,
		Example: `  cp mesh.toml next.toml && vi next.toml
  mesh plan next.toml && mv next.toml mesh.toml
  mesh plan --json | jq '.items[] | select(.streams > 0)'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return none(cmd, args[1:])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return env.plan(cmd, args, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (e Env) plan(cmd *cobra.Command, args []string, asJSON bool) error {
	file, err := e.find()
	if err != nil {
		return err
	}
	candidate := file
	if len(args) > 0 {
		candidate = e.path(args[0])
	}
	text, err := os.ReadFile(candidate)
	if err != nil {
		return fmt.Errorf("reading the file: %w", err)
	}
	if len(text) == 0 {
		text = []byte("\n") // an empty file is one, too
	}
	// Its paths start where those of the file do that it is to become.
	read := func() (*config.Mesh, error) {
		return config.Parse(filepath.Join(filepath.Dir(file), filepath.Base(candidate)), text, config.Options{Environ: e.Environ})
	}
	c, err := control.Dial(cmd.Context(), filepath.Dir(file))
	if _, stands := errors.AsType[*control.NotRunningError](err); stands {
		m, err := read()
		if err != nil {
			return err
		}
		return e.showPlan(fresh(m), asJSON, "no mesh runs here; `mesh up` would start:")
	}
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := c.Plan(cmd.Context(), text)
	if err != nil {
		if _, mistakes := read(); mistakes != nil { // the same, with places
			return mistakes
		}
		return err
	}
	return e.showPlan(p, asJSON, "")
}

// fresh is the plan of a mesh that does not run.
func fresh(m *config.Mesh) *state.Plan {
	p := &state.Plan{Items: []state.PlanItem{}}
	for i := range m.Apps {
		p.Items = append(p.Items, state.PlanItem{Kind: "app", Name: m.Apps[i].ID, Action: state.PlanStart})
	}
	for _, c := range m.Components {
		p.Items = append(p.Items, state.PlanItem{Kind: "component", Name: c.Name, Action: state.PlanAdd})
	}
	return p
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
