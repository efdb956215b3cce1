package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mesh/latency"
	"mesh/supervisor/state"
)

// benchFlags is what the flags of `mesh bench` say.
type benchFlags struct {
	count, concurrency int
	keep               bool
	path               string
	csv, svg, png      string
	with               []string
}

func newBench(env Env) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench [APP]",
		Short: "Measure the latency of the running mesh, hop by hop",
		Long: `bench makes round trips to /v1.0/healthz of a sidecar, to an app through its own
sidecar, and from another app's sidecar to it, and prints quartiles, tail, a box
plot and the course over time. Like ab, it makes a connection for each round
trip unless --keep-alive is given. APP is the first app with a port unless named.
The app is asked for GET /, or for --path; every answer counts, the column status
says which it was, and answers of 400 and above are pointed out.

--with reads what an earlier bench wrote with --csv, or what ab -g wrote, and
puts it beside. No app need run then: with --count 0 nothing is measured.`,
		Example: `  mesh bench
  mesh bench orders --path healthz -n 10000 -c 8 --keep-alive
  mesh bench --csv before.csv; …; mesh bench --with before.csv --svg both.svg
  ab -g old.ab -n 10000 http://localhost:3500/v1.0/healthz; mesh bench --with old.ab`,
		ValidArgsFunction: completeFirst(completeApps(env)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(errors.New("bench takes one app at most"))
			}
			return bench(cmd.Context(), env, f, strings.Join(args, ""))
		},
	}
	flags := cmd.Flags()
	flags.IntVarP(&f.count, "count", "n", 1000, "round trips to each target")
	flags.IntVarP(&f.concurrency, "concurrency", "c", 1, "how many at a time")
	flags.BoolVarP(&f.keep, "keep-alive", "k", false, "keep connections open")
	flags.StringVar(&f.path, "path", "", "the method of the app that is called, such as healthz (default /)")
	flags.StringVar(&f.csv, "csv", "", "write every round trip to this file")
	flags.StringVar(&f.svg, "svg", "", "write a picture to this file")
	flags.StringVar(&f.png, "png", "", "write a picture to this file")
	flags.StringArrayVar(&f.with, "with", nil, "compare with this file of --csv or ab -g; may be repeated")
	return cmd
}

func bench(ctx context.Context, env Env, f benchFlags, app string) error {
	if f.count < 0 || f.concurrency < 1 {
		return usage(errors.New("--count cannot be negative, and --concurrency starts at 1"))
	}
	var all []*latency.Series
	for _, name := range f.with {
		series, err := readSeries(env.path(name))
		if err != nil {
			return err
		}
		all = append(all, series...)
	}
	fresh := all // of files alone, all of it is written
	if f.count > 0 {
		var err error
		if fresh, err = measureMesh(ctx, env, f, app); err != nil {
			return err
		}
		all = append(all, fresh...)
	}
	if len(all) == 0 {
		return usage(errors.New("there is nothing to show: --count is 0 and no file was given"))
	}
	title := "round trips, " + time.Now().Format("2 January 2006 15:04")
	for _, out := range []struct {
		file  string
		write func(io.Writer) error
	}{
		{f.csv, func(w io.Writer) error { return latency.WriteCSV(w, fresh) }},
		{f.svg, func(w io.Writer) error { return latency.SVG(w, title, all) }},
		{f.png, func(w io.Writer) error { return latency.PNG(w, title, all) }},
	} {
		if out.file == "" {
			continue
		}
		var b bytes.Buffer
		if err := out.write(&b); err != nil {
			return err
		}
		if err := os.WriteFile(env.path(out.file), b.Bytes(), 0o644); err != nil { //nolint:gosec // a report for everyone
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	show(env, all)
	for _, s := range fresh {
		if text := refusal(s, f.path); text != "" {
			_, _ = fmt.Fprintln(env.Stderr, "mesh: "+text)
		}
	}
	return nil
}

// refusal says that the figures of a run are those of refusals, and how to
// measure something else; "" when they are not.
func refusal(s *latency.Series, path string) string {
	n := s.Refused()
	if n == 0 {
		return ""
	}
	text := fmt.Sprintf("%s: %d of %d answers are errors (%s); the figures are those of a refusal, not of work done", s.Name, n, len(s.Samples), s.Answers())
	if strings.Contains(s.Name, healthzTarget) {
		return text + "; mesh doctor says what its sidecar lacks"
	}
	return text + fmt.Sprintf("; GET /%s was asked for, --path names another method of the app", strings.TrimPrefix(path, "/"))
}

func readSeries(file string) ([]*latency.Series, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("opening a file to compare with: %w", err)
	}
	defer in.Close()
	series, err := latency.Read(in, filepath.Base(file))
	for _, s := range series {
		if base := filepath.Base(file); s.Name != base {
			s.Name = strings.TrimSuffix(base, ".csv") + ": " + s.Name
		}
	}
	return series, err
}

// healthzTarget is what the first target is called.
const healthzTarget = "healthz of the sidecar"

// target is one way of measuring a mesh.
type target struct {
	name, url string
}

// benchTargets gives what can be measured of an app: its sidecar, the app through
// it, and the app from another one's.
func benchTargets(m *state.Mesh, app, path string) ([]target, error) {
	callee := chooseApp(m, app)
	if callee == nil {
		if app != "" {
			return nil, knownTo(m, []string{app})
		}
		return nil, &hinted{errors.New("no app of the mesh listens on a port"), "bench needs an app to call; name one, or give one a port"}
	}
	if len(callee.Instances) == 0 {
		return nil, fmt.Errorf("%s has no instance", callee.ID)
	}
	own := fmt.Sprintf("http://127.0.0.1:%d", callee.Instances[0].HTTPPort)
	method := "/v1.0/invoke/" + callee.ID + "/method/" + strings.TrimPrefix(path, "/")
	targets := []target{
		{healthzTarget, own + "/v1.0/healthz"},
		{callee.ID + " through its sidecar", own + method},
	}
	for i := range m.Apps {
		a := &m.Apps[i]
		if a.ID != callee.ID && len(a.Instances) > 0 {
			return append(targets, target{a.ID + " ▸ " + callee.ID, fmt.Sprintf("http://127.0.0.1:%d", a.Instances[0].HTTPPort) + method}), nil
		}
	}
	return targets, nil
}

func chooseApp(m *state.Mesh, id string) *state.App {
	if id != "" {
		return m.Find(id)
	}
	for i := range m.Apps {
		if a := &m.Apps[i]; len(a.Instances) > 0 && a.Instances[0].AppPort > 0 {
			return a
		}
	}
	return nil
}

func measureMesh(ctx context.Context, env Env, f benchFlags, app string) ([]*latency.Series, error) {
	c, err := env.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	targets, err := benchTargets(c.State(), app, f.path)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	token, err := c.Token(ctx)
	if err != nil {
		return nil, err
	}
	if token != "" {
		header.Set(tokenHeader, token)
	}
	var all []*latency.Series
	for _, t := range targets {
		bar := env.progress(t.name, f.count)
		warm := latency.Run{Name: t.name, URL: t.url, Header: header, Count: min(f.count, 20), Concurrency: 1, KeepAlive: f.keep}
		if _, err := latency.Measure(ctx, warm); err != nil {
			return nil, err
		}
		s, err := latency.Measure(ctx, latency.Run{
			Name: t.name, URL: t.url, Header: header, Count: f.count, Concurrency: f.concurrency, KeepAlive: f.keep, Progress: bar,
		})
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	env.progress("", 0)(0)
	return all, nil
}

// progress draws a bar on stderr while somebody looks at it; a run of nothing
// takes the bar away.
func (e Env) progress(name string, count int) func(int) {
	if !e.StdoutTTY {
		return func(int) {}
	}
	var mu sync.Mutex
	drawn := -1
	return func(done int) {
		mu.Lock()
		defer mu.Unlock()
		if count == 0 {
			_, _ = fmt.Fprint(e.Stderr, "\r\x1b[K")
			return
		}
		if part := 40 * done / count; part > drawn {
			drawn = part
			_, _ = fmt.Fprintf(e.Stderr, "\r%-40s %s", strings.Repeat("█", part)+strings.Repeat("░", 40-part), name)
		}
	}
}

func show(env Env, all []*latency.Series) {
	width := 100
	if f, ok := env.Stdout.(*os.File); ok && env.StdoutTTY {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			width = w
		}
	}
	latency.Table(env.Stdout, all)
	_, _ = fmt.Fprintln(env.Stdout)
	latency.Compare(env.Stdout, all)
	latency.Boxes(env.Stdout, all, width-8)
	_, _ = fmt.Fprintln(env.Stdout)
	for _, s := range all {
		_, _ = fmt.Fprintf(env.Stdout, "%s  %s over time\n", s.Course(min(60, width-30)), s.Name)
	}
}
