package convert

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"mesh/supervisor/config"
)

// yamlFile is a YAML text that is being read. It gathers mistakes and notes;
// its methods take a nil node for a key that is not there.
type yamlFile struct {
	name  string // as it is shown
	lines []string
	root  *yaml.Node // nil when the text is empty
	errs  config.Errors
	notes []Note
}

// readYAML parses a text with one document.
func readYAML(name string, text []byte) *yamlFile {
	f := &yamlFile{name: name, lines: strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		msg, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
		if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(msg); m != nil {
			line, _ = strconv.Atoi(m[1])
			msg = msg[len(m[0]):]
		}
		f.failAt(line, 1, "no valid YAML: "+msg, "")
		return f
	}
	if len(doc.Content) > 0 {
		f.root = doc.Content[0]
	}
	return f
}

// at gives an error without words, at a node.
func (f *yamlFile) at(line, column int) config.Error {
	line = max(1, min(line, len(f.lines)))
	return config.Error{Place: config.Place{File: f.name, Line: line, Column: column}, Line: f.lines[line-1]}
}

func (f *yamlFile) failAt(line, column int, msg, hint string) {
	e := f.at(line, column)
	e.Msg, e.Hint = msg, hint
	for _, have := range f.errs {
		if have.Place == e.Place && have.Msg == msg {
			return
		}
	}
	f.errs = append(f.errs, &e)
}

func (f *yamlFile) fail(n *yaml.Node, msg, hint string) { f.failAt(n.Line, n.Column, msg, hint) }

// note remarks something once for each line.
func (f *yamlFile) note(n *yaml.Node, format string, args ...any) {
	add := Note{File: f.name, Line: n.Line, Text: fmt.Sprintf(format, args...)}
	if !slices.Contains(f.notes, add) {
		f.notes = append(f.notes, add)
	}
}

// sorted gives the notes in the order of their lines.
func (f *yamlFile) sorted() []Note {
	slices.SortStableFunc(f.notes, func(a, b Note) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return f.notes
}

// pair is one key of a mapping and its value.
type pair struct{ key, value *yaml.Node }

// pairs gives what a mapping holds, what it merges in with << included.
func (f *yamlFile) pairs(n *yaml.Node, what string) []pair { return f.merged(n, what, 0) }

// maxMerges is how deep << may nest: an alias may stand for what it is in.
const maxMerges = 20

func (f *yamlFile) merged(n *yaml.Node, what string, depth int) []pair {
	if n = follow(n); empty(n) {
		return nil
	}
	if depth > maxMerges {
		f.fail(n, "<< is nested too deep", "")
		return nil
	}
	if n.Kind != yaml.MappingNode {
		f.fail(n, what+" must have keys and values", "")
		return nil
	}
	var own, merged []pair
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			list := []*yaml.Node{value}
			if v := follow(value); v.Kind == yaml.SequenceNode {
				list = v.Content
			}
			for _, item := range list {
				merged = append(merged, f.merged(item, what, depth+1)...)
			}
			continue
		}
		if seen[key.Value] {
			f.fail(key, key.Value+" is said twice", "")
			continue
		}
		seen[key.Value] = true
		own = append(own, pair{key, value})
	}
	for _, p := range merged {
		if !seen[p.key.Value] {
			seen[p.key.Value] = true
			own = append(own, p)
		}
	}
	return own
}

// items gives the entries of a list.
func (f *yamlFile) items(n *yaml.Node, what string) []*yaml.Node {
	if n = follow(n); empty(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		f.fail(n, what+" must be a list", "")
		return nil
	}
	return n.Content
}

// text gives a plain value as it is written.
func (f *yamlFile) text(n *yaml.Node, what string) string {
	if n = follow(n); empty(n) {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		f.fail(n, what+" must be text", "")
		return ""
	}
	if strings.ContainsRune(n.Value, 0) {
		f.fail(n, what+" must not hold a NUL character", "")
		return ""
	}
	return n.Value
}

func (f *yamlFile) texts(n *yaml.Node, what string) []string {
	var all []string
	for _, item := range f.items(n, what) {
		all = append(all, f.text(item, "an entry of "+what))
	}
	return all
}

// integer gives a number, 0 when there is none.
func (f *yamlFile) integer(n *yaml.Node, what string) int {
	text := f.text(n, what)
	if text == "" {
		return 0
	}
	v, err := strconv.Atoi(text)
	if err != nil {
		f.fail(n, fmt.Sprintf("%s must be a whole number, not %q", what, text), "")
	}
	return v
}

func (f *yamlFile) truth(n *yaml.Node, what string) bool {
	switch text := f.text(n, what); text {
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE", "":
	default:
		f.fail(n, fmt.Sprintf("%s must be true or false, not %q", what, text), "")
	}
	return false
}

// follow gives what an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// empty says whether there is no value.
func empty(n *yaml.Node) bool { return n == nil || n.Tag == "!!null" }

// zero says whether a value is the one that stands for none.
func zero(n *yaml.Node) bool {
	if n = follow(n); empty(n) {
		return true
	}
	if n.Kind != yaml.ScalarNode {
		return len(n.Content) == 0
	}
	return n.Value == "" || n.Value == "0" || n.Tag == "!!bool" && strings.EqualFold(n.Value, "false")
}
