package convert

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SchemaFile is what the first line of a draft names, beside it: editors
// complete keys with it.
const SchemaFile = "mesh.schema.json"

// Draft is a mesh.toml that is being written.
type Draft struct {
	Head []string // comment at the top
	Name string   // "": that of the folder
	Mesh []Entry  // of [mesh]
	Apps []App
	Tail []string // comment at the end
}

// App is one [apps.*] table.
type App struct {
	ID      string
	Comment []string
	Entries []Entry
}

// Entry is one key. Value is a string, an int, a bool, a []string, a
// map[string]string or Entries for a table in braces.
type Entry struct {
	Key     string
	Value   any
	Comment string // after the value
	Off     bool   // written as a comment
}

// add puts a key into the app.
func (a *App) add(key string, value any, comment string) {
	a.Entries = append(a.Entries, Entry{Key: key, Value: value, Comment: comment})
}

// propose puts a key into the app as a comment.
func (a *App) propose(key string, value any, comment string) {
	a.Entries = append(a.Entries, Entry{Key: key, Value: value, Comment: comment, Off: true})
}

// find gives the key's entry that counts, nil when there is none.
func (a *App) find(key string) *Entry {
	for i := range a.Entries {
		if e := &a.Entries[i]; e.Key == key && !e.Off {
			return e
		}
	}
	return nil
}

// wide is how long a line with a list may be before the list is broken.
const wide = 100

// Text gives the file.
func (d *Draft) Text() []byte {
	var b strings.Builder
	b.WriteString("#:schema ./" + SchemaFile + "\n")
	comments(&b, d.Head)
	if d.Name != "" {
		fmt.Fprintf(&b, "name = %s\n", quote(plain(d.Name)))
	}
	if len(d.Mesh) > 0 {
		b.WriteString("\n[mesh]\n")
		entries(&b, d.Mesh)
	}
	for _, a := range d.Apps {
		b.WriteString("\n")
		comments(&b, a.Comment)
		fmt.Fprintf(&b, "[apps.%s]\n", a.ID)
		entries(&b, a.Entries)
		for _, e := range a.Entries {
			if vars, ok := e.Value.(map[string]string); ok {
				fmt.Fprintf(&b, "\n[apps.%s.%s]\n", a.ID, e.Key)
				table(&b, vars)
			}
		}
	}
	if len(d.Tail) > 0 {
		b.WriteString("\n")
		comments(&b, d.Tail)
	}
	return []byte(b.String())
}

func comments(b *strings.Builder, lines []string) {
	for _, line := range lines {
		b.WriteString(strings.TrimRight("# "+line, " ") + "\n")
	}
}

// entries writes keys, their equals signs and their comments each in a column.
func entries(b *strings.Builder, list []Entry) {
	var inline []Entry
	width, reach := 0, 0
	for _, e := range list {
		if _, ok := e.Value.(map[string]string); ok {
			continue
		}
		inline = append(inline, e)
		width = max(width, len(e.name()))
	}
	texts := make([]string, len(inline))
	for i, e := range inline {
		texts[i] = fmt.Sprintf("%-*s = %s", width, e.name(), show(e.Value, width))
		if n := utf8.RuneCountInString(texts[i]); e.Comment != "" && n <= 48 && !strings.Contains(texts[i], "\n") {
			reach = max(reach, n)
		}
	}
	for i, e := range inline {
		if e.Comment != "" {
			last := texts[i][strings.LastIndexByte(texts[i], '\n')+1:]
			texts[i] += strings.Repeat(" ", max(0, reach-utf8.RuneCountInString(last))) + "  # " + e.Comment
		}
		b.WriteString(texts[i] + "\n")
	}
}

func (e Entry) name() string {
	if e.Off {
		return "# " + e.Key
	}
	return e.Key
}

// table writes variables, one a line.
func table(b *strings.Builder, vars map[string]string) {
	width := 0
	for name := range vars {
		width = max(width, len(bare(name)))
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		fmt.Fprintf(b, "%-*s = %s\n", width, bare(name), quote(vars[name]))
	}
}

// show writes a value; a list that makes the line long is broken.
func show(v any, before int) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case []string:
		parts := make([]string, len(v))
		for i, s := range v {
			parts[i] = quote(s)
		}
		if line := "[" + strings.Join(parts, ", ") + "]"; len(line)+before < wide || len(parts) < 2 {
			return line
		}
		return "[\n  " + strings.Join(parts, ",\n  ") + ",\n]"
	case []Entry:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = bare(e.Key) + " = " + show(e.Value, before)
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	return fmt.Sprint(v)
}

// bare writes a key, in quotes where it needs them.
func bare(key string) string {
	if key != "" && strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == "" {
		return key
	}
	return quote(key)
}

// quote writes text as TOML does, with as few escapes as can be.
func quote(s string) string {
	odd := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 || !utf8.ValidString(s)
	if strings.ContainsAny(s, `"\`) && !strings.Contains(s, "'") && !odd {
		return "'" + s + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			b.WriteString(`\u` + fmt.Sprintf("%04X", r))
		case unicode.IsPrint(r) || r > 0xffff:
			b.WriteRune(r)
		default:
			b.WriteString(`\u` + strings.ToUpper(strconv.FormatInt(0x10000+int64(r), 16)[1:]))
		}
	}
	b.WriteByte('"')
	return b.String()
}
