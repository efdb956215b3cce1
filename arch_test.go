package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// floor is the architecture as a map: which package of this module may import
// which others. A package that is not in it fails the test, as does an import
// that is not allowed.
func floor() map[string][]string {
	return map[string][]string{
		"mesh":                                {"mesh/cli"},
		"mesh/cli":                            {"*"},
		"mesh/supervisor":                     {"mesh/supervisor/*", "mesh/runtime", "mesh/runtime/*"},
		"mesh/supervisor/config":              {},
		"mesh/supervisor/watch":               {},
		"mesh/supervisor/proc":                {},
		"mesh/supervisor/state":               {},
		"mesh/supervisor/console":             {},
		"mesh/supervisor/logs":                {"mesh/supervisor/state"},
		"mesh/supervisor/control":             {"mesh/supervisor/state", "mesh/supervisor/logs", "mesh/supervisor/console", "mesh/runtime/flow", "mesh/runtime/flow/filter"},
		"mesh/supervisor/control/controltest": {"mesh/supervisor/control", "mesh/supervisor/console", "mesh/supervisor/state", "mesh/runtime/flow"},
		"mesh/runtime":                        {"mesh/runtime/*"},
		"mesh/runtime/flow":                   {},
		"mesh/runtime/flow/filter":            {"mesh/runtime/flow"},
		"mesh/runtime/flow/export":            {"mesh/runtime/flow", "mesh/runtime/flow/filter"},
		"mesh/runtime/run":                    {},
		"mesh/runtime/stream":                 {"mesh/runtime/flow", "mesh/runtime/h2", "mesh/runtime/socket"},
		"mesh/runtime/h2":                     {"mesh/runtime/socket"},
		"mesh/runtime/rpc":                    {"mesh/runtime/stream", "mesh/runtime/flow"},
		"mesh/runtime/appchan":                {"mesh/runtime/field", "mesh/runtime/rpc", "mesh/runtime/socket", "mesh/runtime/stream", "mesh/runtime/flow"},
		"mesh/runtime/apphealth":              {},
		"mesh/runtime/deliver":                {"mesh/runtime/cloudevent", "mesh/runtime/component", "mesh/runtime/policy", "mesh/runtime/resource", "mesh/runtime/stream", "mesh/runtime/flow"},
		"mesh/runtime/cloudevent":             {},
		"mesh/runtime/field":                  {},
		"mesh/runtime/http1":                  {"mesh/runtime/field", "mesh/runtime/socket"},
		"mesh/runtime/socket":                 {},
		"mesh/runtime/metrics":                {},
		"mesh/runtime/names":                  {},
		"mesh/relay":                          {},
		"mesh/standalone":                     {"mesh/runtime", "mesh/runtime/*", "mesh/mdnsresolve"},
		"mesh/runtime/policy":                 {"mesh/runtime/stream"},
		"mesh/runtime/resiliency":             {"mesh/runtime/policy", "mesh/runtime/resource"},
		"mesh/runtime/resource":               {},
		"mesh/runtime/component":              {"mesh/runtime/resource"},
		"mesh/runtime/component/consultest":   {},
		"mesh/runtime/component/servertest":   {},
		"mesh/runtime/integration":            {},
		"mesh/runtime/api":                    {"mesh/runtime/component", "mesh/runtime/policy", "mesh/runtime/resource", "mesh/runtime/stream", "mesh/runtime/flow"},
		"mesh/runtime/api/apitest":            {"mesh/runtime/component", "mesh/runtime/resource"},
		"mesh/runtime/api/httpapi":            {"mesh/runtime/api", "mesh/runtime/http1", "mesh/runtime/socket", "mesh/runtime/stream", "mesh/runtime/flow"},
		"mesh/runtime/api/grpcapi":            {"mesh/runtime/api", "mesh/runtime/cloudevent", "mesh/runtime/rpc", "mesh/runtime/stream", "mesh/runtime/flow"},
		"mesh/tui":                            {"mesh/tui/*", "mesh/runtime/flow", "mesh/runtime/flow/filter", "mesh/runtime/flow/export", "mesh/supervisor/state"},
		"mesh/tui/grid":                       {},
		"mesh/tui/decode":                     {},
		"mesh/tui/pane":                       {"mesh/tui/decode", "mesh/tui/grid", "mesh/tui/trace", "mesh/runtime/flow", "mesh/runtime/flow/filter", "mesh/supervisor/state"},
		"mesh/tui/trace":                      {"mesh/runtime/flow", "mesh/runtime/flow/filter"},
		"mesh/convert":                        {"mesh/supervisor/config", "mesh/runtime/resource"},
		"mesh/convert/export":                 {"mesh/supervisor/config", "mesh/runtime/resource", "mesh/convert"},
		"mesh/latency":                        {},
		"mesh/mdnsresolve":                    {},
		"mesh/bench/streams":                  {},
		"mesh/bench/hops":                     {},
		"mesh/bench/picture":                  {},
		"mesh/e2e":                            {},
	}
}

func allowed(rules []string, path string) bool {
	return slices.ContainsFunc(rules, func(r string) bool {
		if below, ok := strings.CutSuffix(r, "*"); ok {
			return strings.HasPrefix(path, below)
		}
		return r == path
	})
}

// TestImports holds every package to the floor. Test files are free, and so
// are the examples, which must stay independent of everything.
func TestImports(t *testing.T) {
	rules := floor()
	for pkg, files := range packages(t) {
		name := importPath(pkg)
		may, known := rules[name]
		if strings.HasPrefix(name, "mesh/examples") {
			may, known = nil, true
		}
		if !known {
			t.Errorf("%s is not in the map of packages: say what it may import", name)
			continue
		}
		for _, f := range files {
			ast, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, imp := range ast.Imports {
				path := strings.Trim(imp.Path.Value, `"`)
				if path != "mesh" && !strings.HasPrefix(path, "mesh/") {
					continue
				}
				if !allowed(may, path) {
					t.Errorf("%s imports %s, which %s may not", f, path, name)
				}
			}
		}
	}
}

// TestPackageDocs demands one package comment of at least a sentence per package.
func TestPackageDocs(t *testing.T) {
	for pkg, files := range packages(t) {
		docs := 0
		for _, f := range files {
			ast, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if ast.Doc != nil && len(ast.Doc.Text()) > 60 {
				docs++
			}
		}
		if docs != 1 {
			t.Errorf("%s has %d package comments, want one", importPath(pkg), docs)
		}
	}
}

func importPath(dir string) string {
	if dir == "." {
		return "mesh"
	}
	return "mesh/" + filepath.ToSlash(dir)
}

// packages gives the non-test Go files of each folder.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			found[filepath.Dir(path)] = append(found[filepath.Dir(path)], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
