// Package filter is the one language in which flows are chosen, on the screen
// and by `mesh tap`, and the measures and words that belong to it. The lists of
// the screen that show something else are chosen from in the same language, with
// fields of their own: see Language.
//
// A filter is a list of terms such as
//
//	to:orders status:5xx ttfb>200ms !live (path~/chat or stalled)
//
// Terms beside each other must all hold. "or" and "|" give a choice, "!" and
// "not" turn a term round, parentheses group. A word that is no term is looked
// for in the names, the path and the error. Parse explains what it cannot read
// and points at it; Language.Complete proposes how a half-typed filter may go on.
package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"mesh/runtime/flow"
)

// Filter decides about flows.
type Filter = Of[flow.View]

// Of decides about values of one type. The zero value and nil match every one.
// It is never changed and may be used by several goroutines.
type Of[T any] struct {
	text string
	root node[T]
}

type node[T any] func(v *T) bool

// Match says whether the value is chosen.
func (f *Of[T]) Match(v *T) bool { return f.Empty() || f.root(v) }

// Empty says whether the filter matches everything.
func (f *Of[T]) Empty() bool { return f == nil || f.root == nil }

// String gives the text that was parsed.
func (f *Of[T]) String() string {
	if f == nil {
		return ""
	}
	return f.text
}

// Error is a filter that cannot be read.
type Error struct {
	Text     string // the whole filter
	Pos, Len int    // the part of it that is wrong, in bytes
	Msg      string // what is wrong
	Hint     string // what to write instead, or ""
}

// Error gives one line with the column, counted in characters from 1.
func (e *Error) Error() string {
	s := fmt.Sprintf("column %d: %s", utf8.RuneCountInString(e.Text[:e.Pos])+1, e.Msg)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Caret gives a line of spaces and carets that, written below the filter,
// points at what is wrong.
func (e *Error) Caret() string {
	return strings.Repeat(" ", utf8.RuneCountInString(e.Text[:e.Pos])) +
		strings.Repeat("^", max(1, utf8.RuneCountInString(e.Text[e.Pos:e.Pos+e.Len])))
}
