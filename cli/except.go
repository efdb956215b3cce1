package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mesh/supervisor"
	"mesh/supervisor/state"
)

// exceptCode begins the code of the notices of handOver; the app follows.
const exceptCode = "except "

// handedOver gives the notices of handOver, by app.
func handedOver(m *state.Mesh) map[string]state.Notice {
	all := map[string]state.Notice{}
	for _, n := range m.Notices {
		if app, ok := strings.CutPrefix(n.Code, exceptCode); ok {
			all[app] = n
		}
	}
	return all
}

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
		super.Note(exceptCode+app, fmt.Sprintf("%s is yours to start, with this environment:\n%s", app, strings.TrimSpace(lines.String())),
			"in a shell: . "+file)
	}
	return nil
}
