package convert

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"mesh/supervisor/config"
)

// procfile reads a Procfile: one "name: command" a line. As foreman has it, PORT
// says where a process is to listen.
func (p *project) procfile(file string) (*Result, error) {
	text, err := readSmall(file)
	if err != nil {
		return nil, fmt.Errorf("reading the Procfile: %w", err)
	}
	name := p.shown(file)
	r := &Result{Draft: &Draft{Head: []string{"Made from " + name + "."}}}
	var mistakes config.Errors
	form := regexp.MustCompile(`^([A-Za-z0-9_-]+):\s*(.+)$`)
	first := map[string]int{}
	for i, line := range strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fail := func(msg, hint string) {
			mistakes = append(mistakes, &config.Error{Place: config.Place{File: name, Line: i + 1, Column: 1}, Msg: msg, Hint: hint, Line: line})
		}
		m := form.FindStringSubmatch(line)
		if m == nil {
			fail("this line names no process", "each is name: command")
			continue
		}
		if before := first[m[1]]; before > 0 {
			fail(fmt.Sprintf("there is a second process named %s, the first is on line %d", m[1], before), "")
			continue
		}
		first[m[1]] = i + 1
		a := App{ID: unique(r.Draft.Apps, appID(m[1]))}
		command, usesPort := m[2], regexp.MustCompile(`\$(PORT\b|\{PORT\b)`).MatchString(m[2])
		if m[1] == "web" || usesPort {
			a.add("command", `export PORT="$APP_PORT"; `+command, "")
			a.add("port", "auto", "PORT of the Procfile")
		} else {
			a.add("command", command, "")
		}
		if m[1] == "release" {
			a.add("restart", "never", "runs once")
		}
		if dir := p.path(filepath.Dir(file)); dir != "." {
			a.add("dir", dir, "")
		}
		r.Draft.Apps = append(r.Draft.Apps, a)
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	r.Found = []string{fmt.Sprintf("%s: %s", name, list("process", "processes", r.Draft.Apps))}
	return r, nil
}
