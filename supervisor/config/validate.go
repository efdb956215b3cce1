package config

import (
	"fmt"
	"slices"
	"strings"
)

// checkApp is what the keys of one app must agree on. Nothing is concluded
// from a key that has a mistake of its own.
func (d *decoder) checkApp(n node, a *App) {
	at := func(key string) string { return join(n.path, key) }
	if d.index.has(at("dir")) && d.clean(n.path, "dir") {
		if why := d.folderMissing(a.Dir); why != "" {
			d.wrong(at("dir"), why, "")
		}
	}
	if a.Instances > 1 && a.Port != 0 && d.clean(n.path, "instances", "port") {
		d.wrong(at("port"), fmt.Sprintf("%d instances cannot all listen on port %d", a.Instances, a.Port),
			`write port = "auto": each instance finds a port of its own in APP_PORT`)
	}
	if a.External() && d.clean(n.path, "command") {
		d.checkExternal(n, a)
	}
	if a.HasPort() || !d.clean(n.path, "port") {
		return
	}
	const hint = `add port = "auto" and listen on $APP_PORT, or the number of the port`
	if d.index.has(at("protocol")) && d.clean(n.path, "protocol") {
		d.wrong(at("protocol"), fmt.Sprintf("%s speaks %s, but has no port", n.path, a.Protocol), hint)
	}
	for key, p := range map[string]*Probe{"ready": a.Ready, "live": a.Live} {
		if p == nil || !d.clean(n.path, key) {
			continue
		}
		kind := ""
		switch {
		case strings.HasPrefix(p.HTTP, "/"):
			kind = "http"
		case p.TCP:
			kind = "tcp"
		case p.GRPC != "":
			kind = "grpc"
		}
		if kind != "" {
			d.wrong(join(at(key), kind), fmt.Sprintf("%s checks by %s, but %s has no port", at(key), kind, n.path), hint)
		}
	}
	if a.Health != nil && d.clean(n.path, "health") {
		d.wrong(at("health"), at("health")+" needs a port to check", hint)
	}
}

// checkExternal is what makes no sense for an app that someone else starts.
func (d *decoder) checkExternal(n node, a *App) {
	wrong := func(key, msg, hint string) {
		if d.clean(n.path, key) {
			d.wrong(join(n.path, key), msg, hint)
		}
	}
	const hint = "add a command, or remove this"
	if a.AutoPort {
		wrong("port", n.path+" has no command, so nobody can hand it a port", "add a command, or write the number of the port")
	}
	if a.Instances > 1 {
		wrong("instances", n.path+" has no command, so no instances of it can be started", hint)
	}
	for _, key := range []string{"build", "watch"} {
		if d.index.has(join(n.path, key)) {
			wrong(key, fmt.Sprintf("%s has no command, so %s has nothing to restart", n.path, key), hint)
		}
	}
	if a.Ready != nil && a.Ready.Log != "" {
		wrong("ready", n.path+" has no command, so its output is not seen", "use another check")
	}
	if a.Live != nil {
		wrong("live", n.path+" has no command, so it cannot be restarted", "use health, or remove this")
	}
}

// checkMesh is what the apps and components must agree on.
func (d *decoder) checkMesh(m *Mesh) {
	if len(m.Apps) > 0 && !d.index.has("apps") {
		return // misspelt: no place that follows would be right
	}
	ids := make([]string, len(m.Apps))
	for i := range m.Apps {
		ids[i] = m.Apps[i].ID
	}
	d.checkNames(m, ids)
	d.checkPorts(m)
	d.checkDependencies(m, ids)
	d.checkCycles(m)
	for i, c := range m.Components {
		d.checkScopes(join(join("components", c.Name), "scopes"), m.Components[i].Scopes, ids)
	}
	for i, s := range m.Subscriptions {
		d.checkScopes(join(element("subscriptions", i), "scopes"), s.Scopes, ids)
	}
	d.checkTargets(m, ids)
}

// checkNames finds names that mean two things: names on the network have no
// case, names of variables such as MESH_ORDERS_PORT have no dash, and instances
// are named after their app.
func (d *decoder) checkNames(m *Mesh, ids []string) {
	plain := func(id string) string { return strings.ReplaceAll(strings.ToLower(id), "-", "_") }
	for i, id := range ids {
		for _, other := range ids[:i] {
			if plain(id) == plain(other) {
				d.wrongKey(join("apps", id), fmt.Sprintf("the app ids %s and %s differ only in case or in - and _", other, id),
					"they would share names on the network or in the environment: rename one")
			}
		}
	}
	for i := range m.Apps {
		a := &m.Apps[i]
		for k := 1; a.Instances > 1 && k <= a.Instances; k++ {
			if name := fmt.Sprintf("%s-%d", a.ID, k); slices.Contains(ids, name) {
				d.wrongKey(join("apps", name), fmt.Sprintf("%s is also the name of an instance of %s", name, a.ID), "rename one")
			}
		}
	}
}

// checkPorts finds fixed ports that are given twice.
func (d *decoder) checkPorts(m *Mesh) {
	type claim struct {
		path string
		port int
	}
	var claims []claim
	for i := range m.Apps {
		a := &m.Apps[i]
		at := join("apps", a.ID)
		claims = append(claims,
			claim{join(at, "port"), a.Port},
			claim{join(join(at, "sidecar"), "http_port"), a.HTTPPort},
			claim{join(join(at, "sidecar"), "grpc_port"), a.GRPCPort})
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return d.index.find(a.path).value - d.index.find(b.path).value })
	taken := map[int]string{}
	for _, c := range claims {
		if c.port == 0 || d.tainted[c.path] {
			continue
		}
		if first, ok := taken[c.port]; ok {
			line, _ := d.index.position(d.index.find(first).value)
			d.wrong(c.path, fmt.Sprintf("port %d is taken by %s on line %d", c.port, first, line), "give each a port of its own")
			continue
		}
		taken[c.port] = c.path
	}
}

// dependencyPath gives where an app names another one.
func (d *decoder) dependencyPath(app, other string) string {
	at := join(join("apps", app), "depends_on")
	if path := join(at, other); d.index.has(path) {
		return path
	}
	for i := 0; d.index.has(element(at, i)); i++ {
		s := d.index.find(element(at, i))
		if strings.Trim(d.index.text[s.value:s.end], `"'`) == other {
			return element(at, i)
		}
	}
	return at
}

func (d *decoder) checkDependencies(m *Mesh, ids []string) {
	for i := range m.Apps {
		a := &m.Apps[i]
		for _, dep := range a.DependsOn {
			path := d.dependencyPath(a.ID, dep.App)
			other := m.Find(dep.App)
			switch {
			case other == nil:
				hint := didYouMean(dep.App, ids)
				if hint == "" {
					hint = "add [apps." + dep.App + "], or remove it here"
				}
				d.wrongKey(path, fmt.Sprintf("%s depends on %s, which is no app", a.ID, dep.App), hint)
			case other.Instances == 0 && d.clean(join("apps", dep.App), "instances"):
				d.warn(path, fmt.Sprintf("%s waits until %s is scaled up: it has no instances", a.ID, dep.App), "")
			case dep.Condition != "completed" || !d.clean(join("apps", dep.App), "command", "restart"):
			case other.External():
				d.wrong(path, dep.App+" never completes: it has no command", `wait for "ready" instead`)
			case other.Restart == "always":
				d.wrong(path, dep.App+` never completes: it has restart = "always"`, `wait for "ready" instead, or change restart`)
			}
		}
	}
}

// checkCycles names each ring of apps that wait for each other, once.
func (d *decoder) checkCycles(m *Mesh) {
	const walking, done = 1, 2
	state := map[string]int{}
	var trail []string
	var walk func(id string)
	walk = func(id string) {
		state[id] = walking
		trail = append(trail, id)
		for _, dep := range m.Find(id).DependsOn {
			switch {
			case m.Find(dep.App) == nil || state[dep.App] == done || !d.index.has(join(join("apps", id), "depends_on")):
			case dep.App == id:
				d.wrongKey(d.dependencyPath(id, id), id+" waits for itself", "remove the dependency")
			case state[dep.App] == walking:
				ring := append(slices.Clone(trail[slices.Index(trail, dep.App):]), dep.App)
				d.wrongKey(d.dependencyPath(id, dep.App), "these apps wait for each other: "+strings.Join(ring, " → "), "remove one of the dependencies")
			default:
				walk(dep.App)
			}
		}
		trail = trail[:len(trail)-1]
		state[id] = done
	}
	for i := range m.Apps {
		if id := m.Apps[i].ID; state[id] == 0 {
			walk(id)
		}
	}
}

// checkScopes finds apps that are not there.
func (d *decoder) checkScopes(path string, scopes, ids []string) {
	for i, id := range scopes {
		if at := element(path, i); !slices.Contains(ids, id) && d.index.has(at) && !d.tainted[at] {
			hint := didYouMean(id, ids)
			if hint == "" {
				hint = "scopes name apps of this mesh"
			}
			d.wrong(at, fmt.Sprintf("%s names %s, which is no app", path, id), hint)
		}
	}
}

// checkTargets warns of resiliency and faults for names that nobody here has:
// they may belong to a neighbour that is not in this file.
func (d *decoder) checkTargets(m *Mesh, ids []string) {
	names := slices.Clone(ids)
	for _, c := range m.Components {
		names = append(names, c.Name)
	}
	warn := func(path, name string, known []string) {
		if slices.Contains(known, name) || name == "" {
			return
		}
		hint := didYouMean(name, known)
		if hint == "" {
			hint = "it counts once a neighbour of that name is called"
		}
		d.warn(path, name+" is not in this mesh", hint)
	}
	for _, name := range sortedKeys(m.Resiliency) {
		warn(join("resiliency.targets", name), name, names)
	}
	for _, name := range sortedKeys(m.Faults) {
		warn(join(join("faults", name), "target"), m.Faults[name].Target, ids)
	}
}
