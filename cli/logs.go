package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mesh/supervisor/control"
	"mesh/supervisor/logs"
	"mesh/supervisor/state"
)

type logOptions struct {
	follow, json, plain bool
	since, grep, mark   string
	tail                int
}

func newLogs(env Env) *cobra.Command {
	var o logOptions
	cmd := &cobra.Command{
		Use:   "logs [APP…]",
		Short: "Print what the apps have printed",
		Long: `logs prints the lines of output that the mesh remembers, of some apps or
instances or of all, oldest first, and with --follow those to come. Lines of the
mesh itself about an app are among them. With --json each line is an object.

--mark writes a line of your own between those of all apps, here, on the screen
and for those who follow: to find again what was printed before and after it.`,
		Example: `  mesh logs
  mesh logs -f orders inventory-2
  mesh logs --since 5m --grep 'timeout|refused'
  mesh logs --mark 'before the second order'
  mesh logs --json orders | jq -r 'select(.stream == "stderr") | .text'`,
		ValidArgsFunction: completeApps(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("mark") {
				if len(args) > 0 {
					return usage(errors.New("a mark stands between the lines of all apps: name none with --mark"))
				}
				return markLogs(cmd.Context(), env, o.mark)
			}
			return printLogs(cmd.Context(), env, args, o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.follow, "follow", "f", false, "go on with the lines to come")
	flags.BoolVar(&o.json, "json", false, "print JSON, one object per line")
	flags.BoolVar(&o.plain, "no-prefix", false, "print the lines alone, without the instance")
	flags.StringVar(&o.since, "since", "", "lines from this time on: a duration such as 5m, or a time such as 2026-01-02T15:04:05Z or 15:04")
	flags.StringVar(&o.grep, "grep", "", "lines that match this regular expression")
	flags.StringVar(&o.mark, "mark", "", "write this line between those of the apps, and print nothing")
	flags.IntVarP(&o.tail, "tail", "n", 0, "the latest so many lines")
	return cmd
}

func markLogs(ctx context.Context, env Env, text string) error {
	c, err := env.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Mark(ctx, text)
}

func printLogs(ctx context.Context, env Env, apps []string, o logOptions) error {
	since, err := moment(o.since, time.Now())
	if err != nil {
		return usage(err)
	}
	match, err := regexp.Compile(o.grep)
	if err != nil {
		return usage(fmt.Errorf("reading --grep: %w", err))
	}
	c, m, err := env.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := knownTo(m, apps); err != nil {
		return err
	}
	p := &linePrinter{out: env.Stdout, color: env.color(), plain: o.plain, width: nameWidth(m)}
	query := control.LogQuery{Apps: apps, Follow: o.follow}
	if o.since == "" && o.grep == "" {
		query.Limit = o.tail // else the latest of those that match: all are needed
	} else if o.tail > 0 {
		if err := tailOf(ctx, c, &query, o.tail, func(l *control.LogLine) bool { return wanted(l, since, match) }); err != nil {
			return err
		}
	}
	enc := json.NewEncoder(env.Stdout)
	enc.SetEscapeHTML(false)
	for l, err := range c.Logs(ctx, query) {
		if err != nil {
			return err
		}
		switch {
		case l.Lost > 0:
			if o.json {
				err = enc.Encode(map[string]uint64{"lost": l.Lost})
			} else {
				_, err = fmt.Fprintf(env.Stderr, "%s overwritten before they could be printed\n", plural(int(min(l.Lost, 1<<30)), "line"))
			}
		case !wanted(&l, since, match):
		case o.json:
			err = enc.Encode(l.Line)
		default:
			err = p.print(&l.Line)
		}
		if err != nil {
			return printed(err)
		}
	}
	return p.end()
}

// wanted says whether a line is one that was asked for.
func wanted(l *control.LogLine, since time.Time, match *regexp.Regexp) bool {
	return l.Lost == 0 && !l.At.Before(since) && match.MatchString(l.Text)
}

// tailOf makes a query begin at the last n lines that are wanted.
func tailOf(ctx context.Context, c *control.Client, q *control.LogQuery, n int, want func(*control.LogLine) bool) error {
	var seqs []uint64
	for l, err := range c.Logs(ctx, control.LogQuery{Apps: q.Apps}) {
		if err != nil {
			return err
		}
		if want(&l) {
			seqs = append(seqs, l.Seq)
		}
	}
	if len(seqs) > n {
		q.After = seqs[len(seqs)-n-1]
	}
	return nil
}

// moment reads a time, or a duration back from now. Nothing is long ago.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d.Abs()), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), now.Location()), nil
		}
	}
	return time.Time{}, &hinted{fmt.Errorf("%q is neither a duration nor a time", text), "write --since 5m, --since 15:04 or --since 2026-01-02T15:04:05Z"}
}

// nameWidth gives the length of the longest instance name.
func nameWidth(m *state.Mesh) (w int) {
	for _, a := range m.Apps {
		for _, in := range a.Instances {
			w = max(w, len(in.Name))
		}
	}
	return w
}

// linePrinter prints lines of output with the instance in front.
type linePrinter struct {
	out          io.Writer
	color, plain bool
	width        int
	open         *state.Line // the line printed last, when it goes on
	names        []string    // met so far: each has a colour of its own
}

// print prints a line, or a part of one. A part that follows its first part
// at once goes on in the same line.
func (p *linePrinter) print(l *state.Line) error {
	var b strings.Builder
	goesOn := p.open != nil && p.open.Instance == l.Instance && p.open.Stream == l.Stream
	if !goesOn {
		if p.open != nil {
			b.WriteString("\n")
		}
		if !p.plain {
			b.WriteString(p.prefix(l))
		}
	}
	b.WriteString(l.Text)
	p.open = nil
	if l.Partial {
		p.open = l
	} else {
		if p.color && strings.Contains(l.Text, "\x1b[") {
			b.WriteString("\x1b[0m") // what a line has coloured ends with it
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// end ends a line that would have gone on.
func (p *linePrinter) end() error {
	if p.open == nil {
		return nil
	}
	p.open = nil
	_, err := io.WriteString(p.out, "\n")
	return printed(err)
}

func (p *linePrinter) prefix(l *state.Line) string {
	if l.Stream == logs.StreamMark {
		return strings.Repeat("─", p.width) + "── "
	}
	name, bar := fmt.Sprintf("%-*s", p.width, l.Instance), "│"
	if l.Stream == "mesh" {
		bar = "·"
	}
	if !p.color {
		return name + " " + bar + " "
	}
	i := slices.Index(p.names, l.Instance)
	if i < 0 {
		i = len(p.names)
		p.names = append(p.names, l.Instance)
	}
	const first, colors = 31, 6 // red to cyan
	return fmt.Sprintf("\x1b[%dm%s %s\x1b[0m ", first+(i+3)%colors, name, bar)
}
