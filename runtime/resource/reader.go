package resource

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// reader turns the nodes of one document into values and collects mistakes.
// Its methods accept a nil node, which is a key that is not there.
type reader struct {
	file   string
	lines  []string // of the whole file
	offset int      // lines before the document
	errs   *Errors
}

func (r *reader) place(n *yaml.Node) Place {
	return Place{File: r.file, Line: n.Line + r.offset, Column: n.Column}
}

func (r *reader) fail(n *yaml.Node, msg, hint string) {
	r.failAt(r.place(n), msg, hint)
}

func (r *reader) failAt(p Place, msg, hint string) {
	p.Line = max(1, min(p.Line, len(r.lines))) // the parser knows more line ends than an editor
	*r.errs = append(*r.errs, &Error{Place: p, Msg: msg, Hint: hint, Line: r.lines[p.Line-1]})
}

// syntax reports what the YAML parser says, which names a line in its text.
func (r *reader) syntax(err error) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	p := Place{File: r.file, Line: r.offset + 1, Column: 1}
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(msg); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			p.Line = r.offset + n
			msg = msg[len(m[0]):]
		}
	}
	r.failAt(p, "no valid YAML: "+msg, "")
}

// fields gives the values of a mapping by key, nil when there is none. Of the
// keys that are not known, only those that look like a misspelt one are
// reported: files may have more than is used here.
func (r *reader) fields(n *yaml.Node, known ...string) map[string]*yaml.Node {
	n = target(n)
	if n == nil || n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "this must have keys and values", "")
		return nil
	}
	all := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if _, twice := all[key]; twice {
			r.fail(n.Content[i], key+" is said twice", "")
		}
		all[key] = n.Content[i+1]
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if near := misspelt(key, known); near != "" && all[near] == nil {
			r.fail(n.Content[i], fmt.Sprintf("unknown key %q", key), fmt.Sprintf("did you mean %s?", near))
		}
	}
	return all
}

// items gives the entries of a list.
func (r *reader) items(n *yaml.Node) []*yaml.Node {
	n = target(n)
	if n == nil || n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "this must be a list", "")
		return nil
	}
	return n.Content
}

// text gives a scalar as a string; a list or mapping becomes JSON.
func (r *reader) text(n *yaml.Node) string {
	n = target(n)
	if n == nil || n.Tag == "!!null" {
		return ""
	}
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	var v any
	err := n.Decode(&v)
	if err == nil {
		var text []byte
		if text, err = json.Marshal(v); err == nil {
			return string(text)
		}
	}
	r.fail(n, "this cannot be a value: "+err.Error(), "")
	return ""
}

func (r *reader) texts(n *yaml.Node) []string {
	var all []string
	for _, item := range r.items(n) {
		all = append(all, r.text(item))
	}
	return all
}

// table gives a mapping of strings.
func (r *reader) table(n *yaml.Node) map[string]string {
	fields := r.fields(n)
	if fields == nil {
		return nil
	}
	all := make(map[string]string, len(fields))
	for key, value := range fields {
		all[key] = r.text(value)
	}
	return all
}

func (r *reader) truth(n *yaml.Node) bool {
	text := r.text(n)
	if text == "" {
		return false
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		r.fail(n, fmt.Sprintf("%q is neither true nor false", text), "")
	}
	return v
}

func (r *reader) integer(n *yaml.Node, otherwise int) int {
	text := r.text(n)
	if text == "" {
		return otherwise
	}
	v, err := strconv.Atoi(text)
	if err != nil {
		r.fail(n, fmt.Sprintf("%q is no whole number", text), "")
		return otherwise
	}
	return v
}

// duration reads "5s"; a bare number counts in unit.
func (r *reader) duration(n *yaml.Node, unit, otherwise time.Duration) time.Duration {
	text := r.text(n)
	if text == "" {
		return otherwise
	}
	if v, err := strconv.Atoi(text); err == nil {
		return time.Duration(v) * unit
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		r.fail(n, fmt.Sprintf("%q is no duration", text), `write it like "500ms", "5s" or "1m30s"`)
		return otherwise
	}
	return v
}

// property reads a value that may be a secret or stand in the environment. A
// value without a name, as in TLS, is given one by the caller.
func (r *reader) property(n *yaml.Node, name string) Property {
	f := r.fields(n, "name", "value", "secretKeyRef", "envRef")
	p := Property{Name: name}
	if n != nil {
		p.Place = r.place(n)
	}
	if f == nil {
		return p
	}
	if f["name"] != nil {
		p.Name = r.text(f["name"])
	}
	p.Value, p.Env = r.text(f["value"]), r.text(f["envRef"])
	if ref := r.fields(f["secretKeyRef"], "name", "key"); ref != nil {
		p.Secret = SecretRef{Name: r.text(ref["name"]), Key: r.text(ref["key"])}
		if p.Secret.Name == "" {
			r.fail(f["secretKeyRef"], "secretKeyRef needs the name of a secret", "")
		}
		if p.Secret.Key == "" {
			p.Secret.Key = p.Secret.Name
		}
	}
	return p
}

// properties reads a metadata list.
func (r *reader) properties(n *yaml.Node) []Property {
	var all []Property
	seen := map[string]bool{}
	for _, item := range r.items(n) {
		p := r.property(item, "")
		switch {
		case p.Name == "":
			r.fail(item, "this entry has no name", "each is - { name: …, value: … }")
		case seen[strings.ToLower(p.Name)]:
			r.fail(item, p.Name+" is set twice", "")
		default:
			seen[strings.ToLower(p.Name)] = true
			all = append(all, p)
		}
	}
	return all
}

// target follows an alias to what it stands for.
func target(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// misspelt gives the known key that a key was probably meant to be; "" when
// the key is known, or like none.
func misspelt(key string, known []string) string {
	near := ""
	for _, k := range known {
		if k == key {
			return ""
		}
		if strings.EqualFold(k, key) || (len(k) > 3 && distance(strings.ToLower(k), strings.ToLower(key)) <= 2) {
			near = k
		}
	}
	return near
}

// distance counts the letters to insert, drop or change to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
