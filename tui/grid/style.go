package grid

import (
	"strconv"
	"unicode/utf8"
)

// Color is a colour of the terminal; the zero value is its default one.
type Color uint32

const rgb = 1 << 24

// Indexed gives one of the terminal's 256 colours; the first 16 are those that
// the user has chosen for it.
func Indexed(n uint8) Color { return Color(n) + 1 }

// RGB gives an exact colour.
func RGB(r, g, b uint8) Color { return Color(rgb | uint32(r)<<16 | uint32(g)<<8 | uint32(b)) }

// Attr is a set of attributes.
type Attr uint16

// The attributes.
const (
	Bold Attr = 1 << iota
	Faint
	Italic
	Underline
	Reverse
	Strike
)

// Style is how a character looks. The zero value is the terminal's default.
type Style struct {
	FG, BG Color
	Attr   Attr
}

// With gives the style with whatever other sets.
func (s Style) With(other Style) Style {
	if other.FG != 0 {
		s.FG = other.FG
	}
	if other.BG != 0 {
		s.BG = other.BG
	}
	s.Attr |= other.Attr
	return s
}

// Bold gives the style in bold.
func (s Style) Bold() Style { return s.With(Style{Attr: Bold}) }

// blank says whether a space in this style looks like no space at all.
func (s Style) blank() bool { return s.BG == 0 && s.Attr&(Underline|Reverse|Strike) == 0 }

// append writes the escape sequence that sets this style, whatever the one
// before was.
func (s Style) append(out []byte) []byte {
	out = append(out, "\x1b["...)
	if s == (Style{}) {
		return append(out, 'm')
	}
	out = append(out, '0')
	for i, code := range [...]byte{'1', '2', '3', '4', '7', '9'} {
		if s.Attr&(1<<i) != 0 {
			out = append(out, ';', code)
		}
	}
	out = s.FG.append(out, 30)
	out = s.BG.append(out, 40)
	return append(out, 'm')
}

func (c Color) append(out []byte, base int) []byte {
	if c == 0 {
		return out
	}
	out = append(out, ';')
	if c >= rgb {
		out = append(strconv.AppendInt(out, int64(base+8), 10), ";2"...)
		for shift := 16; shift >= 0; shift -= 8 {
			out = append(out, ';')
			out = strconv.AppendInt(out, int64(c>>shift&0xff), 10)
		}
		return out
	}
	switch n := int64(c - 1); {
	case n < 8:
		return strconv.AppendInt(out, int64(base)+n, 10)
	case n < 16:
		return strconv.AppendInt(out, int64(base)+60+n-8, 10)
	default:
		return strconv.AppendInt(append(strconv.AppendInt(out, int64(base+8), 10), ";5;"...), n, 10)
	}
}

// SGR gives the style changed as the parameters of a "select graphic rendition"
// sequence say, those between "\x1b[" and "m". Blinking and hidden text are
// not granted.
func (s Style) SGR(params string) Style {
	if params == "" {
		s = Style{}
	}
	for p := (numbers{rest: params}); p.rest != ""; {
		n := p.next()
		switch {
		case n == 0:
			s = Style{}
		case n == 22:
			s.Attr &^= Bold | Faint
		case n == 38 || n == 48:
			if c, ok := p.color(); ok && n == 38 {
				s.FG = c
			} else if ok {
				s.BG = c
			}
		case n == 39:
			s.FG = 0
		case n == 49:
			s.BG = 0
		case n >= 30 && n <= 37:
			s.FG = Indexed(uint8(n - 30))
		case n >= 40 && n <= 47:
			s.BG = Indexed(uint8(n - 40))
		case n >= 90 && n <= 97:
			s.FG = Indexed(uint8(n - 82))
		case n >= 100 && n <= 107:
			s.BG = Indexed(uint8(n - 92))
		default:
			for i, on := range [...]int{1, 2, 3, 4, 7, 9} {
				if n == on {
					s.Attr |= 1 << i
				}
				if n == on+20 {
					s.Attr &^= 1 << i
				}
			}
		}
	}
	return s
}

// numbers reads numbers that are separated by semicolons or colons.
type numbers struct{ rest string }

// next gives the next number, 0 for an empty one.
func (p *numbers) next() (n int) {
	for i := range len(p.rest) {
		switch c := p.rest[i]; {
		case c >= '0' && c <= '9':
			n = min(n*10+int(c-'0'), 1<<16)
		case c == ';' || c == ':':
			p.rest = p.rest[i+1:]
			return n
		}
	}
	p.rest = ""
	return n
}

// color reads what follows 38 or 48.
func (p *numbers) color() (Color, bool) {
	switch p.next() {
	case 5:
		n := p.next()
		return Indexed(uint8(n)), n < 256
	case 2:
		r, g, b := p.next(), p.next(), p.next()
		return RGB(uint8(r), uint8(g), uint8(b)), true
	}
	return 0, false
}

func appendRune(out []byte, r rune) []byte { return utf8.AppendRune(out, r) }
