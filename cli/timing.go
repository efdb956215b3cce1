package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"mesh/supervisor/state"
)

// startup is how an app's first instance came up with the mesh.
type startup struct {
	app                    string
	asked, started, up     time.Time // up is zero as long as it is not ready
	after                  string    // the app that it waited for last; "": none
	waited, startedIn, all time.Duration
}

// startups gives the apps that the mesh has started with in the order in which
// they became ready, and those that are not last.
func startups(m *state.Mesh) []startup {
	byApp := map[string]startup{}
	for _, a := range m.Apps {
		if len(a.Instances) == 0 {
			continue
		}
		in := a.Instances[0].Startup
		if in == (state.Startup{}) && a.Instances[0].Phase != state.Pending {
			continue // an edit or a command has added it later
		}
		s := startup{app: a.ID, asked: in.Asked, started: in.Started, up: in.Ready}
		if a.External {
			s.started, s.asked = in.Ready, in.Ready
		}
		byApp[a.ID] = s
	}
	var all []startup
	for _, a := range m.Apps {
		s, ok := byApp[a.ID]
		if !ok {
			continue
		}
		var latest time.Time
		for _, d := range a.DependsOn {
			dep := byApp[d.App]
			at := dep.up
			if d.Condition == "started" {
				at = dep.started
			}
			if at.After(latest) && !at.After(s.started) && at.After(s.asked) {
				latest, s.after = at, d.App
			}
		}
		if !s.started.IsZero() {
			s.waited = s.started.Sub(s.asked)
		}
		if !s.up.IsZero() {
			s.startedIn, s.all = s.up.Sub(s.started), s.up.Sub(m.Started)
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b startup) int {
		switch {
		case a.up.IsZero() != b.up.IsZero():
			if a.up.IsZero() {
				return 1
			}
			return -1
		default:
			return a.up.Compare(b.up)
		}
	})
	return all
}

// criticalPath gives the chain of apps that ended last: each waited for the one
// before it.
func criticalPath(all []startup) (path []startup) {
	byApp := map[string]startup{}
	var last startup
	for _, s := range all {
		byApp[s.app] = s
		if s.up.After(last.up) {
			last = s
		}
	}
	for s := last; s.app != ""; s = byApp[s.after] {
		path = append(path, s)
	}
	slices.Reverse(path)
	return path
}

// timing prints how the mesh came up, and what to make faster to have it sooner.
func timing(out io.Writer, m *state.Mesh) error {
	all := startups(m)
	path := criticalPath(all)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "APP\tWAITED\tTHEN TOOK\tREADY AFTER\tWAITED FOR\t") // Flush says when it fails
	for _, s := range all {
		mark := ""
		if slices.ContainsFunc(path, func(p startup) bool { return p.app == s.app }) {
			mark = "*"
		}
		ready, took, after := "not yet", "-", s.after
		if !s.up.IsZero() {
			ready, took = precise(s.all), precise(s.startedIn)
		}
		if after == "" {
			after = "-"
		}
		_, _ = fmt.Fprintf(t, "%s%s\t%s\t%s\t%s\t%s\t\n", s.app, mark, precise(s.waited), took, ready, after)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	if len(path) == 0 {
		return nil
	}
	var steps []string
	for _, s := range path {
		steps = append(steps, s.app+" "+precise(s.startedIn))
	}
	_, err := fmt.Fprintf(out, "\ncritical path (*): %s; ready after %s\n", strings.Join(steps, " > "), precise(path[len(path)-1].all))
	return printed(err)
}

// precise writes a duration in milliseconds, or seconds with as much detail.
func precise(d time.Duration) string { return max(d, 0).Round(time.Millisecond).String() }
