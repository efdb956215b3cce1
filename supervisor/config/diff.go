package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Effect says what a change costs a running app. Effects add up.
type Effect uint8

// The effects.
const (
	Live    Effect = 1 << iota // it counts at once; nothing stops
	Scale                      // instances come or go; the others run on
	Restart                    // every process is started anew
	Sidecar                    // the sidecars are built anew as well: their ports, or what they speak to the app, change
)

// Field is one key that changed. From and To are empty when the values are
// long, or secret.
type Field struct {
	Key      string // as in the file, within its table: "hold", "sidecar.http_port", "env"
	From, To string
	Names    []string // for tables such as env: the names whose values changed, sorted
	Effect   Effect
}

// AppChange is what changed for an app that was there and stays.
type AppChange struct {
	ID       string
	Effect   Effect // of all fields together
	Fields   []Field
	From, To int // instances; the same when it is not scaled
}

// Names are names that came, went or changed, each sorted.
type Names struct{ Added, Removed, Changed []string }

// Empty says whether nothing changed.
func (n Names) Empty() bool { return len(n.Added)+len(n.Removed)+len(n.Changed) == 0 }

// Change is what turns one mesh into another. What a change of the mesh as a
// whole costs an app is counted with the app.
type Change struct {
	Added, Removed []string    // app ids, sorted
	Changed        []AppChange // sorted by ID
	Mesh           []Field     // keys of the mesh as a whole: name, transport, api_token, mdns.interface, names, resources, env_file
	Components     Names
	Subscriptions  bool
	Resiliency     Names // targets
	Faults         Names
	Configuration  bool // what Dapr's Configurations say; they are no part of mesh.toml, so Diff leaves it false
}

// Empty says whether the two meshes run alike.
func (c Change) Empty() bool {
	return len(c.Added)+len(c.Removed)+len(c.Changed)+len(c.Mesh) == 0 && !c.Subscriptions && !c.Configuration &&
		c.Components.Empty() && c.Resiliency.Empty() && c.Faults.Empty()
}

// App gives the change of an app that stays, nil when it has none.
func (c Change) App(id string) *AppChange {
	i := slices.IndexFunc(c.Changed, func(a AppChange) bool { return a.ID == id })
	if i < 0 {
		return nil
	}
	return &c.Changed[i]
}

// Diff says what turns one mesh into another. Where things stand in the file
// makes no difference, and for an environment only what an app sees counts.
func Diff(from, to *Mesh) Change {
	c := Change{
		Mesh:          meshFields(from, to),
		Components:    names(byName(from.Components), byName(to.Components)),
		Subscriptions: len(from.Subscriptions)+len(to.Subscriptions) > 0 && !reflect.DeepEqual(from.Subscriptions, to.Subscriptions),
		Resiliency:    names(from.Resiliency, to.Resiliency),
		Faults:        names(from.Faults, to.Faults),
	}
	for i := range from.Apps {
		if to.Find(from.Apps[i].ID) == nil {
			c.Removed = append(c.Removed, from.Apps[i].ID)
		}
	}
	for i := range to.Apps {
		b := &to.Apps[i]
		a := from.Find(b.ID)
		if a == nil {
			c.Added = append(c.Added, b.ID)
			continue
		}
		change := AppChange{ID: b.ID, Fields: appFields(a, b), From: a.Instances, To: b.Instances}
		if vars := changedVars(from.Environ(a), to.Environ(b)); len(vars) > 0 {
			change.Fields = append(change.Fields, Field{Key: "env", Names: vars, Effect: Restart})
		}
		for _, f := range c.Mesh {
			if f.Effect&(Restart|Sidecar) != 0 {
				change.Fields = append(change.Fields, Field{Key: "mesh." + f.Key, From: f.From, To: f.To, Effect: f.Effect})
			}
		}
		for _, f := range change.Fields {
			change.Effect |= f.Effect
		}
		if len(change.Fields) > 0 {
			c.Changed = append(c.Changed, change)
		}
	}
	return c
}

// meshFields compares what holds for all apps. The name decides the derived
// ports; the token is in the environment of each app.
func meshFields(a, b *Mesh) []Field {
	var f fields
	f.plain("name", a.Name, b.Name, Sidecar|Restart)
	f.plain("transport", a.Transport, b.Transport, Live)
	f.plain("balance", a.Balance, b.Balance, Live)
	f.silent("api_token", a.APIToken, b.APIToken, Sidecar|Restart)
	f.plain("mdns.interface", a.Interface, b.Interface, Live)
	f.plain("screen.capture", a.Capture, b.Capture, Live)
	f.silent("names", a.Resolvers, b.Resolvers, Live)
	f.silent("resources", a.Resources, b.Resources, Live)
	f.silent("env_file", a.EnvFiles, b.EnvFiles, Live)
	return f
}

// appFields compares two states of an app, but for its environment.
func appFields(a, b *App) []Field {
	var f fields
	f.silent("command", []any{a.Shell, a.Argv}, []any{b.Shell, b.Argv}, Restart)
	f.plain("dir", a.Dir, b.Dir, Restart)
	f.plain("port", portText(a), portText(b), Restart|Sidecar)
	f.plain("protocol", a.Protocol, b.Protocol, Restart|Sidecar)
	f.plain("instances", a.Instances, b.Instances, Scale)
	f.plain("pty", a.PTY, b.PTY, Restart)
	f.silent("build", a.Build, b.Build, Live)
	f.silent("watch", a.Watch, b.Watch, Live)
	f.silent("ignore", a.Ignore, b.Ignore, Live)
	f.silent("env_file", a.EnvFiles, b.EnvFiles, Live)
	f.silent("depends_on", a.DependsOn, b.DependsOn, Live)
	f.silent("ready", a.Ready, b.Ready, Live)
	f.silent("live", a.Live, b.Live, Live)
	f.plain("restart", a.Restart, b.Restart, Live)
	f.silent("success_exit_codes", a.SuccessCodes, b.SuccessCodes, Live)
	f.plain("hold", a.Hold, b.Hold, Live)
	f.plain("stop.signal", a.StopSignal, b.StopSignal, Live)
	f.plain("stop.grace", a.StopGrace, b.StopGrace, Live)
	f.plain("sidecar.http_port", a.HTTPPort, b.HTTPPort, Restart|Sidecar)
	f.plain("sidecar.grpc_port", a.GRPCPort, b.GRPCPort, Restart|Sidecar)
	f.silent("health", a.Health, b.Health, Live)
	f.plain("max_concurrency", a.MaxConcurrency, b.MaxConcurrency, Restart|Sidecar)
	f.plain("max_body", a.MaxBody, b.MaxBody, Live)
	f.plain("header_limit", a.HeaderLimit, b.HeaderLimit, Live)
	f.plain("balance", a.Balance, b.Balance, Live)
	f.silent("app_token", a.AppToken, b.AppToken, Restart|Sidecar)
	return f
}

// fields gathers the keys whose values differ.
type fields []Field

// plain compares values that read well as they are.
func (f *fields) plain(key string, a, b any, e Effect) {
	if a != b {
		*f = append(*f, Field{Key: key, From: show(a), To: show(b), Effect: e})
	}
}

// silent compares values that are long or secret and not shown.
func (f *fields) silent(key string, a, b any, e Effect) {
	if !reflect.DeepEqual(a, b) {
		*f = append(*f, Field{Key: key, Effect: e})
	}
}

func portText(a *App) string {
	if a.AutoPort {
		return "auto"
	}
	return show(a.Port)
}

// show writes a value, zero as "none".
func show(v any) string {
	if s, ok := v.(fmt.Stringer); ok {
		return s.String()
	}
	if reflect.ValueOf(v).IsZero() {
		return "none"
	}
	return fmt.Sprint(v)
}

// byName indexes components.
func byName(list []Component) map[string]Component {
	m := map[string]Component{}
	for _, c := range list {
		m[c.Name] = c
	}
	return m
}

// names compares two tables of values.
func names[V any](a, b map[string]V) (n Names) {
	for _, name := range sortedKeys(b) {
		before, ok := a[name]
		switch {
		case !ok:
			n.Added = append(n.Added, name)
		case !reflect.DeepEqual(before, b[name]):
			n.Changed = append(n.Changed, name)
		}
	}
	for _, name := range sortedKeys(a) {
		if _, ok := b[name]; !ok {
			n.Removed = append(n.Removed, name)
		}
	}
	return n
}

// changedVars names the variables that differ between two environments.
func changedVars(a, b []string) []string {
	n := names(varMap(a), varMap(b))
	all := slices.Concat(n.Added, n.Removed, n.Changed)
	slices.Sort(all)
	return all
}

func varMap(pairs []string) map[string]string {
	m := map[string]string{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		m[key] = value
	}
	return m
}
