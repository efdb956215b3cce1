package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
	"mesh/supervisor/control"
)

func newTap(env Env) *cobra.Command {
	asJSON, noChunks := false, false
	format, last := "", 100
	cmd := &cobra.Command{
		Use:   "tap [FILTER]",
		Short: "Print invocations and their chunks while they stream",
		Long: `tap prints when an invocation begins, when the head of its reply arrives, every
chunk at every hop, and how it ends, until you interrupt it. With --json each of
these is an object on a line of its own; docs/control.md describes them.

A filter chooses invocations: terms such as to:orders, from:web, status:5xx,
ttfb>200ms, gap>1s, path~/chat, live, stalled, with ! for not, "or", and
parentheses. What an invocation did before the filter chose it is printed then.
@NAME is the filter that was saved under that name on the screen.

With --export it writes those that are remembered instead, live and ended ones,
as an HTTP archive (har), as lines of JSON with every chunk (ndjson), or as
commands that make the calls again (curl). Bodies are in it if they were
captured: see mesh capture.

When invocations are faster than tap can print, it says how much it has lost.`,
		Example: `  mesh tap
  mesh tap to:orders status:5xx
  mesh tap 'path~/chat or gap>1s' --no-chunks
  mesh tap to:orders --export har > orders.har
  mesh tap --json | jq -c 'select(.event == "chunk" and .hop == "caller.out")'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := env.recalled(args)
			if err != nil {
				return err
			}
			if format == "" {
				return tap(cmd.Context(), env, chosen, asJSON, noChunks)
			}
			f, err := filter.Parse(chosen)
			if err != nil {
				return usage(explainFilter(err))
			}
			c, err := env.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			return exportFlows(env, c, f, format, last)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object per line")
	cmd.Flags().BoolVar(&noChunks, "no-chunks", false, "leave out the chunks")
	cmd.Flags().StringVar(&format, "export", "", "write what is remembered, as har, ndjson or curl")
	cmd.Flags().IntVar(&last, "last", last, "with --export: the latest so many")
	return cmd
}

func tap(ctx context.Context, env Env, chosen string, asJSON, noChunks bool) error {
	if _, err := filter.Parse(chosen); err != nil {
		return usage(explainFilter(err))
	}
	c, err := env.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	enc := json.NewEncoder(env.Stdout)
	enc.SetEscapeHTML(false)
	for e, err := range c.Tap(ctx, chosen) {
		if err != nil {
			return err
		}
		switch {
		case noChunks && e.Dir != nil: // a chunk, or lost ones
		case asJSON:
			err = enc.Encode(e)
		default:
			_, err = fmt.Fprintln(env.Stdout, tapLine(&e))
		}
		if err != nil {
			return printed(err)
		}
	}
	return nil
}

// explainFilter shows where a filter is wrong.
func explainFilter(err error) error {
	f, ok := errors.AsType[*filter.Error](err)
	if !ok {
		return err
	}
	return &hinted{fmt.Errorf("reading the filter: %w\n%s\n%s", err, f.Text, f.Caret()), f.Hint}
}

// tapLine writes an event for people.
func tapLine(e *control.Event) string {
	const idDigits = 6 // enough to tell apart what is on one screen
	line := e.At.Local().Format("15:04:05.000000") + " "
	if e.Flow != "" {
		line += e.Flow[max(0, len(e.Flow)-idDigits):] + " "
	}
	switch e.Event {
	case control.Begin:
		return line + "begin   " + route(e)
	case control.Head:
		return line + fmt.Sprintf("head    %d %s", e.Status, route(e))
	case control.Chunk:
		return line + fmt.Sprintf("chunk   %s %s #%d %s", arrow(*e.Dir), *e.Hop, *e.N, size(uint64(max(0, e.Size))))
	case control.End:
		line += fmt.Sprintf("end     %d in %s  ↑ %s ↓ %s  %s", e.Status, filter.Seconds(e.Age), size(e.Bytes.Request), size(e.Bytes.Reply), route(e))
		if e.Held > 0 {
			line += "  held " + filter.Seconds(e.Held)
		}
		switch {
		case e.Answered:
			line += "  " + e.Error
		case e.Error != "":
			line += "  broke off: " + e.Error
		}
		return line
	case control.Lost:
		if e.Dir == nil {
			return line + fmt.Sprintf("lost    %s that were faster than this", plural(int(min(*e.N, 1<<30)), "invocation"))
		}
		return line + fmt.Sprintf("lost    %s %s %s", arrow(*e.Dir), *e.Hop, plural(int(min(*e.N, 1<<30)), "chunk"))
	}
	return line + string(e.Event)
}

// arrow is the sign of a direction.
func arrow(d flow.Dir) string {
	if d == flow.Request {
		return "↑"
	}
	return "↓"
}

// route says who calls whom, and what.
func route(e *control.Event) string {
	caller, callee := e.Caller, e.Callee
	if caller == "" {
		caller = "client"
	}
	if e.Instance != "" {
		callee = e.Instance
	}
	text := caller + " ▸ " + callee + " " + e.Verb + " " + e.Path
	if e.Transport != "" {
		text += " (" + e.Transport + ")"
	}
	return text
}
