package filter

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind uint8

const (
	end kind = iota
	word
	open
	closing
	not
	and
	or
)

type token struct {
	kind     kind
	pos, len int
	text     string // of a word, without its quotes
	quoted   int    // where in text the first quoted part begins; -1: nowhere
}

// lex cuts the text into tokens; the last one is of kind end. It cannot fail:
// a quote that is not closed runs to the end of the text.
func lex(text string) []token {
	var tokens []token
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		one := token{pos: i, len: n, quoted: -1}
		switch {
		case unicode.IsSpace(r):
			i += n
			continue
		case r == '(':
			one.kind = open
		case r == ')':
			one.kind = closing
		case r == '!':
			one.kind = not
		case r == '|', r == '&':
			if one.kind = or; r == '&' {
				one.kind = and
			}
			if i+1 < len(text) && text[i+1] == text[i] {
				one.len = 2
			}
		default:
			one = lexWord(text, i)
		}
		tokens = append(tokens, one)
		i += one.len
	}
	return append(tokens, token{kind: end, pos: len(text), quoted: -1})
}

// lexWord reads a word; quotes inside it protect spaces and signs.
func lexWord(text string, start int) token {
	t := token{kind: word, pos: start, quoted: -1}
	var b strings.Builder
	quote, i := byte(0), start
	for ; i < len(text); i++ {
		c := text[i]
		if quote != 0 {
			if c == quote {
				quote = 0
				continue
			}
			b.WriteByte(c)
			continue
		}
		if c == '"' || c == '\'' {
			quote = c
			if t.quoted < 0 {
				t.quoted = b.Len()
			}
			continue
		}
		if r, _ := utf8.DecodeRuneInString(text[i:]); unicode.IsSpace(r) || strings.IndexByte("()|&", c) >= 0 {
			break
		}
		b.WriteByte(c)
	}
	t.len, t.text = i-start, b.String()
	if t.quoted < 0 {
		switch strings.ToLower(t.text) {
		case "and":
			t.kind = and
		case "or":
			t.kind = or
		case "not":
			t.kind = not
		}
	}
	return t
}

type parser[T any] struct {
	lang   *Language[T]
	text   string
	tokens []token
}

func (p *parser[T]) peek() token { return p.tokens[0] }

func (p *parser[T]) next() token {
	t := p.tokens[0]
	if t.kind != end {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *parser[T]) fail(t token, msg, hint string) *Error {
	return &Error{Text: p.text, Pos: t.pos, Len: t.len, Msg: msg, Hint: hint}
}

func (p *parser[T]) or() (node[T], error) {
	left, err := p.and()
	for err == nil && p.peek().kind == or {
		p.next()
		l := left
		var r node[T]
		r, err = p.and()
		left = func(v *T) bool { return l(v) || r(v) }
	}
	return left, err
}

func (p *parser[T]) and() (node[T], error) {
	left, err := p.unary()
	for err == nil {
		switch p.peek().kind {
		case end, closing, or:
			return left, nil
		case and:
			p.next()
		case word, open, not:
		}
		l := left
		var r node[T]
		r, err = p.unary()
		left = func(v *T) bool { return l(v) && r(v) }
	}
	return left, err
}

func (p *parser[T]) unary() (node[T], error) {
	switch t := p.next(); t.kind {
	case not:
		n, err := p.unary()
		if err != nil {
			return nil, err
		}
		return func(v *T) bool { return !n(v) }, nil
	case open:
		n, err := p.or()
		if err != nil {
			return nil, err
		}
		if c := p.next(); c.kind != closing {
			return nil, p.fail(t, `"(" is not closed`, "")
		}
		return n, nil
	case word:
		return p.term(t)
	case end:
		return nil, p.fail(t, "a term is missing here", "")
	case closing:
		return nil, p.fail(t, "a term is missing before \")\"", "")
	case and, or:
		return nil, p.fail(t, "a term is missing before "+p.text[t.pos:t.pos+t.len], "")
	}
	return nil, p.fail(p.peek(), "a term is missing here", "")
}

// term reads one word: a field with its value, a flag, or free text.
func (p *parser[T]) term(t token) (node[T], error) {
	at := strings.IndexAny(t.text, ":=~<>!")
	if at <= 0 || (t.quoted >= 0 && t.quoted <= at) {
		if t.quoted < 0 {
			if f, ok := p.lang.Flags[strings.ToLower(t.text)]; ok {
				return f, nil
			}
		}
		return p.lang.freeText(t.text), nil
	}
	name, op := strings.ToLower(t.text[:at]), t.text[at:at+1]
	if two := t.text[at:min(at+2, len(t.text))]; two == ">=" || two == "<=" || two == "!=" {
		op = two
	}
	value := t.text[at+len(op):]
	f, ok := p.lang.Fields[name]
	if !ok {
		// "10:30" and "http://…" are meant as text.
		if t.text[at] == ':' && (strings.HasPrefix(value, "//") || strings.ContainsAny(name, "0123456789./")) {
			return p.lang.freeText(t.text), nil
		}
		hint := `put it in quotes to look for it as text`
		if s := nearest(name, p.lang.names()); s != "" {
			hint = "did you mean " + s + "?"
		}
		return nil, p.fail(token{pos: t.pos, len: min(at, t.len)}, "there is no field "+quote(name), hint)
	}
	rest := token{pos: t.pos + at + len(op), len: max(0, t.len-at-len(op))}
	if value == "" && t.quoted < 0 {
		return nil, p.fail(rest, "a value is missing after "+name+op, "such as "+name+f.Example)
	}
	n, msg, hint := f.build(op, value)
	if msg != "" {
		return nil, p.fail(rest, msg, hint)
	}
	return n, nil
}

// contains is strings.Contains without regard to case; low is in lower case.
func contains(s, low string) bool {
	if len(low) > len(s) {
		return low == ""
	}
	for i := 0; i+len(low) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(low)], low) {
			return true
		}
	}
	return false
}
