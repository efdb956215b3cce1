// Streams measures what a stream costs through the mesh: the time until the
// first byte comes back and the peak memory of the mesh process, for a 70 KB
// body sent slowly and for a 1 GiB body in each direction, on every transport,
// beside the same app called directly. It prints a Markdown table and writes
// every single figure as CSV.
//
//	go run ./bench/streams -csv streams.csv
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

type options struct {
	mesh  string // binary to measure; empty: built from this module
	size  int64  // of the large bodies, in bytes
	runs  int
	csv   string
	ways  []string
	limit int // of the slow call, in bytes
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "streams:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 1 {
		switch args[0] { // the roles in which mesh starts this program again
		case "serve":
			return serve(ctx)
		case "idle":
			<-ctx.Done()
			return nil
		}
	}
	o := options{limit: 70_000}
	var ways string
	var mib int64
	flags := flag.NewFlagSet("streams", flag.ContinueOnError)
	flags.StringVar(&o.mesh, "mesh", "", "the mesh `binary` to measure (default: build this module)")
	flags.Int64Var(&mib, "size", 1024, "size of the large bodies in `MiB`")
	flags.IntVar(&o.runs, "runs", 3, "runs of each case; the table shows medians")
	flags.StringVar(&o.csv, "csv", "", "`file` for every single figure")
	flags.StringVar(&ways, "ways", "direct,auto,grpc,unary", "what to measure")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.size, o.ways = mib<<20, strings.Split(ways, ",")
	if o.runs < 1 || mib < 1 {
		return errors.New("-runs and -size start at 1")
	}
	dir, err := os.MkdirTemp("", "mesh-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.mesh == "" {
		if o.mesh, err = build(ctx, dir); err != nil {
			return err
		}
	}
	var all []figure
	for _, way := range o.ways {
		figures, err := measureWay(ctx, o, dir, way)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", way, err)
		}
		all = append(all, figures...)
	}
	if o.csv != "" {
		if err := writeCSV(o.csv, all); err != nil {
			return err
		}
	}
	return writeTable(os.Stdout, o, all)
}

// build compiles the mesh of this module.
func build(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "mesh")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "mesh")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building mesh: %w", err)
	}
	return bin, nil
}

// measureWay runs every case one way: straight to the app, or through a mesh
// with that transport.
func measureWay(ctx context.Context, o options, dir, way string) ([]figure, error) {
	var all []figure
	for _, c := range cases(o) {
		figures, err := measureCase(ctx, o, filepath.Join(dir, way+"-"+c.name), way, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		all = append(all, figures...)
	}
	return all, nil
}

// measureCase runs one case in a mesh of its own, so that no other case has
// left its mark on the memory.
func measureCase(ctx context.Context, o options, dir, way string, c one) ([]figure, error) {
	transport := way
	if way == "direct" {
		transport = "auto" // the app still needs something that runs it
	}
	m, err := startMesh(ctx, o.mesh, dir, transport)
	if err != nil {
		return nil, err
	}
	defer m.stop()
	base := m.sidecar
	if way == "direct" {
		base = m.app
	}
	if err := m.ready(ctx, base); err != nil {
		return nil, err
	}
	idle := watch(m.cmd.Process.Pid).resident
	var all []figure
	for n := range o.runs {
		fmt.Fprintf(os.Stderr, "%s: %s, run %d of %d\n", way, c.name, n+1, o.runs)
		f := measure(ctx, m, base, c)
		f.way, f.run, f.idle = way, n+1, idle
		all = append(all, f)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return all, nil
}
