package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mesh/supervisor/config"
	"mesh/supervisor/control"
	"mesh/supervisor/proc"
	"mesh/supervisor/state"
)

// finding is one thing that doctor has looked at.
type finding struct {
	Level string `json:"level"` // ok, warning or error
	About string `json:"about"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"`
}

func newDoctor(env Env) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "doctor [APP…]",
		Short: "Look for what would keep a mesh from running well here",
		Long: `doctor looks at this program, the limits of the system, the project's file and
its fixed ports, what an earlier mesh has left behind, the running mesh, and
multicast on the loopback interface, by which meshes find each other. It changes
nothing and exits with 1 when something would not work.

With app ids it looks only for these, in the running mesh and by mDNS, and says
where each is, or why it is not found.`,
		Example: `  mesh doctor
  mesh doctor orders            why is orders not found?
  mesh doctor --json | jq '.[] | select(.level != "ok")'`,
		ValidArgsFunction: completeApps(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return doctor(cmd.Context(), env, args, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func doctor(ctx context.Context, env Env, ids []string, asJSON bool) error {
	var found []finding
	if len(ids) > 0 {
		found = examineNames(ctx, env, ids)
	} else {
		found = append(found, program())
		found = append(found, limits()...)
		found = append(found, examineProject(ctx, env)...)
		found = append(found, multicast(ctx))
	}
	bad := false
	for _, f := range found {
		bad = bad || f.Level == "error"
	}
	if asJSON {
		if err := writeJSON(env.Stdout, found); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			if err := printFinding(env, f); err != nil {
				return printed(err)
			}
		}
	}
	if bad {
		return &exitError{code: exitFailed}
	}
	return nil
}

func printFinding(env Env, f finding) error {
	sign, color := "✓", "32"
	switch f.Level {
	case "warning":
		sign, color = "!", "33"
	case "error":
		sign, color = "✗", "31"
	}
	if env.color() {
		sign = "\x1b[" + color + "m" + sign + "\x1b[0m"
	}
	text := fmt.Sprintf("%s %-9s %s\n", sign, f.About, strings.ReplaceAll(f.Text, "\n", "\n            "))
	if f.Hint != "" {
		text += "            " + f.Hint + "\n"
	}
	_, err := fmt.Fprint(env.Stdout, text)
	return err
}

// program says what runs here, and whether apps in Go can be built.
func program() finding {
	b := control.ThisBuild()
	text := fmt.Sprintf("mesh %s, %s, %s/%s", b.Version, b.Go, b.OS, b.Arch)
	if _, err := exec.LookPath("go"); err != nil {
		return finding{"warning", "program", text + "; there is no go command in PATH", "apps that are started with go run or built with go build need it"}
	}
	return finding{"ok", "program", text, ""}
}

// examineProject looks at the project's file, ports, leftovers and mesh.
func examineProject(ctx context.Context, env Env) []finding {
	file, err := env.find()
	if err != nil {
		f := finding{"warning", "file", err.Error(), ""}
		if h, ok := errors.AsType[*hinted](err); ok {
			f.Hint = h.hint
		}
		return []finding{f}
	}
	var found []finding
	m, err := config.Load(file, config.Options{Environ: env.Environ})
	if mistakes, ok := errors.AsType[config.Errors](err); ok {
		found = append(found, finding{"error", "file", fmt.Sprintf("%s has %s", file, plural(len(mistakes), "error")), "see `mesh check`"})
	} else if err != nil {
		found = append(found, finding{"error", "file", err.Error(), ""})
	} else {
		found = append(found, finding{"ok", "file", fmt.Sprintf("%s declares %s", file, plural(len(m.Apps), "app")), ""})
	}
	dir := filepath.Dir(file)
	running := examineMesh(ctx, dir)
	found = append(found, running)
	if _, occupied := control.Occupied(dir); !occupied {
		if m != nil {
			found = append(found, examinePorts(ctx, m)...)
		}
		found = append(found, examineLeftovers(dir)...)
	}
	return found
}

// examineMesh looks whether a mesh runs and answers.
func examineMesh(ctx context.Context, dir string) finding {
	pid, occupied := control.Occupied(dir)
	m, err := ask(ctx, dir)
	switch {
	case err == nil:
		return finding{"ok", "mesh", fmt.Sprintf("%s runs (pid %d) and answers", m.Name, m.PID), ""}
	case occupied && errors.Is(err, control.ErrNotRunning):
		return finding{"error", "mesh", fmt.Sprintf("pid %d has taken the project but does not listen", pid), "it may just be starting or ending; if it stays so, end that process"}
	case errors.Is(err, control.ErrNotRunning):
		return finding{"ok", "mesh", "none runs in " + dir, ""}
	default:
		return finding{"error", "mesh", err.Error(), ""}
	}
}

// ask gives the state of the mesh that runs in a folder.
func ask(ctx context.Context, dir string) (*state.Mesh, error) {
	c, err := control.Dial(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Fetch(ctx)
}

// examinePorts looks whether the ports that the file fixes are free.
func examinePorts(ctx context.Context, m *config.Mesh) []finding {
	now, cancel := context.WithCancel(ctx)
	cancel() // look once and do not wait
	var found []finding
	checked := 0
	for i := range m.Apps {
		a := &m.Apps[i]
		ports := []struct {
			key  string
			port int
		}{{"sidecar.http_port", a.HTTPPort}, {"sidecar.grpc_port", a.GRPCPort}, {"port", a.Port}}
		if a.External() { // its port is in use, as it should be
			ports = ports[:2]
		}
		for _, p := range ports {
			key, port := p.key, p.port
			if port == 0 {
				continue
			}
			checked++
			if err := proc.WaitPortFree(now, port); err == nil {
				continue
			}
			text := fmt.Sprintf("apps.%s.%s is %d, which is in use", a.ID, key, port)
			if pid, command, ok := proc.PortHolder(port); ok && pid > 0 {
				text += fmt.Sprintf(" by pid %d (%s)", pid, command)
			}
			found = append(found, finding{"error", "port", text, "end that process, or write another number or \"auto\""})
		}
	}
	if len(found) == 0 && checked > 0 {
		found = append(found, finding{"ok", "port", plural(checked, "fixed port") + " free", ""})
	}
	return found
}

// runFolder is where, below the project folder, a mesh notes what it has started.
const runFolder = ".mesh"
