package supervisor

import (
	"context"
	"fmt"

	"mesh/supervisor/config"
	"mesh/supervisor/console"
)

// Terminal gives what people share of the terminal of an instance, or of an
// app's first one. The error says why there is none, and what to do about it.
func (s *Supervisor) Terminal(ctx context.Context, name string) (*console.Console, error) {
	units, err := s.find(ctx, name)
	if err != nil {
		return nil, err
	}
	u := units[0]
	a := u.config()
	switch {
	case u.external:
		return nil, fmt.Errorf("%s is external: mesh does not run its process", u.name)
	case !a.PTY:
		return nil, &noTerminalError{a}
	}
	return &u.console, nil
}

// noTerminalError says that an app does not run at a terminal.
type noTerminalError struct{ app *config.App }

func (e *noTerminalError) Error() string { return e.app.ID + " has no terminal" }

// Advice says how it gets one.
func (e *noTerminalError) Advice() string {
	return fmt.Sprintf("set `pty = true` under [apps.%s] in mesh.toml; saving it restarts the app at a terminal of its own", e.app.ID)
}
