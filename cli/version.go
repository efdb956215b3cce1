package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"mesh/supervisor/control"
)

func newVersion(env Env) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			b := control.ThisBuild()
			if asJSON {
				return writeJSON(env.Stdout, b)
			}
			text := "mesh " + b.Version
			if b.Revision != "" {
				text += " " + b.Revision[:min(12, len(b.Revision))]
			}
			if b.Modified {
				text += "+changes"
			}
			_, err := fmt.Fprintf(env.Stdout, "%s (%s, %s/%s)\n", text, b.Go, b.OS, b.Arch)
			return printed(err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
