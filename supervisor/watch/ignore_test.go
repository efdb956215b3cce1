package watch

import (
	"strings"
	"testing"
)

func TestGitignore(t *testing.T) {
	p := watching(t, Options{Targets: Targets{Trees: []Tree{{Dir: "repo/app", Gitignore: true}}}}, func(p *place) {
		p.write("repo/.git/HEAD", "")
		p.write("repo/.gitignore", "*.log\n/app/dist/\n")
		p.write("repo/app/.gitignore", "# build\nout\n!keep.log\n")
		p.write("repo/app/a.go", "")
	})
	p.write("repo/app/x.log", "x")
	p.write("repo/app/dist/x.js", "x")
	p.write("repo/app/out/x", "x")
	p.write("repo/app/sub/out", "x")
	p.write("repo/app/keep.log", "x")
	p.expect("repo/app/keep.log")
	p.write("repo/app/.gitignore", "")
	p.expect("repo/app/.gitignore", "repo/app/out/x", "repo/app/sub/out")
	p.write("repo/app/out/x", "y")
	p.expect("repo/app/out/x")
}

func TestGitignoreRules(t *testing.T) {
	for _, c := range []struct {
		lines, path string
		folder      bool
		want        bool
	}{
		{"*.o", "a.o", false, true},
		{"*.o", "x/y/a.o", false, true},
		{"/a.o", "x/a.o", false, false},
		{"x/a.o", "x/a.o", false, true},
		{"x/a.o", "y/x/a.o", false, false},
		{"**/x/a.o", "y/x/a.o", false, true},
		{"bin/", "bin", true, true},
		{"bin/", "bin", false, false},
		{"x/**", "x/y/z", false, true},
		{"*.o\n!a.o", "a.o", false, false},
		{"!a.o\n*.o", "a.o", false, true},
		{"# a", "# a", false, false},
		{`\#a`, "#a", false, true},
		{"a.o  ", "a.o", false, true},
		{"a{b,c}", "ab", false, false},
		{"a{b,c}", "a{b,c}", false, true},
	} {
		var r rules
		for line := range strings.SplitSeq(c.lines, "\n") {
			if one, ok := parseRule("/repo", line); ok {
				r = append(r, one)
			}
		}
		if got := r.ignore("/repo/"+c.path, c.folder); got != c.want {
			t.Errorf("%q on %s: %v", c.lines, c.path, got)
		}
	}
}
