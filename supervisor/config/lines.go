package config

import (
	"fmt"
	"strings"
)

// Lines gives the change in words, a line for each thing that happens, such as
// "orders: restart (env LOG_LEVEL changed)" and "web: scale 1 → 3".
func (c Change) Lines() []string {
	var lines []string
	say := func(name, what string) { lines = append(lines, name+": "+what) }
	for _, f := range c.Mesh {
		say("mesh", f.String())
	}
	for _, id := range c.Removed {
		say(id, "stop (removed)")
	}
	for _, a := range c.Changed {
		say(a.ID, a.String())
	}
	for _, id := range c.Added {
		say(id, "start (added)")
	}
	for _, group := range []struct {
		kind  string
		names Names
	}{{"component", c.Components}, {"resiliency", c.Resiliency}, {"fault", c.Faults}} {
		for _, part := range []struct {
			what  string
			names []string
		}{{"removed", group.names.Removed}, {"changed", group.names.Changed}, {"added", group.names.Added}} {
			for _, name := range part.names {
				say(group.kind+" "+name, part.what)
			}
		}
	}
	if c.Subscriptions {
		say("subscriptions", "changed")
	}
	if c.Configuration {
		say("configuration", "changed")
	}
	return lines
}

// String says what happens to the app and why.
func (a AppChange) String() string {
	var parts []string
	why := func(verb string, match func(Field) bool) {
		var reasons []string
		for _, f := range a.Fields {
			if match(f) {
				reasons = append(reasons, f.String())
			}
		}
		if len(reasons) > 0 {
			parts = append(parts, verb+" ("+strings.Join(reasons, ", ")+")")
		}
	}
	verb := "restart"
	if a.Effect&Sidecar != 0 {
		verb = "restart with a new sidecar"
	}
	why(verb, func(f Field) bool { return f.Effect&(Restart|Sidecar) != 0 })
	if a.Effect&Scale != 0 {
		parts = append(parts, fmt.Sprintf("scale %d → %d", a.From, a.To))
	}
	why("apply", func(f Field) bool { return f.Effect == Live })
	return strings.Join(parts, ", ")
}

// String says what changed: "hold 15s → 30s" or "env LOG_LEVEL changed".
func (f Field) String() string {
	switch {
	case f.From != "" || f.To != "":
		return fmt.Sprintf("%s %s → %s", f.Key, f.From, f.To)
	case len(f.Names) > 0:
		return f.Key + " " + strings.Join(f.Names, ", ") + " changed"
	}
	return f.Key + " changed"
}
