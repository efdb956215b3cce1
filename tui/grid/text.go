package grid

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// tabWidth is how far apart tab stops are.
const tabWidth = 8

// glyph is one character on the screen.
type glyph struct {
	ch      rune   // the character, or 0 when it is a cluster
	cluster string // of several code points
	width   int    // 0: nothing to draw, 1 or more columns
}

// Text draws a string on one line and gives the column after it. Escape
// sequences are left out, other control bytes are drawn as their symbols.
func (a Area) Text(x, y int, s string, st Style) int {
	return a.draw(x, y, s, st, false, 0)
}

// ANSI draws a string as Text does, but lets its colours and attributes
// through. The first skip columns are left out.
func (a Area) ANSI(x, y int, s string, st Style, skip int) int {
	return a.draw(x, y, s, st, true, skip)
}

// Cut draws a string in at most n columns, with "…" at its end when that is
// not enough, and gives the column after the n.
func (a Area) Cut(x, y, n int, s string, st Style) int {
	if n <= 0 {
		return x
	}
	box := a.Sub(x, y, n, 1)
	if end := box.Text(0, 0, s, st); end > n {
		box.Rune(box.w-1, 0, '…', st)
	}
	return x + n
}

// Right draws a string that ends before column x.
func (a Area) Right(x, y int, s string, st Style) {
	a.Text(x-Width(s), y, s, st)
}

// Wrap draws a string as ANSI does over as many lines of the area as it needs,
// from line y on, which may lie above it. It gives the number of lines, which
// is at least one.
func (a Area) Wrap(y int, s string, base Style) (lines int) {
	st, col := base, 0
	for len(s) > 0 {
		if s[0] == 0x1b {
			n, sgr := escape(s)
			if sgr {
				st = base.With(st.SGR(s[2 : n-1]))
			}
			s = s[n:]
			continue
		}
		g, n := next(s, col)
		s = s[n:]
		if col > 0 && col+g.width > a.w {
			lines, col = lines+1, 0
		}
		if at := y + lines; g.width > 0 && at >= 0 && at < a.h && col < a.w {
			a.put(col, at, g, st)
		}
		col += g.width
	}
	return lines + 1
}

// Lines gives the number of lines that Wrap needs for a string in w columns.
func Lines(s string, w int) int {
	if len(s) <= w {
		clean := true
		for i := 0; i < len(s) && clean; i++ {
			clean = s[i] >= 0x20
		}
		if clean {
			return 1
		}
	}
	return Area{w: w}.Wrap(0, s, Style{})
}

func (a Area) draw(x, y int, s string, base Style, colors bool, skip int) int {
	st, col := base, 0
	visible := y >= 0 && y < a.h
	for len(s) > 0 {
		if s[0] == 0x1b {
			n, sgr := escape(s)
			if sgr && colors {
				st = st.SGR(s[2 : n-1])
				st = base.With(st)
			}
			s = s[n:]
			continue
		}
		g, n := next(s, col)
		s = s[n:]
		if g.width == 0 {
			continue
		}
		at := x + col - skip
		col += g.width
		if !visible || at >= a.w || at+g.width <= 0 {
			continue
		}
		a.put(at, y, g, st)
	}
	return x + col - skip
}

// put draws a character that lies at least partly inside the area's width.
func (a Area) put(x, y int, g glyph, st Style) {
	if g.ch == '\t' || x < 0 || x+g.width > a.w { // blanks stand for what does not fit
		for i := max(0, x); i < min(x+g.width, a.w); i++ {
			a.Rune(i, y, ' ', st)
		}
		return
	}
	ch := g.ch
	if ch == 0 {
		a.b.clusters = append(a.b.clusters, g.cluster)
		ch = -int32(len(a.b.clusters))
	}
	if g.width > 2 { // rare: a cluster that terminals draw in different widths
		for i := range g.width {
			a.Rune(x+i, y, ' ', st)
		}
		for i := 1; i < g.width; i++ {
			a.b.cells[(a.y+y)*a.b.w+a.x+x+i] = cell{0, st}
		}
		a.b.cells[(a.y+y)*a.b.w+a.x+x] = cell{ch, st}
		return
	}
	a.b.set(a.x+x, a.y+y, ch, g.width, st)
}

// Width gives the columns that Text needs for a string.
func Width(s string) int {
	col := 0
	for len(s) > 0 {
		if s[0] == 0x1b {
			n, _ := escape(s)
			s = s[n:]
			continue
		}
		g, n := next(s, col)
		col, s = col+g.width, s[n:]
	}
	return col
}

// Plain gives what Text would draw as a string without escape sequences and
// control characters.
func Plain(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = s[i] >= 0x20 && s[i] < 0x7f
	}
	if clean {
		return s
	}
	out, col := make([]byte, 0, len(s)), 0
	for len(s) > 0 {
		if s[0] == 0x1b {
			n, _ := escape(s)
			s = s[n:]
			continue
		}
		g, n := next(s, col)
		s = s[n:]
		switch {
		case g.width == 0:
		case g.ch == '\t':
			for range g.width {
				out = append(out, ' ')
			}
		case g.ch == 0:
			out = append(out, g.cluster...)
		default:
			out = utf8.AppendRune(out, g.ch)
		}
		col += g.width
	}
	return string(out)
}

// next takes the first character of s, which is not empty and does not begin
// with an escape; col is where it will stand, which a tab depends on.
func next(s string, col int) (g glyph, n int) {
	c := s[0]
	if c >= 0x20 && c < 0x7f {
		if len(s) == 1 || s[1] < 0x80 {
			return glyph{ch: rune(c), width: 1}, 1
		}
	} else if c < 0x80 {
		switch c {
		case '\t':
			return glyph{ch: '\t', width: tabWidth - col%tabWidth}, 1
		case 0x7f:
			return glyph{ch: '␡', width: 1}, 1
		default:
			return glyph{ch: '␀' + rune(c), width: 1}, 1
		}
	}
	r, size := utf8.DecodeRuneInString(s)
	if !safe(r, size) {
		return glyph{ch: utf8.RuneError, width: 1}, size
	}
	if simple(r) {
		if after, _ := utf8.DecodeRuneInString(s[size:]); after < 0x80 || simple(after) {
			return glyph{ch: r, width: 1}, size
		}
	}
	// Terminals disagree about the width of some clusters: as much room as
	// any of them takes is kept free.
	cluster, w := ansi.FirstGraphemeCluster(s, ansi.GraphemeWidth)
	for i, r := range cluster { // a bidi control may hide behind a letter
		if _, size := utf8.DecodeRuneInString(cluster[i:]); i > 0 && !safe(r, size) {
			cluster = cluster[:i]
			break
		}
	}
	w = max(w, ansi.StringWidthWc(cluster), ansi.StringWidth(cluster))
	if len(cluster) == size {
		return glyph{ch: r, width: w}, size
	}
	return glyph{cluster: cluster, width: w}, len(cluster)
}

// simple says whether a character is one column wide everywhere and never
// joins the one before it: those that the screen itself draws, and Latin ones.
func simple(r rune) bool {
	return (r > 0xad && r < 0x0250) || (r >= 0x2010 && r <= 0x2027) || (r >= 0x2190 && r < 0x2194) || (r >= 0x2500 && r < 0x25fb)
}

// safe says whether a character may be shown as it is: it must not steer the
// terminal or turn the direction of what follows.
func safe(r rune, size int) bool {
	switch {
	case r == utf8.RuneError && size <= 1, r < 0x20, r >= 0x7f && r < 0xa0:
		return false
	case r == 0x2028, r == 0x2029, r == 0x061c, r == 0x200e, r == 0x200f,
		r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return false
	}
	return r < 0xe000 || unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r)
}

// escape gives the length of the escape sequence at the beginning of s, and
// whether it is one that sets colours and attributes. A sequence that is not
// closed runs to the end.
func escape(s string) (n int, sgr bool) {
	if len(s) < 2 {
		return len(s), false
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			switch c := s[i]; {
			case c >= 0x40 && c <= 0x7e:
				return i + 1, c == 'm' && (i == 2 || s[2] <= ';')
			case c < 0x20 || c > 0x7e: // broken: what follows is text again
				return i, false
			}
		}
		return len(s), false
	case ']', 'P', '_', '^', 'X': // strings, ended by BEL or ST
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 {
				return i + 1, false
			}
			if s[i] == 0x1b {
				if i+1 < len(s) && s[i+1] == '\\' {
					return i + 2, false
				}
				return i, false
			}
		}
		return len(s), false
	}
	i := 1
	for i < len(s) && s[i] >= 0x20 && s[i] <= 0x2f {
		i++
	}
	if i < len(s) && s[i] >= 0x30 && s[i] <= 0x7e {
		i++
	}
	return i, false
}

// Prose draws a text over as many lines of w cells as it needs, broken between
// words where that is possible, and gives their number.
func (a Area) Prose(y int, s string, st Style) (lines int) {
	for _, line := range Fold(s, a.w) {
		a.Text(0, y+lines, line, st)
		lines++
	}
	return lines
}

// Fold breaks a text into lines of at most w cells, between words where that is
// possible.
func Fold(s string, w int) (lines []string) {
	w = max(1, w)
	for part := range strings.SplitSeq(s, "\n") {
		line, used := "", 0
		for word := range strings.FieldsSeq(Plain(part)) {
			n := Width(word)
			switch {
			case used > 0 && used+1+n <= w:
				line, used = line+" "+word, used+1+n
				continue
			case used > 0:
				lines = append(lines, line)
			}
			for n > w { // longer than a line
				head, rest := cutAt(word, w)
				if rest == "" { // one character that is wider than the line
					break
				}
				lines, word = append(lines, head), rest
				n = Width(word)
			}
			line, used = word, n
		}
		lines = append(lines, line)
	}
	return lines
}

// cutAt cuts a text behind at most w cells, but behind one character at least.
func cutAt(s string, w int) (head, rest string) {
	at, used := 0, 0
	for at < len(s) {
		g, n := next(s[at:], used)
		if at > 0 && used+g.width > w {
			break
		}
		at, used = at+n, used+g.width
	}
	return s[:at], s[at:]
}
