// Package field is the syntax of the heads of HTTP/1, the same for requests and
// replies: where a head ends, what its lines hold, and what may be in a name or
// a value. What could be understood in two ways is an error.
package field

import (
	"bytes"
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
)

// HeadEnd gives the length of the head that b begins with, the empty line
// included, or 0 when b does not hold all of it. from is where to begin to look.
// Line breaks without CR count: whether they are allowed is for who reads the lines.
func HeadEnd(b []byte, from int) int {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return 0
		}
		from += i + 1
		switch rest := b[from:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return from + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return from + 2
		}
	}
}

// Parse reads a header line, which is not empty and has no line break. The key
// is in canonical form.
func Parse(line string) (key, value string, err error) {
	if line[0] == ' ' || line[0] == '\t' {
		return "", "", errors.New("a header is continued on a second line, which is obsolete and not supported")
	}
	colon, canonical, first := 0, true, true
	for ; colon < len(line) && tokenByte(line[colon]); colon++ {
		c := line[colon]
		if 'a' <= c && c <= 'z' && first || 'A' <= c && c <= 'Z' && !first {
			canonical = false
		}
		first = c == '-'
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return "", "", fmt.Errorf("%q is not a header", Shorten(line))
	}
	key, value = line[:colon], trim(line[colon+1:])
	if !IsValue(value) {
		return "", "", fmt.Errorf("header %s holds a control character", Shorten(key))
	}
	if !canonical {
		key = textproto.CanonicalMIMEHeaderKey(key)
	}
	return key, value, nil
}

// trim takes the space around a value off.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// Length reads the values of Content-Length, one at least, which must agree.
func Length(values []string) (int64, error) {
	for _, s := range values {
		if s != values[0] {
			return 0, fmt.Errorf("two different content lengths, %q and %q", Shorten(values[0]), Shorten(s))
		}
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil || values[0][0] == '+' {
		return 0, fmt.Errorf("content length %q is not a number", Shorten(values[0]))
	}
	return int64(n), nil
}

// ChunkSize reads the line before a chunk, without its end. Extensions mean
// nothing and are passed over.
func ChunkSize(line string) (int64, error) {
	s, extension, _ := strings.Cut(line, ";")
	if !IsValue(extension) {
		return 0, errors.New("a chunk extension holds a control character")
	}
	s = strings.TrimRight(s, " \t")
	n, err := strconv.ParseUint(s, 16, 63)
	if err != nil || s[0] == '+' || len(s) > 16 {
		return 0, fmt.Errorf("chunk size %q is not a hexadecimal number", Shorten(s))
	}
	return int64(n), nil
}

// IsToken says whether s may be a header's name or a method.
func IsToken(s string) bool {
	for i := range len(s) {
		if !tokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// The bytes of a token as bits, those below 64 and the others.
const (
	digits  = (1<<10 - 1) << '0'
	letters = (1<<26-1)<<('a'-64) | (1<<26-1)<<('A'-64)

	tokenLow  = digits | 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.'
	tokenHigh = letters | 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)
)

// tokenByte says whether c may be in a token.
func tokenByte(c byte) bool {
	if c < 64 {
		return tokenLow>>c&1 != 0
	}
	return c < 128 && uint64(tokenHigh)>>(c-64)&1 != 0
}

// IsValue says whether s may be a header's value: no control character, above
// all no line break, is in it.
func IsValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c-' ' > '~'-' ' && (c < ' ' && c != '\t' || c == 0x7f) {
			return false
		}
	}
	return true
}

// Shorten keeps an error readable whatever the other side sent.
func Shorten(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
