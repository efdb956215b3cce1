package config

import (
	"fmt"
	"time"
)

// shape is a JSON Schema.
type shape = map[string]any

// rule says what a value may be: how to describe it and how to read it. read
// reports what is wrong with the value; it is false when there is none to use.
type rule[V any] struct {
	shape shape
	read  func(d *decoder, n node) (V, bool)
}

// node is a value in the file: a string, int64, float64, bool, time.Time,
// list or table.
type node struct {
	path  string
	value any
}

// decoder walks one file and gathers what is wrong with it.
type decoder struct {
	Options
	file     string // as it was named
	dir      string // absolute
	index    *index
	errs     Errors
	warnings Errors
	tainted  map[string]bool // paths with a mistake at or below them

	environ map[string]string // the environment
	meshEnv map[string]string // from the env files of the mesh
	appEnv  map[string]string // from those of the app being read
}

// place turns an offset into a place.
func (d *decoder) place(offset int) Place {
	line, column := d.index.position(offset)
	return Place{File: d.file, Line: line, Column: column}
}

// mistake makes an error at an offset.
func (d *decoder) mistake(offset int, path, msg, hint string) *Error {
	p := d.place(offset)
	return &Error{Place: p, Key: path, Msg: msg, Hint: hint, Line: d.index.line(p.Line)}
}

// report notes a mistake at an offset and taints the path and all around it.
func (d *decoder) report(offset int, path, msg, hint string) {
	d.errs = append(d.errs, d.mistake(offset, path, msg, hint))
	d.taint(path)
}

// taint marks a path and all around it, so that no rule over several keys
// draws conclusions from a value that was not read.
func (d *decoder) taint(path string) {
	for ; path != ""; path = parent(path) {
		d.tainted[path] = true
	}
}

// clean says whether no mistake was found at or below any of the keys.
func (d *decoder) clean(path string, keys ...string) bool {
	for _, key := range keys {
		if d.tainted[join(path, key)] {
			return false
		}
	}
	return true
}

// wrong reports a mistake at a value.
func (d *decoder) wrong(path, msg, hint string) {
	d.report(d.index.find(path).value, path, msg, hint)
}

// wrongKey reports a mistake at a key.
func (d *decoder) wrongKey(path, msg, hint string) {
	d.report(d.index.find(path).key, path, msg, hint)
}

// warn notes what is likely not meant, at a value.
func (d *decoder) warn(path, msg, hint string) {
	d.warnings = append(d.warnings, d.mistake(d.index.find(path).value, path, msg, hint))
}

// mustBe reports a value of the wrong type.
func (d *decoder) mustBe(n node, what, hint string) {
	d.wrong(n.path, fmt.Sprintf("%s must be %s, not %s", n.path, what, kindOf(n.value)), hint)
}

// kindOf names the type of a value.
func kindOf(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) <= 40 {
			return fmt.Sprintf("%q", v)
		}
		return "text"
	case int64, float64, bool:
		return fmt.Sprint(v)
	case time.Time:
		return "a date"
	case []any, []map[string]any:
		return "a list"
	}
	return "a table"
}

// try reads a value by a rule unless it stands for one that had a mistake.
func try[V any](d *decoder, r rule[V], n node) (V, bool) {
	if n.value == any(broken) {
		var none V
		d.taint(n.path)
		return none, false
	}
	return r.read(d, n)
}
