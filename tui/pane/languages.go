package pane

import (
	"slices"
	"time"

	"mesh/runtime/flow/filter"
	"mesh/supervisor/state"
	"mesh/tui/decode"
	"mesh/tui/grid"
)

// The languages in which the lists other than the streams are filtered. They
// have the same grammar; only what can be asked about is another.

func texts[T any](about, example string, get func(v *T) []string) filter.Field[T] {
	return filter.Field[T]{About: about, Example: example, Texts: get}
}

func counts[T any](about, example string, get func(v *T) int64) filter.Field[T] {
	return filter.Field[T]{About: about, Example: example, Number: func(v *T) (int64, bool) { return get(v), true }}
}

func appLanguage() *filter.Language[appRow] {
	inst := func(r *appRow) state.Instance {
		if r.inst == nil {
			return state.Instance{Phase: state.Stopped}
		}
		return *r.inst
	}
	return &filter.Language[appRow]{
		Fields: map[string]filter.Field[appRow]{
			"app":      texts("the app or the instance", ":orders", func(r *appRow) []string { return []string{r.app.ID, r.name} }),
			"state":    texts("pending, starting, ready …", ":ready", func(r *appRow) []string { return []string{string(r.phase())} }),
			"protocol": texts("http, h2c, grpc …", ":http", func(r *appRow) []string { return []string{r.app.Protocol} }),
			"why":      texts("why it is so", "~exit", func(r *appRow) []string { return []string{r.reason()} }),
			"restarts": counts("how often it was started again", ">0", func(r *appRow) int64 { return int64(inst(r).Restarts) }),
			"calls":    counts("calls under way", ">0", func(r *appRow) int64 { return int64(inst(r).Calls) }),
			"held":     counts("calls that wait for it", ">0", func(r *appRow) int64 { return int64(inst(r).Waiting) }),
			"live":     counts("streams under way", ">0", func(r *appRow) int64 { return int64(r.live) }),
			"mem":      counts("resident memory", ">64MiB", func(r *appRow) int64 { return int64(min(inst(r).Memory, 1<<62)) }),
			"cpu":      counts("processor in percent", ">50", func(r *appRow) int64 { return int64(100 * inst(r).CPU) }),
			"port": texts("a port of the app or its sidecar", ":3500", func(r *appRow) []string {
				i := inst(r)
				return []string{port(i.AppPort), port(i.HTTPPort), port(i.GRPCPort), port(i.PeerPort)}
			}),
		},
		Flags: map[string]func(*appRow) bool{
			"broken":   func(r *appRow) bool { return broken(r.phase()) },
			"ready":    func(r *appRow) bool { return r.phase() == state.Ready },
			"external": func(r *appRow) bool { return r.app.External },
		},
		Text: func(r *appRow) []string { return []string{r.name, string(r.phase()), r.reason()} },
	}
}

func lineLanguage() *filter.Language[state.Line] {
	return &filter.Language[state.Line]{
		Fields: map[string]filter.Field[state.Line]{
			"app":    texts("the app or the instance", ":orders", func(l *state.Line) []string { return []string{l.App, l.Instance} }),
			"stream": texts("stdout, stderr, mesh or mark", ":stderr", func(l *state.Line) []string { return []string{l.Stream} }),
			"text":   texts("what the line says", "~timeout", func(l *state.Line) []string { return []string{grid.Plain(l.Text)} }),
			"level":  texts("of a line that is a record in JSON", ":error", levelOf),
			"at":     {About: "written at a time of day", Example: ":15:04:05", Span: func(l *state.Line) (from, to time.Time) { return l.At, l.At }},
		},
		Flags: map[string]func(*state.Line) bool{
			"stdout": func(l *state.Line) bool { return l.Stream == "stdout" },
			"stderr": func(l *state.Line) bool { return l.Stream == "stderr" },
			"mesh":   func(l *state.Line) bool { return l.Stream == "mesh" },
		},
		Text: func(l *state.Line) []string { return []string{grid.Plain(l.Text)} },
	}
}

func componentLanguage() *filter.Language[state.Component] {
	return &filter.Language[state.Component]{
		Fields: map[string]filter.Field[state.Component]{
			"name":  texts("the component", ":statestore", func(c *state.Component) []string { return []string{c.Name} }),
			"type":  texts("such as state.redis", ":state.*", func(c *state.Component) []string { return []string{c.Type} }),
			"state": texts("loading, ready, degraded …", ":ready", func(c *state.Component) []string { return []string{c.State} }),
			"why":   texts("why it is so", "~refused", func(c *state.Component) []string { return []string{c.Reason} }),
			"file":  texts("where it is declared", "~yaml", func(c *state.Component) []string { return []string{c.Place} }),
			"app":   texts("an app that sees it alone or with others", ":orders", func(c *state.Component) []string { return append(slices.Clone(c.Scopes), c.App) }),
		},
		Flags: map[string]func(*state.Component) bool{
			"broken": func(c *state.Component) bool { return ill(c) },
			"ready":  func(c *state.Component) bool { return c.State == "ready" },
		},
		Text: func(c *state.Component) []string { return []string{c.Name, c.Type, c.State, c.Reason, c.Place} },
	}
}

func edgeLanguage() *filter.Language[edge] {
	return &filter.Language[edge]{
		Fields: map[string]filter.Field[edge]{
			"from":  texts("the app that calls", ":web", func(e *edge) []string { return []string{e.from} }),
			"to":    texts("the app that is called", ":orders", func(e *edge) []string { return []string{e.to} }),
			"app":   texts("either side", ":web", func(e *edge) []string { return []string{e.from, e.to} }),
			"live":  counts("streams under way", ">0", func(e *edge) int64 { return int64(e.live) }),
			"bytes": counts("bytes in a second", ">1k", func(e *edge) int64 { return int64(e.rate) }),
		},
		Flags: map[string]func(*edge) bool{
			"stalled": func(e *edge) bool { return e.stalled > 0 },
			"failed":  func(e *edge) bool { return e.failed > 0 },
			"idle":    func(e *edge) bool { return e.live == 0 },
		},
		Text: func(e *edge) []string { return []string{e.from, e.to} },
	}
}

// levelOf gives the level that a line says of itself.
func levelOf(l *state.Line) []string {
	if r, ok := decode.ReadRecord(l.Text); ok && r.Level != "" {
		return []string{r.Level}
	}
	return nil
}
