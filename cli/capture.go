package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mesh/runtime/flow"
	"mesh/runtime/flow/export"
	"mesh/runtime/flow/filter"
	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

func newCapture(env Env) *cobra.Command {
	flowID, limit := "", state.DefaultCapture
	cmd := &cobra.Command{
		Use:   "capture on|off",
		Short: "Keep the bytes of bodies for the screen and for exports, or no longer",
		Long: `capture makes the mesh keep the headers, without secrets, and the first and the
latest bytes of both bodies of every invocation that begins from now on. Nothing
is kept unless this or screen.capture in mesh.toml says so. All bodies together
take 32 MiB at most: older ones make room.`,
		Example: `  mesh capture on
  mesh capture on --bytes 1048576
  mesh capture on --flow 236e363ce4c40415     only this one, which is under way
  mesh capture off`,
		ValidArgs: []string{"on", "off"},
		Args:      exactly(1, "capture needs on or off"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] != "on" && args[0] != "off" {
				return usage(fmt.Errorf("capture takes on or off, not %q", args[0]))
			}
			if limit <= 0 || limit > flow.MaxCapture {
				return usage(fmt.Errorf("--bytes is to be from 1 to %d", flow.MaxCapture))
			}
			return env.carryOut(cmd.Context(), state.Command{Op: state.SetCapture, Flow: flowID, Bytes: limit, On: args[0] == "on"})
		},
	}
	cmd.Flags().StringVar(&flowID, "flow", "", "only the invocation of that id")
	cmd.Flags().IntVar(&limit, "bytes", limit, "how much of each body")
	return cmd
}

// exportFormats are the forms in which tap writes what is remembered.
func exportFormats() []string { return []string{"har", "ndjson", "curl"} }

// exportFlows writes the invocations that a filter chooses, of the latest ones.
func exportFlows(env Env, c *control.Client, chosen *filter.Filter, format string, last int) error {
	if !slices.Contains(exportFormats(), format) {
		return usage(fmt.Errorf("there is no export as %q; there are %s", format, strings.Join(exportFormats(), ", ")))
	}
	if last <= 0 {
		return usage(errors.New("--last is to be above 0"))
	}
	m := c.State()
	var records []export.Record
	for _, v := range c.Views(1 << 20) {
		if !chosen.Match(&v) {
			continue
		}
		from := v.Caller
		if m.Find(from) == nil {
			from = v.Callee
		}
		base := ""
		if port := entrance(m, from); port != 0 {
			base = fmt.Sprintf("http://127.0.0.1:%d", port)
		}
		if r, ok := export.Read(c, v.ID, base); ok {
			records = append(records, r)
		}
		if len(records) == last {
			break
		}
	}
	slices.SortStableFunc(records, func(a, b export.Record) int { return a.Begun.Compare(b.Begun) })
	if format == "har" {
		return printed(export.HAR(env.Stdout, control.ThisBuild().Version, records...))
	}
	for i := range records {
		if err := exportOne(env.Stdout, &records[i], format); err != nil {
			return printed(err)
		}
	}
	return nil
}

func exportOne(w io.Writer, r *export.Record, format string) error {
	if format == "ndjson" {
		return export.NDJSON(w, r)
	}
	line, err := export.Curl(r)
	if err != nil {
		line = fmt.Sprintf("# %s %s %s %s: %v\n", r.ID, r.Callee, r.Verb, r.Path, err)
	}
	_, err = io.WriteString(w, line)
	return err
}
