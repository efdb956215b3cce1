package cli

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"mesh/runtime/resource"
	"mesh/supervisor"
	"mesh/supervisor/config"
)

func newCheck(env Env) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look for mistakes in mesh.toml",
		Long: `check reads mesh.toml and the files it names as ` + "`mesh up`" + ` would, and prints every
mistake with its place. It starts nothing. It exits with 1 when there is one.`,
		Example: `  mesh check
  mesh check --file staging.toml
  mesh check --json | jq -r '.errors[] | "\(.file):\(.line): \(.message)"'`,
		Args: none,
		RunE: func(*cobra.Command, []string) error { return check(env, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// mistake is an error of a file as check prints it for machines.
type mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func check(env Env, asJSON bool) error {
	m, err := env.load()
	mistakes, isMistakes := errors.AsType[config.Errors](err)
	if err != nil && !isMistakes {
		return err
	}
	var declared resource.Errors
	components := 0
	if err == nil {
		var wrong error
		if components, wrong = supervisor.Resources(m); wrong != nil && !errors.As(wrong, &declared) {
			return wrong
		}
	}
	if asJSON {
		list := []mistake{}
		for _, e := range mistakes {
			list = append(list, mistake{e.Place.File, e.Place.Line, e.Place.Column, e.Key, e.Msg, e.Hint})
		}
		for _, e := range declared {
			list = append(list, mistake{File: e.Place.File, Line: e.Place.Line, Column: e.Place.Column, Message: e.Msg, Hint: e.Hint})
		}
		if err := writeJSON(env.Stdout, map[string][]mistake{"errors": list}); err != nil {
			return err
		}
		if isMistakes || declared != nil {
			return &exitError{code: exitFailed}
		}
		return nil
	}
	if isMistakes {
		return mistakes
	}
	if declared != nil {
		return declared
	}
	instances := 0
	for i := range m.Apps {
		instances += m.Apps[i].Instances
	}
	name := m.File
	if rel, err := filepath.Rel(env.Dir, m.File); err == nil {
		name = rel
	}
	_, err = fmt.Fprintf(env.Stdout, "%s is good: %s, %s, %s\n", name,
		plural(len(m.Apps), "app"), plural(instances, "instance"), plural(components, "component"))
	if err == nil && len(m.Apps) == 0 {
		_, err = fmt.Fprintf(env.Stderr, "warning: %s declares no apps, so there is nothing to run; an app is a table such as [apps.web]\n", name)
	}
	return printed(err)
}
