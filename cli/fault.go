package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mesh/supervisor/state"
)

func newFault(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "fault [APP|NAME [on|off|WHAT…]]",
		Short: "Disturb calls of an app on purpose, to see how others take it",
		Long: `fault makes calls of an app slow or lets them fail, until it is switched off:

  delay=300ms      pause before the call goes on
  abort=503        answer with this status instead of calling
  bandwidth=64k    bytes per second of the request and of the reply
  cut_after=10k    break the reply off after so many bytes
  rate=0.2         hit only this share of the calls

With on or off it switches a fault of mesh.toml, or those of an app; one that was
made here is gone once it is off. Without arguments it lists the faults.`,
		Example: `  mesh fault orders delay=300ms rate=0.2
  mesh fault orders off
  mesh fault slow-orders on         a fault of mesh.toml
  mesh fault`,
		ValidArgsFunction: completeFirst(completeApps(env)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listFaults(cmd.Context(), env)
			}
			c, err := state.ParseFault(args[0], args[1:])
			if err != nil {
				return usage(err)
			}
			return env.carryOut(cmd.Context(), c)
		},
	}
}

// carryOut carries out one command of the running mesh.
func (e Env) carryOut(ctx context.Context, c state.Command) error {
	to, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer to.Close()
	return to.Do(ctx, c)
}

func listFaults(ctx context.Context, env Env) error {
	c, m, err := env.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	var b strings.Builder
	for _, f := range m.Faults {
		on, from := "off", "mesh.toml"
		if f.On {
			on = "on"
		}
		if f.Hand {
			from = "by hand"
		}
		fmt.Fprintf(&b, "%-4s %-16s %-16s %-10s %s\n", on, f.Name, f.Target, from, f.String())
	}
	if len(m.Faults) == 0 {
		b.WriteString("no faults; `mesh fault APP delay=300ms` makes one\n")
	}
	_, err = fmt.Fprint(env.Stdout, b.String())
	return printed(err)
}
