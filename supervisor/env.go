package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mesh/supervisor/config"
)

// place is where one instance and its sidecar listen.
type place struct {
	instance string
	index    int // from 1
	app      int // 0: the app does not listen
	http     int
	grpc     int
	metrics  int
}

// childEnv builds the environment of an app's process: ours, what `dapr run`
// gives to an app, the ports of the other apps, and last what mesh.toml and its
// env files say, which wins.
func childEnv(base []string, m *config.Mesh, a *config.App, p place, t tokens, siblings map[string]int) []string {
	env := newEnviron(base)
	env.set("APP_ID", a.ID)
	env.set("APP_CHANNEL_ADDRESS", "127.0.0.1")
	env.set("APP_PROTOCOL", a.Protocol)
	env.del("APP_PORT")
	if p.app > 0 {
		env.set("APP_PORT", strconv.Itoa(p.app))
	}
	env.set("DAPR_HTTP_PORT", strconv.Itoa(p.http))
	env.set("DAPR_GRPC_PORT", strconv.Itoa(p.grpc))
	if p.metrics > 0 {
		env.set("DAPR_METRICS_PORT", strconv.Itoa(p.metrics))
	}
	if t.api != "" {
		env.set("DAPR_API_TOKEN", t.api)
	}
	if t.app != "" {
		env.set("APP_API_TOKEN", t.app)
	}
	env.set("MESH_INSTANCE", p.instance)
	env.set("MESH_INDEX", strconv.Itoa(p.index))
	for _, id := range slices.Sorted(maps.Keys(siblings)) {
		env.set(siblingVar(id), strconv.Itoa(siblings[id]))
	}
	env.add(m.Environ(a))
	return env.list()
}

// siblingVar names the variable with the port of another app: MESH_ORDERS_PORT.
func siblingVar(appID string) string {
	up := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, appID)
	return fmt.Sprintf("MESH_%s_PORT", up)
}

// environ is an environment in which the last setting of a name wins.
type environ struct {
	order []string
	value map[string]string
}

func newEnviron(base []string) *environ {
	e := &environ{value: map[string]string{}}
	e.add(base)
	return e
}

func (e *environ) add(pairs []string) {
	for _, kv := range pairs {
		if k, v, ok := strings.Cut(kv, "="); ok {
			e.set(k, v)
		}
	}
}

func (e *environ) set(k, v string) {
	if _, ok := e.value[k]; !ok {
		e.order = append(e.order, k)
	}
	e.value[k] = v
}

func (e *environ) del(k string) {
	delete(e.value, k)
	e.order = slices.DeleteFunc(e.order, func(o string) bool { return o == k })
}

func (e *environ) list() []string {
	out := make([]string, 0, len(e.order))
	for _, k := range e.order {
		out = append(out, k+"="+e.value[k])
	}
	return out
}
