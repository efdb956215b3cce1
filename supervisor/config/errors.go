package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// Error is one mistake in a file.
type Error struct {
	Place Place
	Key   string // the key it is about, such as apps.orders.port; "" for the file as a whole
	Msg   string // what is wrong
	Hint  string // what to do; may be ""
	Line  string // the line of the file, without its end
}

// lineWidth is how much of a long line is shown, in cells of the terminal.
const lineWidth = 120

// Error gives "file:line:column: what", the line, a caret under the column and
// the hint, each on a line of its own.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Place.File)
	if e.Place.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Place.Line, e.Place.Column)
	}
	b.WriteString(": " + strings.Map(harmless, e.Msg))
	if e.Place.Line > 0 && e.Line != "" {
		line, caret := excerpt(e.Line, e.Place.Column)
		b.WriteString("\n  " + line + "\n  " + caret + "^")
	}
	if e.Hint != "" {
		b.WriteString("\n  " + strings.Map(harmless, e.Hint))
	}
	return b.String()
}

// excerpt gives the part of a line around a column that can be shown in a
// terminal, and the white space that puts a caret under the column. Tabs are
// kept in both, so that they agree whatever the width of a tab.
func excerpt(line string, column int) (shown, indent string) {
	widths := runewidth.Condition{}
	runes := []rune(strings.ToValidUTF8(line, "\uFFFD"))
	at := max(0, min(column-1, len(runes)))
	from := 0
	for cells, i := 0, at-1; i >= 0; i-- {
		if cells += widths.RuneWidth(runes[i]); cells > lineWidth/2 {
			from = i + 1
			break
		}
	}
	var text, space strings.Builder
	cells := 0
	if from > 0 {
		text.WriteString("…")
		space.WriteString(" ")
		cells = 1
	}
	for i, r := range runes[from:] {
		r = harmless(r)
		if cells += widths.RuneWidth(r); cells > lineWidth {
			text.WriteString("…")
			break
		}
		text.WriteRune(r)
		switch {
		case from+i >= at:
		case r == '\t':
			space.WriteByte('\t')
		default:
			space.WriteString(strings.Repeat(" ", widths.RuneWidth(r)))
		}
	}
	return text.String(), space.String()
}

// harmless replaces what could steer the terminal: nothing in a file may.
func harmless(r rune) rune {
	if r == '\t' || unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

// Errors is every mistake that was found, sorted by place, each once.
type Errors []*Error

// Error gives the mistakes one after the other, with a blank line between.
func (es Errors) Error() string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "\n\n")
}

// From gives the same mistakes with the shortest names that their files have from
// a folder: those of files in it, or below it, begin there.
func (es Errors) From(dir string) Errors {
	short := make(Errors, len(es))
	for i, e := range es {
		here := *e
		if rel, err := filepath.Rel(dir, e.Place.File); err == nil && filepath.IsLocal(rel) {
			here.Place.File = rel
		}
		short[i] = &here
	}
	return short
}

// Unwrap lets errors.As find a single *Error.
func (es Errors) Unwrap() []error {
	list := make([]error, len(es))
	for i, e := range es {
		list[i] = e
	}
	return list
}

// tidy sorts the mistakes by place and drops what is said twice.
func (es Errors) tidy() Errors {
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(
			strings.Compare(a.Place.File, b.Place.File),
			cmp.Compare(a.Place.Line, b.Place.Line),
			cmp.Compare(a.Place.Column, b.Place.Column),
			strings.Compare(a.Msg, b.Msg),
		)
	})
	return slices.CompactFunc(es, func(a, b *Error) bool { return a.Place == b.Place && a.Msg == b.Msg })
}

// suggest gives the word of the list that was most likely meant, "" when none
// is near. It takes a swap of two letters for one mistake.
func suggest(word string, list []string) string {
	best, least := "", 0
	for _, w := range list {
		far := distance(strings.ToLower(word), strings.ToLower(w))
		if n := utf8.RuneCountInString(w); far > max(1, n/3) || far >= min(n, utf8.RuneCountInString(word)) {
			continue
		}
		if best == "" || far < least {
			best, least = w, far
		}
	}
	return best
}

// didYouMean is the hint for a misspelt word.
func didYouMean(word string, list []string) string {
	if w := suggest(word, list); w != "" {
		return fmt.Sprintf("did you mean %q?", w)
	}
	return ""
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to turn a into b.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}
