package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mesh/mdnsresolve"
	"mesh/runtime/run"
	"mesh/supervisor"
	"mesh/supervisor/config"
	"mesh/supervisor/control"
)

// examineNames says for each app id whether it can be found from here, by whom,
// and if not, why. A mesh that runs is asked: its sidecars know best.
func examineNames(ctx context.Context, env Env, ids []string) []finding {
	iface, dir, others := "loopback", "", []string(nil)
	if file, err := env.find(); err == nil {
		dir = filepath.Dir(file)
		if c, err := config.Load(file, config.Options{Environ: env.Environ}); err == nil {
			iface, others = c.Interface, unasked(c)
		}
	}
	if dir != "" {
		found, err := askedNames(ctx, dir, ids)
		if err == nil {
			return found
		}
		if !errors.Is(err, control.ErrNotRunning) {
			return []finding{{"error", "name", err.Error(), ""}}
		}
	}
	return multicastNames(ctx, iface, ids, others)
}

// askedNames has the mesh that runs in a folder look for the apps.
func askedNames(ctx context.Context, dir string, ids []string) ([]finding, error) {
	c, err := control.Dial(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	m, err := c.Fetch(ctx)
	if err != nil {
		return nil, err
	}
	var found []finding
	for _, id := range ids {
		e, err := c.Explain(ctx, id)
		if err != nil {
			return nil, err
		}
		f := finding{"ok", "name", strings.Join(unique(e.Said), "\n"), ""}
		switch {
		case e.Found:
		case m.Find(id) != nil:
			f.Level, f.Hint = "warning", "mesh logs "+id+" says why"
		default:
			f.Level, f.Hint = "error", notAnnounced
		}
		found = append(found, f)
	}
	return found, nil
}

const notAnnounced = "an app is announced by its sidecar: `mesh ps` where it should run says whether there is one"

// unique drops sentences that are said again: of several instances it may be the same.
func unique(all []string) []string {
	var said []string
	for _, text := range all {
		if !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	return said
}

// unasked gives the resolvers that only a sidecar can ask: with some of them
// whoever asks is also registered.
func unasked(m *config.Mesh) []string {
	var kinds []string
	for _, kind := range supervisor.Resolvers(m) {
		if kind != "mdns" {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// multicastNames asks for apps by mDNS only.
func multicastNames(ctx context.Context, iface string, ids, others []string) (found []finding) {
	r, err := mdnsresolve.New(mdnsresolve.Options{Interface: iface, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return []finding{{"error", "name", "nobody can be asked by mDNS: " + err.Error(), "see mdns.interface in mesh.toml"}}
	}
	var g run.Group
	g.Add("mDNS", r.Run)
	g.Add("asking", func(ctx context.Context) error {
		for _, id := range ids {
			f := multicastName(ctx, r, id)
			if len(others) > 0 {
				f.Text += fmt.Sprintf("\nno mesh runs here, so that %s cannot be asked", strings.Join(others, " and "))
			}
			found = append(found, f)
		}
		return errAsked
	})
	if err := g.Run(ctx); err != nil && !errors.Is(err, errAsked) {
		found = append(found, finding{"error", "name", err.Error(), ""})
	}
	return found
}

var errAsked = errors.New("every name has been asked for")

// multicastName asks for one app.
func multicastName(ctx context.Context, r *mdnsresolve.Responder, id string) finding {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	f := finding{Level: "ok", About: "name"}
	if _, err := r.Resolve(ctx, id); err != nil {
		f.Level, f.Hint = "error", notAnnounced
	}
	f.Text = strings.Join(unique(r.Explain(id)), "\n")
	return f
}
