package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestTree(t *testing.T) {
	p := watching(t, Options{Targets: Targets{Trees: []Tree{{Dir: "src", Match: []string{"**/*.go", "go.mod"}, Ignore: []string{"bin/**", "*_gen.go"}}}}}, func(p *place) {
		p.write("src/main.go", "package main")
	})
	p.write("src/main.go", "package other")
	p.expect("src/main.go")
	p.write("src/bin/x.go", "package x")
	p.write("src/a_gen.go", "package x")
	p.write("src/notes.txt", "no")
	p.write("src/go.mod", "module x")
	p.expect("src/go.mod")
	p.write("src/new/deep/er/x.go", "package er")
	p.expect("src/new/deep/er/x.go")
	p.write("src/new/deep/er/y.go", "package er")
	p.expect("src/new/deep/er/y.go")
	p.rename("src/new", "src/old")
	p.expect("src/new/deep/er/x.go", "src/new/deep/er/y.go", "src/old/deep/er/x.go", "src/old/deep/er/y.go")
	p.write("src/old/deep/er/y.go", "package changed")
	p.expect("src/old/deep/er/y.go")
	p.remove("src/old")
	p.expect("src/old/deep/er/x.go", "src/old/deep/er/y.go")
	p.write("src/old/z.go", "package z") // a folder comes back
	p.expect("src/old/z.go")
}

func TestTreeVanishesAndComesBack(t *testing.T) {
	p := watching(t, Options{Targets: Targets{Trees: []Tree{{Dir: "up/components", Match: []string{"*.yaml"}}}}}, func(p *place) {
		p.write("up/components/a.yaml", "a: 1")
	})
	p.remove("up")
	p.expect("up/components/a.yaml")
	p.write("up/components/a.yaml", "a: 1")
	p.expect("up/components/a.yaml")
	p.write("up/components/b.yaml", "b: 1")
	p.expect("up/components/b.yaml")
	p.rename("up/components", "up/elsewhere")
	p.expect("up/components/a.yaml", "up/components/b.yaml")
	p.write("up/elsewhere/a.yaml", "a: 2") // no longer of interest
	p.rename("up/elsewhere", "up/components")
	p.expect("up/components/a.yaml", "up/components/b.yaml")
}

// TestSameContentInATree is silent from the second save on: the content is not
// known before the first.
func TestSameContentInATree(t *testing.T) {
	p := watching(t, Options{Targets: Targets{Trees: []Tree{{Dir: "src"}}}}, func(p *place) { p.write("src/a.go", "one") })
	p.write("src/a.go", "two")
	p.expect("src/a.go")
	p.write("src/a.go", "two")
	p.settled()
}

func BenchmarkLookAtATree(b *testing.B) {
	dir := b.TempDir()
	for i := range 100 {
		sub := filepath.Join(dir, fmt.Sprint("d", i))
		if err := os.Mkdir(sub, 0o700); err != nil {
			b.Fatal(err)
		}
		for j := range 20 {
			if err := os.WriteFile(filepath.Join(sub, fmt.Sprint(j, ".go")), nil, 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	w, err := New(Options{Targets: Targets{Trees: []Tree{{Dir: dir, Match: []string{"**/*.go"}, Gitignore: true}}}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w.lookAtAll()
	}
}
