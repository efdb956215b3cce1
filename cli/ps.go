package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mesh/supervisor/state"
)

func newPS(env Env) *cobra.Command {
	asJSON, withTiming := false, false
	cmd := &cobra.Command{
		Use:   "ps [APP…]",
		Short: "List the instances: state, ports, restarts, load",
		Long: `ps lists every instance with its state, since when, its ports, its load and, if
something is wrong with it, why. HTTP and GRPC are the ports of its sidecar.
With --json it prints the whole state of the mesh as one object.`,
		Example: `  mesh ps
  mesh ps orders
  mesh ps --timing              how the mesh came up, and who held it up
  mesh ps --json | jq -r '.apps[].instances[] | select(.phase == "failed") | .name'`,
		ValidArgsFunction: completeApps(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ps(cmd.Context(), env, args, asJSON, withTiming)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&withTiming, "timing", false, "show how long each app took to be ready, and the critical path")
	return cmd
}

func ps(ctx context.Context, env Env, apps []string, asJSON, withTiming bool) error {
	c, m, err := env.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := knownTo(m, apps); err != nil {
		return err
	}
	m = only(m, apps)
	if asJSON {
		return writeJSON(env.Stdout, m)
	}
	if withTiming {
		return timing(env.Stdout, m)
	}
	if err := table(env.Stdout, m, time.Now()); err != nil {
		return err
	}
	for _, n := range m.Notices {
		if n.Level == "error" {
			_, _ = fmt.Fprintf(env.Stderr, "%s %s\n", n.Level+":", strings.ReplaceAll(n.Text, "\n", "\n  "))
			if n.Hint != "" {
				_, _ = fmt.Fprintf(env.Stderr, "  %s\n", n.Hint)
			}
		}
	}
	return nil
}

// only gives the mesh with just some apps and instances, or all when none are
// named.
func only(m *state.Mesh, names []string) *state.Mesh {
	if len(names) == 0 {
		return m
	}
	some := *m
	some.Apps, some.Components = nil, nil
	for _, a := range m.Apps {
		if !slices.Contains(names, a.ID) {
			a.Instances = slices.DeleteFunc(slices.Clone(a.Instances), func(in state.Instance) bool { return !slices.Contains(names, in.Name) })
		}
		if len(a.Instances) > 0 || slices.Contains(names, a.ID) {
			some.Apps = append(some.Apps, a)
		}
	}
	return &some
}

// table writes one row for each instance.
func table(out io.Writer, m *state.Mesh, now time.Time) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(cells ...string) {
		for len(cells) > 0 && cells[len(cells)-1] == "" {
			cells = cells[:len(cells)-1]
		}
		_, _ = io.WriteString(t, strings.Join(cells, "\t")+"\n") // Flush says when it fails
	}
	row("NAME", "STATE", "SINCE", "PID", "RESTARTS", "CPU", "MEMORY", "PORT", "HTTP", "GRPC", "CALLS", "WHY")
	for _, a := range m.Apps {
		for _, in := range a.Instances {
			phase := string(in.Phase)
			if a.External {
				phase += " (external)"
			}
			why := in.Reason
			if in.Phase == state.Backoff && !in.Next.IsZero() {
				why = strings.TrimSpace(why + "; tried again in " + short(max(0, in.Next.Sub(now))))
			}
			calls := strconv.Itoa(in.Calls)
			if in.Waiting > 0 {
				calls += fmt.Sprintf("+%d held", in.Waiting)
			}
			cpu, memory := "-", "-"
			if in.PID != 0 {
				cpu, memory = fmt.Sprintf("%.1f%%", 100*in.CPU), memorySize(in.Memory)
			}
			row(in.Name, phase, short(now.Sub(in.Since)), some(in.PID), strconv.Itoa(in.Restarts), cpu, memory,
				some(in.AppPort), some(in.HTTPPort), some(in.GRPCPort), calls, strings.ReplaceAll(why, "\n", " "))
		}
	}
	if len(m.Components) > 0 {
		row("")
		row("COMPONENT", "STATE", "SINCE", "TYPE", "WHY")
	}
	for _, c := range m.Components {
		name, why := c.Name, c.Reason
		if c.App != "" {
			name += " of " + c.App
		}
		if why == "" && c.Place == "" {
			why = "embedded: none is declared"
		}
		if c.Reason != "" && c.Place != "" {
			why = strings.TrimPrefix(c.Place, m.Dir+"/") + ": " + why
		}
		row(name, c.State, short(now.Sub(c.Since)), c.Type, strings.ReplaceAll(why, "\n", " "))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	return nil
}

// some gives a number, or a dash for none.
func some(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// short gives a duration with its largest unit or two.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// writeJSON writes a value for machines, indented so that people can read it too.
func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return printed(e.Encode(v))
}

// printed gives an error of printing its context.
func printed(err error) error {
	if err != nil {
		return fmt.Errorf("printing the answer: %w", err)
	}
	return nil
}

// memorySize writes a number of bytes of memory as the screen does, in powers of
// 1024; none are not known.
func memorySize(n uint64) string {
	switch {
	case n == 0:
		return "-"
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
