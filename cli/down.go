package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

// quiet is how long ending may take before we name who is still stopping.
const quiet = time.Second

func newDown(env Env) *cobra.Command {
	noWait := false
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End the mesh and everything it has started",
		Long: `down ends the running mesh: every app is asked to stop, those that do not are
killed when their grace is over. It returns when nothing is left. When no mesh
runs it says so and succeeds.`,
		Example: `  mesh down
  mesh down --no-wait`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return down(cmd.Context(), env, noWait) },
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return at once")
	return cmd
}

func down(ctx context.Context, env Env, noWait bool) error {
	c, err := env.dial(ctx)
	if errors.Is(err, control.ErrNotRunning) {
		_, _ = fmt.Fprintln(env.Stderr, err)
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	if noWait {
		return c.Post(ctx, state.Command{Op: state.Down})
	}
	life, end := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		showStopping(life, env, c)
	}()
	defer func() { end(); <-watched }()
	err = c.Do(ctx, state.Command{Op: state.Down})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if refused, ok := errors.AsType[*control.Error](err); ok {
		return refused
	}
	// A mesh that ends may not be able to answer any more: what counts is that
	// it is gone.
	return c.Gone(ctx)
}

// showStopping names the instances that take long to stop.
func showStopping(ctx context.Context, env Env, c *control.Client) {
	states := make(chan *state.Mesh, 1)
	go func() { // joined by the range below
		defer close(states)
		for m, err := range c.Watch(ctx) {
			if err != nil {
				return
			}
			select {
			case states <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	late := time.After(quiet)
	var live, shown []string
	for {
		select {
		case m, more := <-states:
			if !more {
				return
			}
			live = stillLive(m)
		case <-late:
			late = nil
		}
		if late == nil && len(live) > 0 && !slices.Equal(live, shown) {
			shown = live
			_, _ = fmt.Fprintf(env.Stderr, "still stopping: %s\n", strings.Join(live, ", "))
		}
	}
}

// stillLive gives the instances that have a process.
func stillLive(m *state.Mesh) (names []string) {
	for _, a := range m.Apps {
		for _, in := range a.Instances {
			if in.Phase.Live() && in.PID != 0 {
				names = append(names, in.Name)
			}
		}
	}
	return names
}
