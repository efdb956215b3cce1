package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"mesh/supervisor/config"
)

// manifest is what matters here of a package.json.
type manifest struct {
	Name            string            `json:"name"`
	Main            string            `json:"main"`
	Scripts         map[string]string `json:"scripts"`
	Dependencies    map[string]string `json:"dependencies"`
	DevDependencies map[string]string `json:"devDependencies"`
	Workspaces      json.RawMessage   `json:"workspaces"`
}

// node adds the program of a package.json: its script dev or start, else its
// main file.
func (p *project) node(r *Result, dir string, folders []string) error {
	file := filepath.Join(dir, "package.json")
	m, err := p.manifest(file)
	if err != nil {
		return err
	}
	if len(m.Workspaces) > 0 && len(m.Scripts) > 0 && p.workspaces(dir, folders) {
		r.Found = append(r.Found, p.shown(file)+": a workspace; its packages are apps")
		return nil
	}
	a := App{ID: appID(m.Name[strings.LastIndexByte(m.Name, '/')+1:])}
	if a.ID == "" {
		a.ID = appID(filepath.Base(dir))
	}
	a.ID = unique(r.Draft.Apps, a.ID)
	command, script := p.nodeCommand(dir, m)
	if command == "" {
		r.Found = append(r.Found, p.shown(file)+": no script dev or start")
		return nil
	}
	own, err := p.own(dir, "package.json")
	if err != nil {
		return err
	}
	at := p.port(own, ".js", ".mjs", ".cjs", ".ts", ".mts", ".jsx", ".tsx")
	if at.variable == "" && regexp.MustCompile(`\b(next|nuxt|react-scripts) (dev|start)\b`).MatchString(script) {
		at = listens{variable: "PORT", file: "the framework"}
	}
	at.listen(&a, command)
	if rel := p.path(dir); rel != "." {
		a.add("dir", rel, "")
	}
	if !regexp.MustCompile(`nodemon|--watch|tsx watch|ts-node-dev|\b(vite|next|nuxt|react-scripts|webpack|turbo)\b`).MatchString(script) {
		a.add("watch", []string{"**/*.js", "**/*.ts"}, "saving such a file restarts it; calls wait meanwhile")
		a.add("ignore", []string{"node_modules/**"}, "")
	}
	r.Draft.Apps = append(r.Draft.Apps, a)
	r.Found = append(r.Found, fmt.Sprintf("%s: %s", p.shown(file), list("program", "programs", []App{a})))
	if len(m.Dependencies)+len(m.DevDependencies) > 0 && !exists(filepath.Join(dir, "node_modules")) && !exists(filepath.Join(p.dir, "node_modules")) {
		r.Next = append(r.Next, fmt.Sprintf("%s has packages that are not installed: run `%s install` in %s", a.ID, p.nodeTool(dir), below(p.dir, dir)))
	}
	return nil
}

// manifest reads a package.json.
func (p *project) manifest(file string) (*manifest, error) {
	text, err := readSmall(file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", p.shown(file), err)
	}
	var m manifest
	err = json.Unmarshal(text, &m)
	if err == nil {
		return &m, nil
	}
	offset := 0
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = int(e.Offset)
	} else if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = int(e.Offset)
	}
	before := string(text[:max(0, min(offset-1, len(text)))])
	line := strings.Count(before, "\n")
	return nil, config.Errors{{
		Place: config.Place{File: p.shown(file), Line: line + 1, Column: len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1},
		Msg:   "no valid package.json: " + strings.TrimPrefix(err.Error(), "json: "),
		Line:  strings.TrimRight(strings.Split(string(text), "\n")[line], "\r"),
	}}
}

// workspaces says whether packages below a folder can be run themselves.
func (p *project) workspaces(dir string, folders []string) bool {
	for _, folder := range folders {
		if folder == dir || !strings.HasPrefix(folder, dir+string(filepath.Separator)) {
			continue
		}
		if m, err := p.manifest(filepath.Join(folder, "package.json")); err == nil {
			if command, _ := p.nodeCommand(folder, m); command != "" {
				return true
			}
		}
	}
	return false
}

// nodeCommand gives how a package is run, and the script behind it.
func (p *project) nodeCommand(dir string, m *manifest) (command, script string) {
	for _, name := range []string{"dev", "start"} {
		if s := m.Scripts[name]; strings.TrimSpace(s) != "" {
			return p.nodeTool(dir) + " run " + name, s
		}
	}
	for _, file := range []string{m.Main, "server.js", "index.js", "main.js"} {
		if file == "" || m.Scripts != nil && file == m.Main && len(m.Scripts) > 0 && m.Scripts["build"] != "" {
			continue // a library
		}
		if info, err := os.Stat(filepath.Join(dir, file)); err == nil && !info.IsDir() {
			return "node " + shellWord(file), ""
		}
	}
	return "", ""
}

// nodeTool gives the package manager that a package is installed with.
func (p *project) nodeTool(dir string) string {
	for _, folder := range []string{dir, p.dir} {
		for _, lock := range [][2]string{{"pnpm-lock.yaml", "pnpm"}, {"yarn.lock", "yarn"}, {"bun.lock", "bun"}, {"bun.lockb", "bun"}, {"package-lock.json", "npm"}} {
			if exists(filepath.Join(folder, lock[0])) {
				return lock[1]
			}
		}
	}
	return "npm"
}
