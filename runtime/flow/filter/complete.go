package filter

import (
	"maps"
	"slices"
	"strings"
)

// Completion is how a half-typed filter may go on.
type Completion struct {
	From    int      // where the word that is replaced begins, in bytes
	Options []string // what may stand there instead, best first
	About   []string // what each option means, "" when it says so itself
}

// Complete proposes what may stand at the end of text. Values of fields come
// from the values given, which are usually those on the screen.
func (l *Language[T]) Complete(text string, from []T) Completion {
	c := Completion{From: len(text)}
	w := ""
	if t := lex(text); len(t) > 1 {
		if last := t[len(t)-2]; last.kind == word && last.pos+last.len == len(text) && last.quoted < 0 {
			c.From, w = last.pos, last.text
		}
	}
	at := strings.IndexAny(w, ":=~<>!")
	if at < 0 {
		for _, name := range l.names() {
			if !strings.HasPrefix(name, strings.ToLower(w)) {
				continue
			}
			if _, flag := l.Flags[name]; flag && name != w {
				c.add(name, "")
			}
			if f, ok := l.Fields[name]; ok {
				c.add(name+f.Example[:1], f.About)
			}
		}
		return c
	}
	f := l.Fields[strings.ToLower(w[:at])]
	typed := strings.ToLower(strings.TrimLeft(w[at:], ":=~<>!"))
	values := map[string]bool{}
	if f.Texts != nil {
		for i := range from {
			for _, s := range f.Texts(&from[i]) {
				if s != "" && len(s) <= 40 && !strings.ContainsAny(s, " \t\n\"'()|&") {
					values[s] = true
				}
			}
		}
	} else if f.Example != "" {
		values[strings.TrimLeft(f.Example, ":~<>")] = true
	}
	head := w[:len(w)-len(strings.TrimLeft(w[at:], ":=~<>!"))]
	for _, s := range slices.Sorted(maps.Keys(values)) {
		if strings.HasPrefix(strings.ToLower(s), typed) && strings.ToLower(s) != typed {
			c.add(head+s, "")
		}
	}
	return c
}

func (c *Completion) add(option, about string) {
	c.Options = append(c.Options, option)
	c.About = append(c.About, about)
}

// nearest gives the name that is most like s, "" when none is.
func nearest(s string, names []string) string {
	best, found := 6, ""
	for _, n := range names {
		d := 2 * distance(s, n) // half a letter off for another beginning
		if d < 2*len(n) && s[0] != n[0] {
			d++
		}
		if d < best && d < 2*len(n) {
			best, found = d, n
		}
	}
	return found
}

// distance counts the letters to insert, drop or change to make a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
