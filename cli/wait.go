package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

// redial is how often wait looks for a mesh that does not run yet.
const redial = 50 * time.Millisecond

func newWait(env Env) *cobra.Command {
	condition, timeout := "ready", time.Minute
	cmd := &cobra.Command{
		Use:   "wait [APP…]",
		Short: "Wait until apps are ready, completed or started",
		Long: `wait returns when every instance of the apps, or of all apps, is in the state that
is waited for. It also waits for the mesh itself, so it may be called right after
` + "`mesh up --headless &`" + `. An app that has completed counts as ready.

It exits with 0 when the state is reached, with 1 when it cannot be reached any
more because an app has failed for good or the mesh has ended, and with 124 when
the time is over.`,
		Example: `  mesh wait
  mesh wait orders inventory --for ready --timeout 30s
  mesh wait migrate --for completed && mesh invoke orders /check`,
		ValidArgsFunction: completeApps(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"ready", "completed", "started"}, condition) {
				return usage(&hinted{fmt.Errorf("there is no state %q to wait for", condition), "use --for ready, --for completed or --for started"})
			}
			return wait(cmd.Context(), env, args, condition, timeout)
		},
	}
	cmd.Flags().StringVar(&condition, "for", condition, "ready, completed or started")
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long at most; 0: without end")
	return cmd
}

// errTime says that the time of a wait is over.
var errTime = errors.New("the time is over")

func wait(ctx context.Context, env Env, apps []string, condition string, timeout time.Duration) error {
	file, err := env.find()
	if err != nil {
		return err
	}
	within := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeoutCause(ctx, timeout, errTime)
		defer cancel()
	}
	c, err := dialWhenUp(within, filepath.Dir(file))
	if err != nil {
		return overtime(err, timeout, "the mesh does not run yet")
	}
	defer c.Close()
	missing := "the mesh does not answer"
	for m, err := range c.Watch(within) {
		if err != nil {
			return overtime(err, timeout, missing)
		}
		if err := knownTo(m, apps); err != nil {
			return err
		}
		open, err := verdict(m, apps, condition)
		if err != nil {
			return err
		}
		if len(open) == 0 {
			return nil
		}
		missing = strings.Join(open, "\n")
	}
	return fmt.Errorf("the mesh has ended before that: %s", missing)
}

// overtime makes the end of the time an error of its own, with what was missing.
func overtime(err error, timeout time.Duration, missing string) error {
	if !errors.Is(err, errTime) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &exitError{exitTimeout, &hinted{fmt.Errorf("not within %v:\n%s", timeout, missing), "`mesh ps` and `mesh logs` show more; --timeout gives more time"}}
}

// dialWhenUp connects to the mesh as soon as it runs.
func dialWhenUp(ctx context.Context, dir string) (*control.Client, error) {
	tick := time.NewTicker(redial)
	defer tick.Stop()
	for {
		c, err := control.Dial(ctx, dir)
		if !errors.Is(err, control.ErrNotRunning) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// verdict gives what is still missing for a condition, in words; nothing when it
// holds; and an error when it cannot come to hold by itself.
func verdict(m *state.Mesh, apps []string, condition string) (open []string, err error) {
	for _, a := range only(m, apps).Apps {
		if len(a.Instances) == 0 && len(apps) > 0 { // asked for by name
			open = append(open, a.ID+" has no instances")
		}
		for _, in := range a.Instances {
			if holds(&in, condition) {
				continue
			}
			words := fmt.Sprintf("%s is %s", in.Name, in.Phase)
			if in.Reason != "" {
				words += ": " + in.Reason
			}
			if in.Phase == state.Failed {
				return nil, &hinted{errors.New(words), fmt.Sprintf("see `mesh logs %s`", in.Name)}
			}
			open = append(open, words)
		}
	}
	return open, nil
}

func holds(in *state.Instance, condition string) bool {
	switch condition {
	case "completed":
		return in.Phase == state.Done
	case "started":
		return in.Phase.Live() || in.Phase == state.Done || !in.Started.IsZero()
	default:
		return in.Phase == state.Ready || in.Phase == state.Done
	}
}
