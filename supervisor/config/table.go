package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// table describes the keys that fill a T.
type table[T any] struct {
	doc    string
	fields []field[T]
	first  func(d *decoder, n node)       // before any key is read; may be nil
	check  func(d *decoder, n node, t *T) // what several keys must agree on; may be nil
}

// field is one key of a table.
type field[T any] struct {
	key, doc string
	shape    shape
	standard any      // what it is when not given, as in the file; nil: the zero value
	need     bool     // it must be given
	others   []string // what other tools call it
	read     func(d *decoder, n node, into *T) bool
}

// key makes a field that is read by a rule and stored by set.
func key[T, V any](name, doc string, r rule[V], set func(*T, V)) field[T] {
	return field[T]{key: name, doc: doc, shape: r.shape, read: func(d *decoder, n node, into *T) bool {
		v, ok := try(d, r, n)
		if ok {
			set(into, v)
		}
		return ok
	}}
}

// or says what the key is when it is not given.
func (f field[T]) or(standard any) field[T] {
	f.standard = standard
	return f
}

// needed says that the key must be given.
func (f field[T]) needed() field[T] {
	f.need = true
	return f
}

// alias names what other tools call the key, for suggestions.
func (f field[T]) alias(names ...string) field[T] {
	f.others = names
	return f
}

// section makes a field that is a table whose keys fill the same T.
func section[T any](name, doc string, fields ...field[T]) field[T] {
	t := table[T]{doc: doc, fields: fields}
	return field[T]{key: name, doc: doc, shape: t.shape(), standard: map[string]any{}, read: func(d *decoder, n node, into *T) bool {
		if n.value == any(broken) {
			d.taint(n.path)
			return false
		}
		return t.fill(d, n, into)
	}}
}

// object is the rule of a table.
func object[T any](t table[T]) rule[T] {
	return rule[T]{t.shape(), func(d *decoder, n node) (T, bool) {
		var v T
		ok := t.fill(d, n, &v)
		return v, ok
	}}
}

// shape describes the table; an unknown key is a mistake.
func (t table[T]) shape() shape {
	properties, need := shape{}, []string{}
	for _, f := range t.fields {
		s := maps.Clone(f.shape)
		s["description"] = f.doc
		if _, empty := f.standard.(map[string]any); f.standard != nil && !empty {
			s["default"] = f.standard
		}
		properties[f.key] = s
		if f.need {
			need = append(need, f.key)
		}
	}
	s := shape{"type": "object", "properties": properties, "additionalProperties": false}
	if t.doc != "" {
		s["description"] = t.doc
	}
	if len(need) > 0 {
		s["required"] = need
	}
	return s
}

// fill reads every key of a table. A misspelt key is reported and then read as
// the key it was likely meant to be, so that what it says counts for the rest.
func (t table[T]) fill(d *decoder, n node, into *T) bool {
	given, ok := n.value.(map[string]any)
	if !ok {
		d.mustBe(n, "a table", "write ["+n.path+"] with the keys below it")
		return false
	}
	if t.first != nil {
		t.first(d, n)
	}
	meant := t.unknown(d, n, given)
	whole := len(meant) == 0
	for _, f := range t.fields {
		path, value := join(n.path, f.key), given[f.key]
		if other, ok := meant[f.key]; ok && value == nil {
			path, value = join(n.path, other), given[other]
			d.taint(join(n.path, f.key))
		}
		switch {
		case value != nil:
			whole = f.read(d, node{path, value}, into) && whole
		case f.need:
			d.wrongKey(n.path, fmt.Sprintf("%s has no %s", n.path, f.key), fmt.Sprintf("add %s = …: %s", f.key, lowerFirst(strings.TrimSuffix(f.doc, "."))))
			d.taint(path)
			whole = false
		case f.standard != nil:
			whole = f.read(d, node{path, f.standard}, into) && whole
		}
	}
	if t.check != nil {
		t.check(d, n, into)
	}
	return whole
}

// unknown reports the keys that the table does not have, and gives the key
// that each was likely meant to be.
func (t table[T]) unknown(d *decoder, n node, given map[string]any) map[string]string {
	var names []string
	for _, f := range t.fields {
		names = append(names, f.key)
	}
	var meant map[string]string
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(names, key) {
			continue
		}
		if meant == nil {
			meant = map[string]string{}
		}
		msg := fmt.Sprintf("unknown key %q", key)
		if n.path != "" {
			msg += " in " + n.path
		}
		likely := t.named(key)
		if likely != "" {
			meant[likely] = key
		}
		d.wrongKey(join(n.path, key), msg, t.advice(n.path, key, likely))
	}
	return meant
}

// advice is what to do about an unknown key.
func (t table[T]) advice(path, key, likely string) string {
	if likely != "" {
		return fmt.Sprintf("did you mean %q?", likely)
	}
	if home := t.home(key); home != "" {
		return fmt.Sprintf("%s belongs into [%s]", key, join(path, home))
	}
	if len(t.fields) > 12 {
		return "`mesh schema` lists the keys that there are"
	}
	var names []string
	for _, f := range t.fields {
		names = append(names, f.key)
	}
	return "the keys here are " + strings.Join(names, ", ")
}

// named gives the key that a word likely stands for, "" when there is none.
func (t table[T]) named(word string) string {
	var names []string
	for _, f := range t.fields {
		if slices.Contains(f.others, strings.ToLower(word)) {
			return f.key
		}
		names = append(names, f.key)
	}
	plain := strings.NewReplacer("-", "", "_", "")
	for _, name := range names {
		if strings.EqualFold(plain.Replace(word), plain.Replace(name)) {
			return name
		}
	}
	return suggest(word, names)
}

// home gives the table below this one that has the key, "" when there is none.
func (t table[T]) home(key string) string {
	for _, f := range t.fields {
		if properties, ok := f.shape["properties"].(shape); ok && properties[key] != nil {
			return f.key
		}
	}
	return ""
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
