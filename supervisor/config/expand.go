package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// hole is a ${…} that cannot be filled.
type hole struct {
	nth       int    // which "${" of the text, from 0
	name      string // of the variable that is not set; "" when it is no variable
	msg, hint string
}

// expand fills ${NAME} and ${NAME:-text}; text may hold further ones. $${
// stands for a plain ${, and any other $ for itself.
func expand(s string, lookup func(name string) (string, bool)) (string, []hole) {
	e := expander{lookup: lookup}
	return e.expand(s), e.holes
}

type expander struct {
	lookup func(name string) (string, bool)
	nth    int // the next "${"
	holes  []hole
}

func (e *expander) expand(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			e.nth++
			continue
		}
		b.WriteString(s[:i])
		inner, rest, closed := braces(s[i+2:])
		nth := e.nth
		e.nth++
		name, standard, hasStandard := strings.Cut(inner, ":-")
		switch {
		case !closed:
			e.holes = append(e.holes, hole{nth: nth, msg: "${ without a closing }", hint: "write $${ for a plain ${"})
			return b.String()
		case !isName(name):
			e.holes = append(e.holes, hole{nth: nth, msg: fmt.Sprintf("${%s} names no variable", inner), hint: "write ${NAME} or ${NAME:-text}; $${ stands for a plain ${"})
			e.nth += strings.Count(inner, "${")
		default:
			value, ok := e.lookup(name)
			used := hasStandard && value == ""
			if used {
				value, ok = e.expand(standard), true
			} else {
				e.nth += strings.Count(inner, "${")
			}
			if !ok {
				e.holes = append(e.holes, hole{nth, name, fmt.Sprintf("the variable %s is not set", name), fmt.Sprintf("set it in the environment or an env file, or write ${%s:-text}", name)})
			}
			b.WriteString(value)
		}
		s = rest
	}
}

// braces cuts a text at the } that closes it.
func braces(s string) (inner, rest string, closed bool) {
	depth := 0
	for i := range len(s) {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			depth++
		case s[i] == '}' && depth == 0:
			return s[:i], s[i+1:], true
		case s[i] == '}':
			depth--
		}
	}
	return s, "", false
}

// isName says whether a variable can have the name.
func isName(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	return strings.Trim(s, strings.TrimSuffix(bareChars, "-")) == ""
}

// expand fills the variables of the text at a path, and reports those that
// cannot be filled where they stand.
func (d *decoder) expand(path, s string) (string, bool) {
	full, holes := expand(s, d.lookup)
	spot := d.index.find(path)
	raw := d.index.text[spot.value:max(spot.value, spot.end)]
	for _, h := range holes {
		offset := spot.value
		if at := nth(raw, "${", h.nth); at >= 0 {
			offset += at
		}
		hint := h.hint
		if likely := suggest(h.name, d.variables()); h.name != "" && likely != "" {
			hint = fmt.Sprintf("did you mean %s? Else %s", likely, hint)
		}
		d.report(offset, path, h.msg, hint)
	}
	return full, len(holes) == 0
}

// nth gives the offset of the nth occurrence of a part, from 0, or -1.
func nth(s, part string, n int) int {
	offset := 0
	for {
		i := strings.Index(s[offset:], part)
		if i < 0 {
			return -1
		}
		if n == 0 {
			return offset + i
		}
		offset += i + len(part)
		n--
	}
}

// lookup finds a variable: the environment wins over the env files of the app,
// and those over the env files of the mesh.
func (d *decoder) lookup(name string) (string, bool) {
	for _, vars := range d.scopes() {
		if v, ok := vars[name]; ok {
			return v, true
		}
	}
	return "", false
}

func (d *decoder) scopes() []map[string]string {
	return []map[string]string{d.environ, d.appEnv, d.meshEnv}
}

// variables names all variables, sorted.
func (d *decoder) variables() []string {
	var names []string
	for _, vars := range d.scopes() {
		names = slices.AppendSeq(names, maps.Keys(vars))
	}
	slices.Sort(names)
	return names
}
