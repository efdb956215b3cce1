// Package grid is the sheet of cells on which the screen is drawn.
//
// A Buffer is allocated once and drawn over for every frame; an Area is a
// rectangle of it that clips whatever is drawn into it, so that no pane can
// write beyond its own borders. Text may come from anywhere: bytes that would
// steer the terminal never reach it, and characters of two columns are never
// cut in half. A Buffer belongs to one goroutine.
package grid

// Buffer is a sheet of cells. The zero value is empty; Resize gives it a size.
type Buffer struct {
	// Plain leaves colours out of String; bold, underline and reverse stay.
	Plain bool

	w, h     int
	cells    []cell
	clusters []string // characters of several code points, named by cell.ch
	out      []byte
}

// cell is one column of one line.
type cell struct {
	ch int32 // code point; 0: right half of the character before; below 0: clusters[-ch-1]
	st Style
}

// Resize sets the size and clears the buffer; sizes below zero count as zero.
func (b *Buffer) Resize(w, h int) {
	b.w, b.h = max(0, w), max(0, h)
	if n := b.w * b.h; cap(b.cells) >= n {
		b.cells = b.cells[:n]
	} else {
		b.cells = make([]cell, n)
	}
	b.Clear()
}

// Clear fills the buffer with blanks.
func (b *Buffer) Clear() {
	b.clusters = b.clusters[:0]
	if len(b.cells) == 0 {
		return
	}
	b.cells[0] = cell{ch: ' '}
	for n := 1; n < len(b.cells); n *= 2 { // doubling copies are far faster than a loop
		copy(b.cells[n:], b.cells[:n])
	}
}

// All gives the whole buffer as an Area.
func (b *Buffer) All() Area { return Area{b: b, w: b.w, h: b.h} }

// set puts a character of one or two columns at a place that is known to be
// inside, and repairs whatever character it cuts in half.
func (b *Buffer) set(x, y int, ch int32, width int, st Style) {
	row := b.cells[y*b.w : (y+1)*b.w]
	if row[x].ch == 0 {
		left := x
		for ; left > 0 && row[left].ch == 0; left-- {
			row[left].ch = ' '
		}
		row[left].ch = ' '
	}
	for right := x + width; right < b.w && row[right].ch == 0; right++ {
		row[right].ch = ' '
	}
	row[x] = cell{ch, st}
	if width == 2 {
		row[x+1] = cell{0, st}
	}
}

// String gives the lines, separated by newlines, with the escape sequences of
// their styles. Blanks at the end of a line are left out; every line ends in
// the default style.
func (b *Buffer) String() string {
	out := b.out[:0]
	for y := range b.h {
		if y > 0 {
			out = append(out, '\n')
		}
		row := b.cells[y*b.w : (y+1)*b.w]
		n := len(row)
		for n > 0 && row[n-1].ch == ' ' && b.seen(row[n-1].st).blank() {
			n--
		}
		var now Style
		for i := range row[:n] {
			c := &row[i]
			if c.ch == 0 {
				continue
			}
			if st := b.seen(c.st); st != now && (c.ch != ' ' || !st.blank() || !now.blank()) {
				out = st.append(out)
				now = st
			}
			switch {
			case c.ch < 0:
				out = append(out, b.clusters[-c.ch-1]...)
			case c.ch < 0x80:
				out = append(out, byte(c.ch))
			default:
				out = appendRune(out, c.ch)
			}
		}
		if now != (Style{}) {
			out = Style{}.append(out)
		}
	}
	b.out = out
	return string(out)
}

// seen gives the part of a style that is shown.
func (b *Buffer) seen(st Style) Style {
	if b.Plain {
		return Style{Attr: st.Attr}
	}
	return st
}

// Area is a rectangle of a Buffer. Coordinates count from its own corner;
// what lies outside is not drawn. The zero value is empty.
type Area struct {
	b          *Buffer
	x, y, w, h int
}

// Size gives the width and the height in cells.
func (a Area) Size() (w, h int) { return a.w, a.h }

// Sub gives a part of the area; it never reaches beyond it.
func (a Area) Sub(x, y, w, h int) Area {
	x, y = min(max(0, x), a.w), min(max(0, y), a.h)
	return Area{b: a.b, x: a.x + x, y: a.y + y, w: min(max(0, w), a.w-x), h: min(max(0, h), a.h-y)}
}

// Rows gives h lines of the area from y on, h < 0 meaning all that follow.
func (a Area) Rows(y, h int) Area {
	if h < 0 {
		h = a.h
	}
	return a.Sub(0, y, a.w, h)
}

// Rune draws one character that is one column wide.
func (a Area) Rune(x, y int, r rune, st Style) {
	if x >= 0 && y >= 0 && x < a.w && y < a.h {
		a.b.set(a.x+x, a.y+y, r, 1, st)
	}
}

// Repeat draws a character that is one column wide n times.
func (a Area) Repeat(x, y, n int, r rune, st Style) {
	for i := range n {
		a.Rune(x+i, y, r, st)
	}
}

// Paint changes the style of n cells and leaves their characters: what st sets
// wins, the rest stays.
func (a Area) Paint(x, y, n int, st Style) {
	if y < 0 || y >= a.h {
		return
	}
	for i := max(0, x); i < min(x+n, a.w); i++ {
		c := &a.b.cells[(a.y+y)*a.b.w+a.x+i]
		c.st = c.st.With(st)
	}
}
