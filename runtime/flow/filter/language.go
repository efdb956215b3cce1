package filter

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Language is what can be said about values of one type. It is not changed
// once it is used.
type Language[T any] struct {
	Fields map[string]Field[T]       // by name, in lower case
	Flags  map[string]func(*T) bool  // words that stand for themselves
	Text   func(v *T) []string       // where a word that is no term is looked for
	Begins func(v *T) (start string) // a word may also be how this begins; nil: nothing
}

// Field is something that a filter can ask about: one of Texts, Number and Span.
type Field[T any] struct {
	About   string // for help and completion
	Example string // what may follow the name, with its sign
	Texts   func(v *T) []string
	Number  func(v *T) (n int64, ok bool)
	Unit    Unit // of Number
	Span    func(v *T) (from, to time.Time)
}

// Unit says how the numbers of a field are written.
type Unit uint8

// The units: 64k or 1MiB, 250ms (the number is of nanoseconds), and 5xx.
const (
	Size Unit = iota
	Duration
	Status
)

// Parse reads a filter; blank text matches everything. The error is an *Error.
func (l *Language[T]) Parse(text string) (*Of[T], error) {
	if strings.TrimSpace(text) == "" {
		return &Of[T]{}, nil
	}
	p := &parser[T]{lang: l, text: text, tokens: lex(text)}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != end {
		return nil, p.fail(t, `")" closes nothing`, "")
	}
	return &Of[T]{text: strings.TrimSpace(text), root: root}, nil
}

// names gives every field and flag in alphabetical order.
func (l *Language[T]) names() []string {
	all := slices.Collect(maps.Keys(l.Fields))
	return slices.Compact(slices.Sorted(slices.Values(slices.AppendSeq(all, maps.Keys(l.Flags)))))
}

// freeText looks for a word without regard to case.
func (l *Language[T]) freeText(text string) node[T] {
	low := strings.ToLower(text)
	return func(v *T) bool {
		return slices.ContainsFunc(l.Text(v), func(s string) bool { return contains(s, low) }) ||
			(l.Begins != nil && strings.HasPrefix(l.Begins(v), low))
	}
}
