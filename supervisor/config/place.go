package config

import (
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep tables and arrays may nest: far beyond any use,
// and far below what would exhaust the stack of the parser.
const maxDepth = 50

// index knows where each key of a TOML text stands. The parser keeps these
// places to itself, so a scan of our own finds them. The scan expects a valid
// text and makes the best of any other.
type index struct {
	text       string
	lines      []int           // offset of the start of each line
	spots      map[string]spot // by path, such as apps.orders.watch[1]
	statements []statement
	tooDeep    int // offset of the first value beyond maxDepth, -1: none
}

// spot holds offsets into the text: where a key begins, where its value
// begins and ends. For a table with a header all of the header is its value.
type spot struct {
	key, value, end int
	implied         bool // the key stands in a longer one only, such as a in a.b
}

// statement is one "key = value".
type statement struct {
	start, value, end int  // offsets; value is 0 when there is none
	closed            bool // the value ends where it seems to end
}

// newIndex scans a text.
func newIndex(text string) *index {
	x := newLines(text)
	x.spots, x.tooDeep = map[string]spot{}, -1
	s := &scanner{index: x, tables: map[string]int{}}
	s.scan()
	return x
}

// newLines gives an index that knows lines only.
func newLines(text string) *index {
	x := &index{text: text, lines: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			x.lines = append(x.lines, i+1)
		}
	}
	return x
}

// position gives the line and the column of an offset, from 1.
func (x *index) position(offset int) (line, column int) {
	offset = max(0, min(offset, len(x.text)))
	line = sort.SearchInts(x.lines, offset+1)
	return line, utf8.RuneCountInString(x.text[x.lines[line-1]:offset]) + 1
}

// offset is the reverse of position; a column beyond the line is its end.
func (x *index) offset(line, column int) int {
	start := x.lines[max(0, min(line, len(x.lines))-1)]
	text := x.line(line)
	for i := range text {
		if column--; column <= 0 {
			return start + i
		}
	}
	return start + len(text)
}

// line gives the text of a line without its end.
func (x *index) line(n int) string {
	if n < 1 || n > len(x.lines) {
		return ""
	}
	text, _, _ := strings.Cut(x.text[x.lines[n-1]:], "\n")
	return strings.TrimSuffix(text, "\r")
}

// find gives the spot of a path, or that of the nearest table around it.
func (x *index) find(path string) spot {
	for ; path != ""; path = parent(path) {
		if s, ok := x.spots[path]; ok {
			return s
		}
	}
	return spot{}
}

// has says whether the file gives the path.
func (x *index) has(path string) bool {
	_, ok := x.spots[path]
	return ok
}

// join appends a key to a path, quoted where TOML would quote it.
func join(path, key string) string {
	if strings.Trim(key, bareChars) != "" || key == "" {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// element appends the index of an array element to a path.
func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// parent drops the last key or index of a path.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }
