package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mesh/runtime"
	"mesh/runtime/run"
	"mesh/standalone"
	"mesh/supervisor/control"
	"mesh/supervisor/watch"
)

// newSidecar gives `mesh sidecar`.
func newSidecar(env Env) *cobra.Command {
	f := &sidecarFlags{}
	cmd := &cobra.Command{
		Use:   "sidecar --app-id ID [flags]",
		Short: "Run one sidecar by itself, as daprd does",
		Long: `Run one sidecar for an app that somebody else starts, here or elsewhere, until
Ctrl-C. Several of them on one host find each other by their app ids.

The flags are those of daprd, with its names and, where they matter, its
defaults, and a link to this program named daprd takes them, too. Flags of daprd
that have no effect here are accepted with a note. A port that is not given is
the usual one, or a free one where that is taken; a link named daprd insists on
the usual ones, listens on all addresses and announces itself on all interfaces.`,
		Example: `  mesh sidecar --app-id orders --app-port 8080
  mesh sidecar --app-id web --app-port 80 --app-channel-address app.internal \
    --config consul.yaml --mdns-interface all`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.sidecar(cmd.Context(), f, cmd.Flags().Changed)
		},
	}
	f.add(cmd.Flags())
	return cmd
}

// isDaprd says whether a program name is that of the program we stand in for.
func isDaprd(program string) bool {
	return strings.TrimSuffix(filepath.Base(program), ".exe") == "daprd"
}

// WantsHangup says whether a program started with these arguments, the first
// being its own name, takes a hangup as a wish to read its configuration anew.
func WantsHangup(argv []string) bool {
	return len(argv) > 0 && isDaprd(argv[0]) || len(argv) > 1 && argv[1] == "sidecar"
}

// sidecarArgs gives the arguments as they are parsed: a link named daprd means
// `mesh sidecar`, whose long flags may have a single dash, too.
func (e Env) sidecarArgs(args []string) []string {
	switch {
	case isDaprd(e.Program):
		args = append([]string{"sidecar"}, args...)
	case len(args) == 0 || args[0] != "sidecar":
		return args
	}
	all := args[:1:1]
	for _, a := range args[1:] {
		if len(a) > 2 && a[0] == '-' && a[1] != '-' {
			a = "-" + a
		}
		all = append(all, a)
	}
	return all
}

func (e Env) sidecar(ctx context.Context, f *sidecarFlags, given func(flag string) bool) error {
	switch {
	case f.version:
		_, err := fmt.Fprintln(e.Stdout, runtimeVersion())
		return printed(err)
	case f.buildInfo:
		b := control.ThisBuild()
		_, err := fmt.Fprintf(e.Stdout, "Version: %s\nGit Commit: %s\n", b.Version, b.Revision)
		return printed(err)
	case f.wait:
		return waitForOutbound(ctx, int(f.http))
	}
	for _, note := range f.notes(given) {
		_, _ = fmt.Fprintln(e.Stderr, "mesh: note: "+note)
	}
	log, closeLog, err := e.sidecarLog(f)
	if err != nil {
		return err
	}
	defer closeLog()
	s, o, err := e.bindSidecar(f, given, log)
	if err != nil {
		return err
	}
	p := s.Ports()
	log.InfoContext(ctx, "the sidecar listens", slog.Int("http", p.HTTP), slog.Int("grpc", p.GRPC), slog.Int("internal", p.Internal), slog.Int("metrics", p.Metrics))
	err = e.runSidecar(ctx, s, o)
	if errors.Is(err, standalone.ErrForced) {
		return &exitError{code: exitFailed}
	}
	if err == nil {
		log.InfoContext(ctx, "the sidecar has stopped")
	}
	return err
}

// bindTries is how often ports are looked for. Another sidecar that starts at the
// same moment may take one between the look and the binding.
const bindTries = 5

// bindSidecar makes the sidecar that the flags ask for, at ports of its own.
func (e Env) bindSidecar(f *sidecarFlags, given func(flag string) bool, log *slog.Logger) (*standalone.Sidecar, standalone.Options, error) {
	strict := isDaprd(e.Program)
	for try := 1; ; try++ {
		each := *f
		o, err := each.options(e, given, strict)
		if err != nil {
			return nil, o, err
		}
		o.Log = log
		s, err := standalone.New(o)
		if _, taken := errors.AsType[*runtime.PortError](err); !taken || strict || try == bindTries {
			return s, o, err
		}
	}
}

// runSidecar runs the sidecar, which reads its files anew when they change and
// when a hangup comes.
func (e Env) runSidecar(ctx context.Context, s *standalone.Sidecar, o standalone.Options) error {
	targets := watch.Targets{Files: o.Configs}
	for _, dir := range o.Resources {
		targets.Trees = append(targets.Trees, watch.Tree{Dir: dir, Match: []string{"*.yaml", "*.yml"}})
	}
	watcher, err := watch.New(watch.Options{Targets: targets, Changed: func(w watch.Event) {
		if w.Err != nil {
			o.Log.WarnContext(ctx, "changes of files may be seen late", slog.Any("error", w.Err), slog.String("hint", w.Hint))
		}
		s.Reload()
	}})
	if err != nil {
		s.Close()
		return err
	}
	beside, end := context.WithCancel(context.WithoutCancel(ctx))
	var helpers run.Group
	helpers.Add("watch", watcher.Run)
	helpers.Add("collector", newCollector().Run)
	helpers.Add("hangups", func(ctx context.Context) error {
		for {
			select {
			case <-e.Hangup:
				s.Reload()
			case <-ctx.Done():
				return nil
			}
		}
	})
	ended := make(chan error, 1)
	go func() { ended <- helpers.Run(beside) }() // joined below
	err = s.Run(ctx)
	end()
	if e := <-ended; e != nil {
		o.Log.WarnContext(ctx, "watching files ended badly", slog.Any("error", e))
	}
	return err
}

// runtimeVersion is what the metadata of the sidecar says: x.y.z, or edge for
// what is no release.
func runtimeVersion() string {
	if v := regexp.MustCompile(`^v?(\d+\.\d+\.\d+)$`).FindStringSubmatch(control.ThisBuild().Version); v != nil {
		return v[1]
	}
	return "edge"
}

// waitForOutbound returns when the sidecar of that port may be used by its app.
func waitForOutbound(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + "/v1.0/healthz/outbound"
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return fmt.Errorf("asking the sidecar: %w", err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusNoContent {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return &exitError{code: exitFailed, err: fmt.Errorf("the sidecar at port %d was not ready within a minute", port)}
		case <-tick.C:
		}
	}
}

// sidecarLog gives the log of a sidecar in the form that daprd's has.
func (e Env) sidecarLog(f *sidecarFlags) (log *slog.Logger, closeLog func(), err error) {
	to := e.Stdout
	closeLog = func() {}
	if f.logFile != "" {
		file, err := os.OpenFile(e.path(f.logFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, nil, fmt.Errorf("opening the log: %w", err)
		}
		to, closeLog = file, func() { _ = file.Close() }
	}
	var level slog.Level
	switch f.logLevel {
	case "debug":
		level = slog.LevelDebug
	case "info":
	case "warn", "warning":
		level = slog.LevelWarn
	case "error", "fatal":
		level = slog.LevelError
	default:
		return nil, nil, usage(fmt.Errorf("--log-level is %q: use debug, info, warn, error or fatal", f.logLevel))
	}
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.LevelKey {
			name := strings.ToLower(a.Value.String())
			if name == "warn" {
				name = "warning"
			}
			return slog.String(slog.LevelKey, name)
		}
		return a
	}}
	var h slog.Handler = slog.NewTextHandler(to, o)
	if f.logJSON {
		h = slog.NewJSONHandler(to, o)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return slog.New(h).With(slog.String("app_id", f.appID), slog.String("instance", host), slog.String("scope", "dapr.runtime"),
		slog.String("type", "log"), slog.String("ver", runtimeVersion())), closeLog, nil
}
