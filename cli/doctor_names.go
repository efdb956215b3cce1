package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"mesh/mdnsresolve"
	"mesh/runtime/run"
	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

// examineNames says for each app id whether it can be found from here, by whom,
// and if not, why.
func examineNames(ctx context.Context, env Env, ids []string) []finding {
	var m *state.Mesh
	iface := "loopback"
	if file, err := env.find(); err == nil {
		if c, err := config.Load(file, config.Options{Environ: env.Environ}); err == nil {
			iface = c.Interface
			m, _ = ask(ctx, c.Dir) // without one that runs, there is only mDNS
		}
	}
	found, rest := localNames(m, ids)
	if len(rest) == 0 {
		return found
	}
	r, err := mdnsresolve.New(mdnsresolve.Options{Interface: iface, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return append(found, finding{"error", "name", "nobody can be asked by mDNS: " + err.Error(), "see mdns.interface in mesh.toml"})
	}
	var g run.Group
	g.Add("mDNS", r.Run)
	g.Add("asking", func(ctx context.Context) error {
		for _, id := range rest {
			found = append(found, multicastName(ctx, r, id))
		}
		return errAsked
	})
	if err := g.Run(ctx); err != nil && !errors.Is(err, errAsked) {
		found = append(found, finding{"error", "name", err.Error(), ""})
	}
	return found
}

var errAsked = errors.New("every name has been asked for")

// localNames finds apps of the running mesh, and gives the ids that are none.
func localNames(m *state.Mesh, ids []string) (found []finding, rest []string) {
	for _, id := range ids {
		var a *state.App
		if m != nil {
			a = m.Find(id)
		}
		if a == nil {
			rest = append(rest, id)
			continue
		}
		f := finding{"warning", "name", "", "mesh logs " + id + " says why"}
		var texts []string
		for _, i := range a.Instances {
			texts = append(texts, strings.TrimSpace(fmt.Sprintf("%s is %s %s", i.Name, i.Phase, i.Reason))+fmt.Sprintf(", its sidecar listens at 127.0.0.1:%d", i.PeerPort))
			if i.Phase == state.Ready {
				f.Level, f.Hint = "ok", ""
			}
		}
		f.Text = fmt.Sprintf("%s belongs to the mesh %s: %s", id, m.Name, strings.Join(texts, "; "))
		found = append(found, f)
	}
	return found, rest
}

// multicastName asks for one app.
func multicastName(ctx context.Context, r *mdnsresolve.Responder, id string) finding {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	f := finding{Level: "ok", About: "name"}
	if _, err := r.Resolve(ctx, id); err != nil {
		f.Level, f.Hint = "error", "an app is announced by its sidecar: `mesh ps` where it should run says whether there is one"
	}
	var said []string
	for _, text := range r.Explain(id) { // of several instances it may say the same
		if !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	f.Text = strings.Join(said, "\n")
	return f
}
