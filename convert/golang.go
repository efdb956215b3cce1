package convert

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// goModule adds the main packages of a module.
func (p *project) goModule(r *Result, dir string) error {
	text, err := readSmall(filepath.Join(dir, "go.mod"))
	if err != nil {
		return fmt.Errorf("reading go.mod: %w", err)
	}
	module := filepath.Base(dir)
	if m := regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`).FindSubmatch(text); m != nil {
		module = regexp.MustCompile(`/v[0-9]+$`).ReplaceAllString(string(m[1]), "")
		module = module[strings.LastIndexByte(module, '/')+1:]
	}
	own, err := p.own(dir, "go.mod")
	if err != nil {
		return err
	}
	var mains []string
	for _, folder := range own {
		if isMain(folder) {
			mains = append(mains, folder)
		}
	}
	var added []App
	for _, folder := range mains {
		name, target := filepath.Base(folder), "./"+below(dir, folder)
		if folder == dir {
			name, target = module, "."
		}
		a := App{ID: unique(r.Draft.Apps, appID(name))}
		where := []string{folder}
		if len(mains) == 1 {
			where = own
		}
		target = shellWord(target)
		p.port(where, ".go").listen(&a, "go run "+target)
		if rel := p.path(dir); rel != "." {
			a.add("dir", rel, "")
		}
		a.add("build", "go build -o /dev/null "+target, "when it fails, the running app stays")
		a.add("watch", []string{"**/*.go"}, "saving such a file restarts it; calls wait meanwhile")
		r.Draft.Apps = append(r.Draft.Apps, a)
		added = append(added, a)
	}
	r.Found = append(r.Found, fmt.Sprintf("%s: %s", p.shown(filepath.Join(dir, "go.mod")), list("program", "programs", added)))
	return nil
}

// isMain says whether a folder holds a program.
func isMain(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false // what cannot be read is not looked at
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") {
			continue
		}
		text, err := readSmall(filepath.Join(dir, name))
		if err != nil || regexp.MustCompile(`(?m)^//go:build ignore\b`).Match(text) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if file == nil || err != nil && file.Name == nil || file.Name.Name != "main" {
			continue
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "main" {
				return true
			}
		}
	}
	return false
}

// shellWord quotes a word for the shell where it needs it.
func shellWord(s string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]+$`).MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
