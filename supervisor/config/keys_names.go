package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// resolverKinds are the ways to find the apps of others.
func resolverKinds() []string { return []string{"mdns", "consul", "sqlite", "nameformat"} }

// namesSection says how the apps of others are found.
func namesSection() field[Mesh] {
	settings := func(kind, doc string, keys map[string]string) field[Mesh] {
		return key(kind, doc+" Values are those of Dapr's Configuration; ${NAME} is put in for each sidecar.",
			settingsTable(keys), func(m *Mesh, v map[string]any) {
				m.Resolvers = append(m.Resolvers, Resolver{Kind: kind, Settings: v})
			})
	}
	return section("names", "How apps of others are found.",
		key("resolvers", "Ways to find them, in the order in which they are asked; by default what Configurations in the resources folders ask for, then mDNS.",
			list(enum(resolverKinds()...)), func(m *Mesh, v []string) {
				for _, kind := range v {
					m.Resolvers = append(m.Resolvers, Resolver{Kind: kind})
				}
			}).alias("order", "resolver"),
		settings("consul", "An agent of Consul.", map[string]string{
			"client":               "How the agent is reached: address, scheme, datacenter, token …",
			"checks":               "Health checks to register instead of that of the sidecar's /v1.0/healthz.",
			"tags":                 "Tags to register.",
			"meta":                 "Names and values to register.",
			"queryOptions":         "How the agent is asked: useCache, requireConsistent, near, filter …",
			"advancedRegistration": "The whole registration; it is made whatever selfRegister says.",
			"daprPortMetaKey":      "Name in meta under which the port for other sidecars is registered; DAPR_PORT by default.",
			"selfRegister":         "Whether each sidecar registers its app.",
			"selfDeregister":       "Whether it takes that back when it stops.",
			"useCache":             "Whether answers are kept and followed instead of asked for anew.",
		}),
		settings("sqlite", "A SQLite file that all of them share.", map[string]string{
			"connectionString":  "The file.",
			"timeout":           "How long the database may take.",
			"busyTimeout":       "How long to wait while others write.",
			"disableWAL":        "Whether to do without a write-ahead log, as network file systems need.",
			"tableName":         "Table of the hosts.",
			"metadataTableName": "Table with the version of the other one.",
			"updateInterval":    "How often a sidecar says that it is still there.",
			"cleanupInterval":   "How often those that no longer do are removed.",
		}),
		settings("nameformat", "A pattern of host names.", map[string]string{"format": "Host name and port, with {appid} for the app id."}),
	)
}

// settingsTable is a table whose keys, with what they mean, are known and whose
// values are not looked at; with variables left as they are.
func settingsTable(known map[string]string) rule[map[string]any] {
	keys := sortedKeys(known)
	properties := shape{}
	for _, k := range keys {
		properties[k] = shape{"description": known[k]}
	}
	return rule[map[string]any]{shape{"type": "object", "properties": properties, "additionalProperties": false}, func(d *decoder, n node) (map[string]any, bool) {
		given, ok := n.value.(map[string]any)
		if !ok {
			d.mustBe(n, "a table", "write ["+n.path+"] with the keys below it")
			return nil, false
		}
		for _, k := range slices.Sorted(maps.Keys(given)) {
			if slices.Contains(keys, k) {
				continue
			}
			hint := didYouMean(k, keys)
			if hint == "" {
				hint = "there are " + strings.Join(keys, ", ")
			}
			d.wrongKey(join(n.path, k), fmt.Sprintf("unknown key %q in %s", k, n.path), hint)
			ok = false
		}
		plain, _ := plainValue(given).(map[string]any)
		return plain, ok
	}}
}

// plainValue gives a value of the parser as YAML would have it: a list of tables
// is a list.
func plainValue(v any) any {
	if items, ok := elements(v); ok {
		all := make([]any, len(items))
		for i := range items {
			all[i] = plainValue(items[i])
		}
		return all
	}
	if t, ok := v.(map[string]any); ok {
		all := make(map[string]any, len(t))
		for k, v := range t {
			all[k] = plainValue(v)
		}
		return all
	}
	return v
}

// checkResolvers puts the settings of the resolvers to those that are asked, and
// finds settings of those that are not. The table gives both in one list: first
// the kinds in order, then the settings.
func (d *decoder) checkResolvers(m *Mesh) {
	var order []Resolver
	for _, r := range m.Resolvers {
		i := slices.IndexFunc(order, func(o Resolver) bool { return o.Kind == r.Kind })
		at := "mesh.names." + r.Kind
		switch {
		case r.Settings == nil && i >= 0:
			d.wrong("mesh.names.resolvers", fmt.Sprintf("mesh.names.resolvers has %s twice", r.Kind), "")
		case r.Settings == nil:
			order = append(order, r)
		case i >= 0:
			order[i].Settings = r.Settings
		case d.clean("mesh.names", "resolvers"):
			d.wrongKey(at, at+" has no effect: "+r.Kind+" is not asked", fmt.Sprintf("add resolvers = [%q, \"mdns\"] to mesh.names", r.Kind))
		}
	}
	for _, r := range order {
		needs := map[string]string{"sqlite": "connectionString", "nameformat": "format"}[r.Kind]
		if _, ok := r.Settings[needs]; needs != "" && !ok && d.clean("mesh.names."+r.Kind, needs) {
			d.wrong("mesh.names.resolvers", fmt.Sprintf("the resolver %s needs %s", r.Kind, needs), fmt.Sprintf("add [mesh.names.%s] with %s = \"…\"", r.Kind, needs))
		}
	}
	for _, r := range order {
		if format, ok := r.Settings["format"].(string); ok && r.Kind == "nameformat" && !strings.Contains(format, "{appid}") {
			d.wrong("mesh.names.nameformat.format", "mesh.names.nameformat.format has no {appid}, so all apps would be at one place", `write "{appid}.internal:50002", for example`)
		}
	}
	m.Resolvers = order
}
