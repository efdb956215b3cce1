// Hops measures what a hop costs. In one run, with one app and one load, it
// calls the app directly, through a Go reverse proxy, nginx, haproxy, two nginx
// in a row, mesh on each transport, and two daprd when MESH_BENCH_DAPRD names
// the binary. It prints a table with ratios and writes CSV and an SVG chart.
//
//	go run ./bench/hops -csv hops.csv -svg hops.svg
//
// Everything listens on loopback. nginx and haproxy are left out, and said to
// be, where they are not installed.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	mesh  string
	calls int
	size  int64
	ways  []string
	csv   string
	svg   string
	large bool // also the measures of many streams and many sidecars
	small bool // only the small calls
	turns int  // in which the ways take the small calls
	dir   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "hops:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] { // the roles in which this program is started again
		case "app":
			return serveApp(args[1])
		case "proxy":
			return serveProxy(args[1], args[2])
		case "idle":
			<-ctx.Done()
			return nil
		}
	}
	var o options
	var mib int64
	var ways string
	flags := flag.NewFlagSet("hops", flag.ContinueOnError)
	flags.StringVar(&o.mesh, "mesh", "", "the mesh `binary` to measure (default: build this module)")
	flags.IntVar(&o.calls, "calls", 20_000, "small calls for each way and turn")
	flags.IntVar(&o.turns, "turns", 5, "how often every way has its turn with small calls; the medians count")
	flags.BoolVar(&o.small, "small", false, "measure small calls only")
	flags.Int64Var(&mib, "size", 1024, "size of the large bodies in `MiB`")
	flags.StringVar(&ways, "ways", "direct,reverseproxy,nginx,haproxy,nginx2,mesh-auto,mesh-grpc,mesh-unary,daprd", "what to measure")
	flags.StringVar(&o.csv, "csv", "", "`file` for the figures")
	flags.StringVar(&o.svg, "svg", "", "`file` for a chart of CPU per call")
	flags.BoolVar(&o.large, "large", true, "also measure 10,000 live streams and 100 idle sidecars")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.size, o.ways = mib<<20, strings.Split(ways, ",")
	dir, err := os.MkdirTemp("", "mesh-hops-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o.dir = dir
	if o.mesh == "" {
		o.mesh = filepath.Join(dir, "mesh")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.mesh, "mesh")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("building mesh: %w", err)
		}
	}
	return measureAll(ctx, o)
}

func measureAll(ctx context.Context, o options) error {
	app, err := startApp(ctx)
	if err != nil {
		return err
	}
	defer app.stop()
	ways, err := startWays(ctx, o, app.addr)
	defer func() {
		for _, w := range ways {
			w.stop()
		}
	}()
	if err != nil {
		return err
	}
	rows, err := measureSmall(ctx, o, ways)
	if err != nil {
		return err
	}
	for i, w := range ways {
		if !o.small {
			fmt.Fprintln(os.Stderr, "measuring streams and large bodies:", w.name)
			if err := measureStreams(ctx, o, w, &rows[i]); err != nil {
				return fmt.Errorf("measuring %s: %w", w.name, err)
			}
		}
		w.stop()
	}
	ways = nil
	var many *many
	if o.large && !o.small && slices.ContainsFunc(o.ways, func(w string) bool { return strings.HasPrefix(w, "mesh") }) {
		if many, err = measureMany(ctx, o, app.addr); err != nil {
			return err
		}
	}
	printTable(os.Stdout, rows, many)
	if o.csv != "" {
		if err := writeFile(o.csv, csvOf(rows, many)); err != nil {
			return err
		}
	}
	if o.svg != "" {
		return writeFile(o.svg, chart(rows))
	}
	return nil
}

// startWays starts all ways, those that are not installed excepted. The caller
// stops them, also after an error.
func startWays(ctx context.Context, o options, app string) (ways []*way, err error) {
	for _, name := range o.ways {
		w, err := startWay(ctx, o, name, app)
		if errors.Is(err, errAbsent) {
			fmt.Fprintf(os.Stderr, "%s: %v, left out\n", name, err)
			continue
		}
		if err != nil {
			return ways, fmt.Errorf("starting %s: %w", name, err)
		}
		ways = append(ways, w)
	}
	return ways, nil
}

// row is what was measured of one way.
type row struct {
	way    string
	one    small
	many   small
	down   large
	up     large
	chunk  time.Duration // median time of a chunk from the app to the client
	first  time.Duration // until the first byte of the answer to a slow upload
	failed []string      // what this way cannot do
}

type small struct {
	rate     float64       // calls per second
	cpu      time.Duration // per call, of everything between client and app
	p50, p99 time.Duration
}

type large struct {
	rate   float64       // bytes per second
	cpu    time.Duration // for the whole body
	growth int64         // of resident memory, bytes
}

// measureSmall makes the small calls and times chunks. The ways take turns, so
// that whatever else the machine does meets all of them; of all turns the median
// counts.
func measureSmall(ctx context.Context, o options, ways []*way) ([]row, error) {
	one, many, chunk := make([][]small, len(ways)), make([][]small, len(ways)), make([][]time.Duration, len(ways))
	failed := make([][]string, len(ways))
	for turn := range o.turns {
		for i, w := range ways {
			fmt.Fprintf(os.Stderr, "measuring small calls, turn %d of %d: %s\n", turn+1, o.turns, w.name)
			if _, err := w.load(ctx, 8, 1_000); err != nil { // warm up
				return nil, fmt.Errorf("warming %s up: %w", w.name, err)
			}
			a, err := w.small(ctx, 1, o.calls/4)
			if err != nil {
				return nil, fmt.Errorf("measuring %s: %w", w.name, err)
			}
			b, err := w.small(ctx, 32, o.calls)
			if err != nil {
				return nil, fmt.Errorf("measuring %s: %w", w.name, err)
			}
			one[i], many[i] = append(one[i], a), append(many[i], b)
			if o.small {
				continue
			}
			if c, err := w.chunks(ctx, 200); err == nil {
				chunk[i] = append(chunk[i], c)
			} else if len(failed[i]) == 0 {
				failed[i] = []string{"chunk: " + err.Error()}
			}
		}
	}
	rows := make([]row, len(ways))
	for i, w := range ways {
		rows[i] = row{way: w.name, one: median(one[i]), many: median(many[i]), failed: failed[i]}
		if n := len(chunk[i]); n > 0 {
			slices.Sort(chunk[i])
			rows[i].chunk = chunk[i][n/2]
		}
	}
	return rows, ctx.Err()
}

// median gives the medians of all figures.
func median(all []small) small {
	of := func(figure func(small) float64) float64 {
		figures := make([]float64, len(all))
		for i, s := range all {
			figures[i] = figure(s)
		}
		slices.Sort(figures)
		return figures[len(figures)/2]
	}
	return small{
		rate: of(func(s small) float64 { return s.rate }),
		cpu:  time.Duration(of(func(s small) float64 { return float64(s.cpu) })),
		p50:  time.Duration(of(func(s small) float64 { return float64(s.p50) })),
		p99:  time.Duration(of(func(s small) float64 { return float64(s.p99) })),
	}
}

// measureStreams measures what is neither a small call nor a chunk. What a way cannot do is no
// error but a word in its row.
func measureStreams(ctx context.Context, o options, w *way, r *row) error {
	var err error
	if r.first, err = w.slowUpload(ctx); err != nil {
		r.failed = append(r.failed, "slow upload: "+err.Error())
	}
	if r.down, err = w.bodies(ctx, "GET", o); err != nil {
		r.failed = append(r.failed, "down: "+err.Error())
	}
	if r.up, err = w.bodies(ctx, "POST", o); err != nil {
		r.failed = append(r.failed, "up: "+err.Error())
	}
	return ctx.Err()
}

// bodies moves a large body a few times and gives the median by rate, with the
// most that memory grew.
func (w *way) bodies(ctx context.Context, verb string, o options) (large, error) {
	var all []large
	var growth int64
	for range min(o.turns, 3) {
		l, err := w.body(ctx, verb, o.size)
		if err != nil {
			return l, err
		}
		all, growth = append(all, l), max(growth, l.growth)
	}
	slices.SortFunc(all, func(a, b large) int { return cmp.Compare(a.rate, b.rate) })
	l := all[len(all)/2]
	l.growth = growth
	return l, nil
}
