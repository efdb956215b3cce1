package config

import (
	"strconv"
	"strings"
)

// bareChars are the characters of keys without quotes.
const bareChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// scanner walks a TOML text once and fills an index.
type scanner struct {
	*index
	pos    int
	tables map[string]int // elements so far of each array of tables
	depth  int
}

// part is one key of a dotted key.
type part struct {
	name   string
	offset int
}

func (s *scanner) scan() {
	table := ""
	for s.space(true); s.pos < len(s.text); s.space(true) {
		if s.text[s.pos] == '[' {
			table = s.header()
		} else {
			s.statement(table)
		}
		s.skipLine()
	}
}

// header reads [a.b] or [[a.b]] and gives the path that keys below it have.
func (s *scanner) header() string {
	start, many := s.pos, strings.HasPrefix(s.text[s.pos:], "[[")
	s.pos++
	if many {
		s.pos++
	}
	parts := s.dotted()
	end := s.pos
	for end < len(s.text) && s.text[end] == ']' {
		end++
	}
	path := ""
	for i, p := range parts {
		path = join(path, p.name)
		last := i == len(parts)-1
		here := spot{p.offset, start, end, !last}
		if last && many {
			s.note(path, here)
			path = element(path, s.tables[path])
			s.tables[parent(path)]++
			s.spots[path] = here
			continue
		}
		s.note(path, here)
		path = s.latest(path)
	}
	return path
}

// note keeps a spot unless the path has one that is as good.
func (s *scanner) note(path string, here spot) {
	if first, ok := s.spots[path]; !ok || first.implied && !here.implied {
		s.spots[path] = here
	}
}

// latest gives the last element when the path is an array of tables.
func (s *scanner) latest(path string) string {
	if n := s.tables[path]; n > 0 {
		return element(path, n-1)
	}
	return path
}

// statement reads "key = value" and says where it ended.
func (s *scanner) statement(table string) {
	st := statement{start: s.pos}
	if v, ok := s.pair(table); ok {
		st.value, st.closed = v.value, v.closed
		if s.space(false); s.pos < len(s.text) && !strings.ContainsRune("\r\n", rune(s.text[s.pos])) {
			st.closed = false
		}
	}
	st.end = s.pos
	s.statements = append(s.statements, st)
}

// read is what became of a value.
type read struct {
	value  int // where it began
	closed bool
}

// pair reads "a.b = value" below a path. It is false when there is no value.
func (s *scanner) pair(path string) (read, bool) {
	parts := s.dotted()
	given := len(parts) > 0 && s.pos < len(s.text) && s.text[s.pos] == '='
	if given {
		s.pos++
		s.space(false)
	}
	for i, p := range parts {
		path = join(path, p.name)
		last := i == len(parts)-1
		s.note(path, spot{p.offset, s.pos, s.pos, !last})
		if !last {
			path = s.latest(path)
		}
	}
	if !given {
		return read{}, false
	}
	start := s.pos
	closed := s.value(path)
	if here := s.spots[path]; here.value == start {
		here.end = s.pos
		s.spots[path] = here
	}
	return read{start, closed}, true
}

// dotted reads a key of one or more parts and the white space after it.
func (s *scanner) dotted() []part {
	var parts []part
	for {
		s.space(false)
		p := part{offset: s.pos}
		if s.pos < len(s.text) && (s.text[s.pos] == '"' || s.text[s.pos] == '\'') {
			quote := s.text[s.pos]
			if !s.str() {
				return nil
			}
			p.name = s.text[p.offset+1 : s.pos-1]
			if quote == '"' {
				p.name = unescape(p.name)
			}
		} else {
			for s.pos < len(s.text) && strings.IndexByte(bareChars, s.text[s.pos]) >= 0 {
				s.pos++
			}
			if p.name = s.text[p.offset:s.pos]; p.name == "" {
				return nil
			}
		}
		if parts = append(parts, p); len(parts) > maxDepth {
			s.deep()
			return nil
		}
		s.space(false)
		if s.pos >= len(s.text) || s.text[s.pos] != '.' {
			return parts
		}
		s.pos++
	}
}

// value reads one value and says whether it is closed.
func (s *scanner) value(path string) bool {
	if s.pos >= len(s.text) {
		return false
	}
	switch s.text[s.pos] {
	case '"', '\'':
		return s.str()
	case '[', '{':
		if s.depth >= maxDepth {
			s.deep()
			return false
		}
		s.depth++
		defer func() { s.depth-- }()
		if s.text[s.pos] == '[' {
			return s.array(path)
		}
		return s.inline(path)
	}
	start := s.pos
	for s.pos < len(s.text) && !strings.ContainsRune(",]}#=\"'\r\n", rune(s.text[s.pos])) {
		s.pos++
	}
	for s.pos > start && (s.text[s.pos-1] == ' ' || s.text[s.pos-1] == '\t') {
		s.pos-- // white space inside belongs to a date with a time
	}
	return s.pos > start
}

// deep notes that something is nested beyond maxDepth here.
func (s *scanner) deep() {
	if s.tooDeep < 0 {
		s.tooDeep = s.pos
	}
}

func (s *scanner) array(path string) bool {
	s.pos++
	for i := 0; ; i++ {
		if s.space(true); s.pos < len(s.text) && s.text[s.pos] == ']' {
			s.pos++
			return true
		}
		at := element(path, i)
		start := s.pos
		closed := s.value(at)
		s.spots[at] = spot{key: start, value: start, end: s.pos}
		if !closed || !s.separator(']') {
			return false
		}
	}
}

func (s *scanner) inline(path string) bool {
	s.pos++
	for {
		if s.space(true); s.pos < len(s.text) && s.text[s.pos] == '}' {
			s.pos++
			return true
		}
		if v, ok := s.pair(path); !ok || !v.closed || !s.separator('}') {
			return false
		}
	}
}

// separator reads a comma, or stops before the closing bracket.
func (s *scanner) separator(closing byte) bool {
	s.space(true)
	if s.pos >= len(s.text) {
		return false
	}
	if s.text[s.pos] == ',' {
		s.pos++
		return true
	}
	return s.text[s.pos] == closing
}

// str reads a string of any of the four kinds, with its quotes. It is false
// when the string does not end.
func (s *scanner) str() bool {
	quote := s.text[s.pos : s.pos+1]
	long := strings.Repeat(quote, 3)
	if strings.HasPrefix(s.text[s.pos:], long) {
		s.pos += 3
		for s.pos < len(s.text) {
			switch {
			case quote == `"` && s.text[s.pos] == '\\':
				s.pos += 2
			case strings.HasPrefix(s.text[s.pos:], long):
				s.pos += 3
				// Up to two quotes may stand before the closing three.
				for range 2 {
					if strings.HasPrefix(s.text[s.pos:], quote) {
						s.pos++
					}
				}
				return true
			default:
				s.pos++
			}
		}
		s.pos = len(s.text)
		return false
	}
	for s.pos++; s.pos < len(s.text) && s.text[s.pos] != '\n'; s.pos++ {
		switch {
		case quote == `"` && s.text[s.pos] == '\\' && !strings.HasPrefix(s.text[s.pos+1:], "\n"):
			s.pos++
		case s.text[s.pos:s.pos+1] == quote:
			s.pos++
			return true
		}
	}
	s.pos = min(s.pos, len(s.text))
	return false
}

// space skips white space and comments; line ends too when asked.
func (s *scanner) space(lines bool) {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == ' ' || c == '\t':
			s.pos++
		case c == '#':
			for s.pos < len(s.text) && s.text[s.pos] != '\n' {
				s.pos++
			}
		case lines && (c == '\n' || c == '\r'):
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) skipLine() {
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		s.pos++
	}
}

// unescape resolves the escapes of a basic string that the parser accepts.
func unescape(text string) string {
	short := strings.NewReplacer("b", "\b", "t", "\t", "n", "\n", "f", "\f", "r", "\r", "e", "\x1b")
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(text, `\`)
		b.WriteString(plain)
		if !found || rest == "" {
			return b.String()
		}
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[rest[0]]
		if digits == 0 {
			b.WriteString(short.Replace(rest[:1]))
			text = rest[1:]
			continue
		}
		digits = min(digits, len(rest)-1)
		code, _ := strconv.ParseUint(rest[1:1+digits], 16, 32) // the parser refuses what is no number
		b.WriteRune(rune(code))
		text = rest[1+digits:]
	}
}
