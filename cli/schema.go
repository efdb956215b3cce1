package cli

import (
	"github.com/spf13/cobra"

	"mesh/convert"
	"mesh/supervisor/config"
)

func newSchema(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of mesh.toml, for editors",
		Long: `schema prints a JSON Schema (draft 7) of mesh.toml. Editors that know TOML complete
and check keys with it when the first line of mesh.toml names the file:

  #:schema ./` + convert.SchemaFile + `

` + "`mesh init` and `mesh import`" + ` write both.`,
		Example: `  mesh schema > ` + convert.SchemaFile,
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			_, err := env.Stdout.Write(config.Schema())
			return printed(err)
		},
	}
}
