package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/joho/godotenv"
)

// standardEnvFile is the env file of a mesh that names none. It may be missing,
// also when it is named.
const standardEnvFile = ".env"

// envFiles reads the env files that a table names, or the standard ones,
// before its other keys are read. Of two files the later one wins. Mistakes in
// the key itself are left to the rule that reads it.
func (d *decoder) envFiles(n node, standard ...any) map[string]string {
	vars := map[string]string{}
	at := join(n.path, "env_file")
	table, _ := n.value.(map[string]any) // what is no table names no files
	items, given := elements(table["env_file"])
	if !given {
		items = standard
	}
	for i, item := range items {
		errs := len(d.errs)
		name, ok := path().read(d, node{element(at, i), item})
		if d.errs = d.errs[:errs]; ok {
			d.envFile(element(at, i), name, !slices.Contains(standard, item), vars)
		}
	}
	for name := range d.environ {
		delete(vars, name)
	}
	return vars
}

// envFile adds the variables of one file. must says that it is a mistake when
// the file is missing.
func (d *decoder) envFile(at, name string, must bool, vars map[string]string) {
	text, err := d.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !must:
		return
	case errors.Is(err, fs.ErrNotExist):
		d.wrong(at, fmt.Sprintf("the env file %s does not exist", d.shown(name)), "create it or remove it here")
		return
	case err != nil:
		d.wrong(at, fmt.Sprintf("the env file %s cannot be read: %v", d.shown(name), errors.Unwrap(err)), "")
		return
	case len(text) > maxSize:
		d.wrong(at, fmt.Sprintf("the env file %s is larger than %d bytes", d.shown(name), maxSize), "")
		return
	}
	read, mistake := parseEnv(string(text))
	if mistake != nil {
		mistake.Place.File = filepath.Join(filepath.Dir(d.file), d.shown(name))
		if filepath.IsAbs(d.shown(name)) {
			mistake.Place.File = name
		}
		d.errs = append(d.errs, mistake)
		d.taint(at)
	}
	maps.Copy(vars, read)
}

// shown gives a path below the folder of the mesh without that folder.
func (d *decoder) shown(name string) string {
	if short, err := filepath.Rel(d.dir, name); err == nil && filepath.IsLocal(short) {
		return short
	}
	return name
}

// parseEnv reads the text of an env file. Its mistake has no file yet, and
// shows no value, since values are often secrets.
func parseEnv(text string) (map[string]string, *Error) {
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\uFEFF"), "\r\n", "\n")
	lines := newLines(text)
	mistake := func(offset int, msg string) *Error {
		line, column := lines.position(offset)
		shown, _, hasValue := strings.Cut(lines.line(line), "=")
		if hasValue {
			shown += "=…"
		}
		return &Error{Place: Place{Line: line, Column: column}, Msg: msg, Hint: "each line must be KEY=value", Line: shown}
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return nil, mistake(i, "a NUL character")
	}
	vars, err := godotenv.Unmarshal(text)
	if err != nil {
		offset, msg := envMistake(text, err)
		return nil, mistake(offset, msg)
	}
	for key, value := range vars {
		if key == "" {
			// The parser takes a last line without "=" for the value of no name.
			return nil, mistake(max(0, strings.LastIndex(text, value)), "a line without =")
		}
		if !isName(strings.ReplaceAll(key, ".", "_")) {
			return nil, mistake(max(0, strings.LastIndex(text, key)), fmt.Sprintf("%q is no name for a variable", key))
		}
	}
	return vars, nil
}

// envMistake finds the place that an error of the parser is about: it quotes
// the text from there on.
func envMistake(text string, err error) (offset int, msg string) {
	if rest, ok := strings.CutPrefix(err.Error(), "unterminated quoted value "); ok {
		offset = max(0, strings.LastIndex(text, rest))
		return offset, "a quoted value that does not end"
	}
	msg, quoted, _ := strings.Cut(err.Error(), " near ")
	if rest, err := strconv.Unquote(quoted); err == nil && strings.HasSuffix(text, rest) {
		offset = len(text) - len(rest)
	}
	return offset, msg
}
