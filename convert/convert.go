// Package convert makes a mesh.toml out of what a project has already.
//
// Dapr reads a dapr.yaml; Init looks for whatever says how a project is run: a
// dapr.yaml, a Procfile, the processes of a compose file, scripts of Node and
// programs of Go. Both give a Draft, which is a mesh.toml with comments, and
// Notes on everything that the draft could not keep, each with its line.
// Nothing is written here. The way out of a mesh.toml is package export.
package convert

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"mesh/supervisor/config"
)

// Note says what became of something that a draft could not keep as it was.
type Note struct {
	File string
	Line int // from 1; 0: the file as a whole
	Text string
}

// String gives "file:line: text".
func (n Note) String() string {
	if n.Line == 0 {
		return n.File + ": " + n.Text
	}
	return fmt.Sprintf("%s:%d: %s", n.File, n.Line, n.Text)
}

// Result is a draft and how it came about.
type Result struct {
	Draft *Draft
	Found []string // what was found and read, in words
	Notes []Note   // what could not be kept
	Next  []string // what the user should look at
}

// check reads the draft as a mesh would. A mistake is shown where source says
// that the key comes from.
func (r *Result) check(file string, source func(key string) (config.Error, bool)) error {
	draftLine := regexp.MustCompile(` on line \d+$`) // of a text that nobody has seen
	_, err := config.Parse(file, r.Draft.Text(), config.Options{})
	mistakes, ok := err.(config.Errors) //nolint:errorlint // Parse gives it as it is
	if !ok {
		return err
	}
	for i, m := range mistakes {
		for key := m.Key; key != ""; key = parent(key) {
			if at, ok := source(key); ok {
				at.Key, at.Msg, at.Hint = m.Key, draftLine.ReplaceAllString(m.Msg, ""), m.Hint
				mistakes[i] = &at
				break
			}
		}
	}
	return mistakes
}

// parent gives the table that a key stands in.
func parent(key string) string {
	i := strings.LastIndexAny(key, ".[")
	return key[:max(i, 0)]
}

// appID makes a name into one that an app can have, "" when nothing is left.
func appID(name string) string {
	id := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, name)
	return strings.Trim(id[:min(len(id), 63)], "-_")
}

// below gives a path as a file in dir would write it.
func below(dir, path string) string {
	if rel, err := filepath.Rel(dir, path); err == nil {
		return filepath.ToSlash(rel)
	}
	return path
}

// plain protects text against the expansion of ${…}.
func plain(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// plains protects each text of a list.
func plains(list []string) []string {
	safe := make([]string, len(list))
	for i, s := range list {
		safe[i] = plain(s)
	}
	return safe
}
