package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mesh/supervisor"
)

// handOver tells how to start the apps that the user runs himself: the variables
// as lines for a shell, also in a file.
func handOver(super *supervisor.Supervisor, apps []string, dir string) error {
	for _, app := range apps {
		var lines strings.Builder
		for _, pair := range super.Environ(app) {
			name, value, _ := strings.Cut(pair, "=")
			fmt.Fprintf(&lines, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
		}
		file := filepath.Join(dir, ".mesh", app+".env.sh")
		if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
			return fmt.Errorf("writing the environment of %s: %w", app, err)
		}
		super.Note("except "+app, fmt.Sprintf("%s is yours to start, with this environment:\n%s", app, strings.TrimSpace(lines.String())),
			"in a shell: . "+file)
	}
	return nil
}
