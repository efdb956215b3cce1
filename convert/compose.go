package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// composeFile is a compose file that is being read. Only what is built or
// mounted from the project is an app; images of others stay in containers.
type composeFile struct {
	*yamlFile

	p        *project
	dir      string
	names    []string          // of all services
	ids      map[string]string // app id by the name of the service
	r        *Result
	outside  []string // services that stay in containers
	commands []string // apps whose command is that of a container
}

// compose reads the process parts of a compose file.
func (p *project) compose(file string) (*Result, error) {
	text, err := readSmall(file)
	if err != nil {
		return nil, fmt.Errorf("reading the compose file: %w", err)
	}
	name := p.shown(file)
	c := &composeFile{
		yamlFile: readYAML(name, text), p: p, dir: filepath.Dir(file), ids: map[string]string{},
		r: &Result{Draft: &Draft{Head: []string{"Made from " + name + "."}}},
	}
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	top := c.table(c.root, "a compose file")
	c.r.Draft.Name = appID(interpolated(c.text(top["name"], "name")))
	services := c.pairs(top["services"], "services")
	bodies := make([]map[string]*yaml.Node, len(services))
	for i, s := range services {
		c.names = append(c.names, s.key.Value)
		bodies[i] = c.table(s.value, s.key.Value)
		if c.ours(bodies[i]) {
			id := appID(s.key.Value)
			if slices.ContainsFunc(c.r.Draft.Apps, func(a App) bool { return sameName(a.ID, id) }) || id == "" {
				id = unique(c.r.Draft.Apps, id)
			}
			c.ids[s.key.Value] = id
			c.r.Draft.Apps = append(c.r.Draft.Apps, App{ID: id})
		} else {
			c.outside = append(c.outside, s.key.Value)
		}
	}
	n := 0
	for i, s := range services {
		if c.ids[s.key.Value] != "" {
			c.service(&c.r.Draft.Apps[n], s.key, bodies[i])
			n++
		}
	}
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	c.conclude(name)
	return c.r, nil
}

// conclude says what was found and what is left to do.
func (c *composeFile) conclude(name string) {
	c.r.Draft.Apps = slices.DeleteFunc(c.r.Draft.Apps, func(a App) bool { return a.Entries == nil })
	for i := range c.r.Draft.Apps {
		c.settle(&c.r.Draft.Apps[i])
	}
	found := list("service", "services", c.r.Draft.Apps)
	c.r.Found = []string{fmt.Sprintf("%s: %s with code of this project", name, found)}
	if len(c.outside) > 0 {
		c.r.Found = append(c.r.Found, fmt.Sprintf("%s: %s with images of others: %s", name, count(len(c.outside), "service"), strings.Join(c.outside, ", ")))
		c.r.Next = append(c.r.Next, fmt.Sprintf("keep what is not yours in containers: docker compose up -d %s, with its ports published", strings.Join(c.outside, " ")))
	}
	if len(c.commands) > 0 {
		c.r.Next = append(c.r.Next, fmt.Sprintf("the commands of %s are those of their containers: see that programs and paths are right here", strings.Join(c.commands, ", ")))
	}
	c.r.Notes = c.sorted()
}

// settle drops dependencies on what was left out, and waits for the start of
// what never completes.
func (c *composeFile) settle(a *App) {
	e := a.find("depends_on")
	if e == nil {
		return
	}
	deps, _ := e.Value.([]Entry)
	var kept []Entry
	for _, d := range deps {
		i := slices.IndexFunc(c.r.Draft.Apps, func(other App) bool { return other.ID == d.Key })
		if i < 0 {
			continue
		}
		if r := c.r.Draft.Apps[i].find("restart"); d.Value == "completed" && r != nil && r.Value == "always" {
			d.Value = "started"
		}
		kept = append(kept, d)
	}
	if e.Value = kept; len(kept) == 0 {
		a.Entries = slices.DeleteFunc(a.Entries, func(e Entry) bool { return e.Key == "depends_on" })
	}
}

// table gives the values of a mapping by key.
func (c *composeFile) table(n *yaml.Node, what string) map[string]*yaml.Node {
	all := map[string]*yaml.Node{}
	for _, p := range c.pairs(n, what) {
		all[p.key.Value] = p.value
	}
	return all
}

// ours says whether a service runs code of the project: it is built here, or has
// a command and a folder of the project mounted.
func (c *composeFile) ours(s map[string]*yaml.Node) bool {
	return !empty(s["build"]) || !empty(s["command"]) && c.mounted(s) != ""
}

// mounted gives the first folder of the project that is mounted, "" when there
// is none.
func (c *composeFile) mounted(s map[string]*yaml.Node) string {
	for _, v := range c.items(s["volumes"], "volumes") {
		from := ""
		if v = follow(v); v.Kind == yaml.MappingNode {
			from = c.text(c.table(v, "a volume")["source"], "source")
		} else {
			from, _, _ = strings.Cut(c.text(v, "a volume"), ":")
		}
		if !strings.HasPrefix(from, ".") {
			continue
		}
		dir := filepath.Join(c.dir, from)
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return ""
}

// known are the keys of a service that are used, or whose absence changes
// nothing for a process.
func composeKeys() []string {
	return []string{
		"build", "command", "entrypoint", "environment", "env_file", "ports", "expose", "depends_on", "restart", "healthcheck",
		"stop_signal", "stop_grace_period", "tty", "profiles", "deploy", "scale", "image", "container_name",
	}
}

// service fills the table of an app.
func (c *composeFile) service(a *App, key *yaml.Node, s map[string]*yaml.Node) {
	dir := c.mounted(s)
	if build := follow(s["build"]); !empty(build) {
		context := "."
		if build.Kind == yaml.MappingNode {
			if v := c.table(build, "build")["context"]; !empty(v) {
				context = c.text(v, "context")
			}
		} else {
			context = c.text(build, "build")
		}
		dir = filepath.Join(c.dir, interpolated(context))
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		c.note(key, "%s is left out: it is built from %s, which is no folder here", key.Value, c.p.shown(dir))
		return
	}
	if !c.command(a, key, s, dir) {
		return
	}
	if rel := c.p.path(dir); rel != "." {
		a.add("dir", rel, "")
	}
	c.port(a, s)
	c.dependencies(a, s)
	c.environment(a, s)
	c.life(a, s)
	for _, p := range sortedPairs(s) {
		if !slices.Contains(composeKeys(), p.key.Value) && !strings.HasPrefix(p.key.Value, "x-") {
			c.note(p.value, "%s of %s has no meaning for a process", p.key.Value, key.Value)
		}
	}
}

// sortedPairs gives a table in the order of its lines.
func sortedPairs(s map[string]*yaml.Node) []pair {
	var all []pair
	for key, value := range s {
		all = append(all, pair{&yaml.Node{Value: key}, value})
	}
	slices.SortFunc(all, func(a, b pair) int {
		if a.value.Line != b.value.Line {
			return a.value.Line - b.value.Line
		}
		return strings.Compare(a.key.Value, b.key.Value)
	})
	return all
}

// command finds how the service is started: what it says itself, else what the
// folder that it is built from tells.
func (c *composeFile) command(a *App, key *yaml.Node, s map[string]*yaml.Node, dir string) bool {
	entry, entryLine := c.words(s["entrypoint"], "entrypoint")
	args, line := c.words(s["command"], "command")
	switch {
	case entryLine != "" && (line != "" || len(args) == 0):
		a.add("command", strings.TrimSpace(entryLine+" "+line), "")
	case entryLine != "":
		for i := range args {
			args[i] = shellWord(args[i])
		}
		a.add("command", entryLine+" "+strings.Join(args, " "), "")
	case len(entry) > 0 && line != "":
		a.add("command", append(plains(entry), "sh", "-c", plain(line)), "")
	case len(entry)+len(args) > 0:
		a.add("command", plains(append(entry, args...)), "")
	case line != "":
		a.add("command", line, "")
	default:
		inside := &project{dir: dir, home: c.p.home, toml: filepath.Join(dir, filepath.Base(c.p.toml))}
		code := &Result{Draft: &Draft{}}
		if exists(filepath.Join(dir, "go.mod")) {
			if err := inside.goModule(code, dir); err != nil {
				c.note(key, "%s", err)
			}
		} else if exists(filepath.Join(dir, "package.json")) {
			if err := inside.node(code, dir, nil); err != nil {
				c.note(key, "%s", err)
			}
		}
		if len(code.Draft.Apps) == 0 {
			c.note(key, "%s is left out: only its image says what it runs; add [apps.%s] with a command", key.Value, a.ID)
			return false
		}
		a.Entries = code.Draft.Apps[0].Entries
		c.r.Next = append(c.r.Next, code.Next...)
		return true
	}
	c.commands = append(c.commands, a.ID)
	return true
}

// words gives a command as a list of words, or as a line for the shell.
func (c *composeFile) words(n *yaml.Node, what string) (words []string, line string) {
	v := follow(n)
	if empty(v) {
		return nil, ""
	}
	if v.Kind == yaml.ScalarNode {
		return nil, strings.ReplaceAll(strings.TrimSpace(c.text(v, what)), "$$", "$")
	}
	for _, word := range c.texts(n, what) {
		words = append(words, strings.ReplaceAll(word, "$$", "$"))
	}
	return words, ""
}

// port takes the port on which the service listens in its container: there is no
// other one for a process.
func (c *composeFile) port(a *App, s map[string]*yaml.Node) {
	taken := 0
	take := func(n *yaml.Node, text, published string) {
		port, err := strconv.Atoi(text)
		switch {
		case err != nil || port < 1 || port > 65535:
			c.note(n, "port %s of %s is not one number", text, a.ID)
		case taken == 0:
			taken = port
			comment := ""
			if published != "" && published != text {
				comment = "published as " + published + " by the container"
			}
			a.Entries = slices.DeleteFunc(a.Entries, func(e Entry) bool { return e.Key == "port" })
			a.add("port", port, comment)
		case taken != port:
			c.note(n, "port %d of %s is not declared: an app has one port, here %d", port, a.ID, taken)
		}
	}
	for _, n := range c.items(s["ports"], "ports") {
		if v := follow(n); v.Kind == yaml.MappingNode {
			t := c.table(v, "a port")
			take(n, c.text(t["target"], "target"), c.text(t["published"], "published"))
			continue
		}
		text, protocol, _ := strings.Cut(interpolated(c.text(n, "a port")), "/")
		if protocol == "udp" {
			continue
		}
		parts := strings.Split(text, ":")
		published := ""
		if len(parts) > 1 {
			published = parts[len(parts)-2]
		}
		take(n, parts[len(parts)-1], published)
	}
	for _, n := range c.items(s["expose"], "expose") {
		text, _, _ := strings.Cut(c.text(n, "a port"), "/")
		take(n, text, "")
	}
}

// reference matches what compose replaces: $$, ${NAME}, ${NAME:-text} and $NAME.
func reference() *regexp.Regexp {
	return regexp.MustCompile(`\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:?[-?+](?:[^${}]|\$\{[^{}]*\})*)?\}|\$([A-Za-z_][A-Za-z0-9_]*)`)
}

// expanding turns what compose replaces into what mesh.toml replaces. A variable
// that is not set is nothing to compose.
func expanding(s string) string {
	var b strings.Builder
	done := 0
	for _, m := range reference().FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(plain(s[done:m[0]]))
		done = m[1]
		group := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return s[m[2*i]:m[2*i+1]]
		}
		switch name, standard := group(1)+group(3), strings.TrimPrefix(group(2), ":"); {
		case name == "" && strings.HasPrefix(s[done:], "{"):
			b.WriteString("$$") // which mesh.toml takes for a plain one before a brace
		case name == "":
			b.WriteString("$")
		case strings.HasPrefix(standard, "-"):
			b.WriteString("${" + name + ":-" + expanding(standard[1:]) + "}")
		default:
			b.WriteString("${" + name + ":-}")
		}
	}
	b.WriteString(plain(s[done:]))
	return b.String()
}

// interpolated fills in what compose would when no variable is set.
func interpolated(s string) string {
	return regexp.MustCompile(`\$\{[^}]*?:?-([^}]*)\}`).ReplaceAllString(s, "$1")
}
