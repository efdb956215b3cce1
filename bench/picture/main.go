// Picture turns a terminal's screen into an SVG image, so that the pictures in
// the documents are of real runs:
//
//	tmux capture-pane -e -p -t SESSION | go run ./bench/picture > docs/screen.svg
//
// With -light it is a terminal with a light background, for `mesh up --theme light`.
//
// It also records a session for a while, as asciinema does, and makes an
// animated SVG of the recording; before-after.sh plays a session to record:
//
//	go run ./bench/picture -record SESSION -for 20s > docs/before-after.cast
//	go run ./bench/picture -animate < docs/before-after.cast > docs/before-after.svg
package main

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"html"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

const (
	cellWidth  = 8.4 // pixels, of a 14 pixel monospace font
	cellHeight = 18
	margin     = 16
)

// terminal is the colours that a user has chosen for his terminal.
type terminal struct {
	background, foreground string
	basic                  [16]string
}

func dark() terminal {
	return terminal{"#12151c", "#c9d1d9", [16]string{
		"#1b1f27", "#f47067", "#57ab5a", "#c69026", "#539bf5", "#b083f0", "#39c5cf", "#c9d1d9",
		"#636e7b", "#ff938a", "#6bc46d", "#daaa3f", "#6cb6ff", "#dcbdfb", "#56d4dd", "#f0f6fc",
	}}
}

func light() terminal {
	return terminal{"#ffffff", "#1f2328", [16]string{
		"#24292f", "#cf222e", "#116329", "#7d4e00", "#0969da", "#8250df", "#1b7c83", "#6e7781",
		"#57606a", "#a40e26", "#1a7f37", "#633c01", "#218bff", "#a475f9", "#3192aa", "#8c959f",
	}}
}

func main() {
	bright := flag.Bool("light", false, "a light background")
	session := flag.String("record", "", "record this tmux session")
	long := flag.Duration("for", 20*time.Second, "how long to record")
	every := flag.Duration("every", 500*time.Millisecond, "how often to look while recording")
	moving := flag.Bool("animate", false, "read a recording instead of one screen")
	flag.Parse()
	t := picture{dark()}
	if *bright {
		t = picture{light()}
	}
	ctx, stop := context.WithTimeout(context.Background(), *long)
	defer stop()
	var err error
	switch {
	case *session != "":
		err = record(ctx, *session, *every, os.Stdout)
	case *moving:
		err = t.animate(os.Stdin, os.Stdout)
	default:
		err = t.draw(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

// picture draws a screen in the colours of a terminal.
type picture struct{ terminal }

// look is how a cell is drawn.
type look struct {
	fg, bg                string // "": the terminal's own
	bold, faint, reversed bool
}

func (t picture) draw(in io.Reader, out io.Writer) error {
	var lines []string
	for s := bufio.NewScanner(in); s.Scan(); {
		lines = append(lines, s.Text())
	}
	columns := 0
	for _, l := range lines {
		columns = max(columns, ansi.StringWidth(l))
	}
	w := bufio.NewWriter(out)
	t.begin(w, columns, len(lines))
	var now look
	for row, l := range lines {
		now = t.drawLine(w, l, row, columns, now)
	}
	fmt.Fprintln(w, "</svg>")
	return w.Flush()
}

// begin writes the head of an image of so many cells.
func (t picture) begin(w io.Writer, columns, rows int) {
	width, height := float64(columns)*cellWidth+2*margin, rows*cellHeight+2*margin
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" font-family="ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace" font-size="14" fill="%s" xml:space="preserve">`+"\n", width, height, width, t.foreground)
	fmt.Fprintf(w, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", t.background)
}

// drawLine draws one line and gives the look that the next one begins with. The
// background that it ends with goes on to the last column: tmux leaves out spaces
// at the end.
func (t picture) drawLine(w io.Writer, line string, row, columns int, now look) look {
	column := 0
	var state byte
	var run strings.Builder
	start, style := 0, now
	flush := func() {
		t.span(w, run.String(), start, column, row, style)
		run.Reset()
		start, style = column, now
	}
	filled := false // the run is made of blocks
	for len(line) > 0 {
		seq, width, n, next := ansi.DecodeSequence(line, state, nil)
		state, line = next, line[n:]
		if width == 0 {
			if params, ok := strings.CutPrefix(seq, "\x1b["); ok && strings.HasSuffix(params, "m") {
				flush()
				now = t.with(now, strings.TrimSuffix(params, "m"))
				style = now
			}
			continue
		}
		if b := eighths(seq) > 0; b != filled {
			flush()
			filled = b
		}
		run.WriteString(seq)
		column += width
	}
	back := now.bg
	flush()
	if back != "" && column < columns {
		style = look{bg: back}
		t.span(w, strings.Repeat(" ", columns-column), column, columns, row, style)
	}
	return now
}

func (t picture) span(w io.Writer, text string, from, to, row int, s look) {
	if text == "" {
		return
	}
	fg, bg := cmp.Or(s.fg, t.foreground), s.bg
	if s.reversed {
		fg, bg = cmp.Or(s.bg, t.background), cmp.Or(s.fg, t.foreground)
	}
	x, y := margin+float64(from)*cellWidth, margin+row*cellHeight
	if bg != "" {
		fmt.Fprintf(w, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`, x, y, float64(to-from)*cellWidth, cellHeight, bg)
	}
	if strings.TrimSpace(text) == "" {
		return
	}
	if eighths(text) > 0 {
		t.blocks(w, text, x, y, fg)
		return
	}
	more := ""
	if fg != t.foreground {
		more = ` fill="` + fg + `"`
	}
	if s.bold {
		more += ` font-weight="bold"`
	}
	if s.faint {
		more += ` opacity="0.6"`
	}
	fmt.Fprintf(w, `<text x="%.1f" y="%d" textLength="%.1f"%s>%s</text>`+"\n",
		x, y+cellHeight-5, float64(to-from)*cellWidth, more, html.EscapeString(text))
}

// eighths gives how much of its cell the block is that a text begins with, from
// the bottom; 0: it is something else.
func eighths(text string) int {
	if r, _ := utf8.DecodeRuneInString(text); r >= '▁' && r <= '█' {
		return int(r-'▁') + 1
	}
	return 0
}

// blocks draws a run of blocks as rectangles: in the font of who looks they may
// not touch each other.
func (t picture) blocks(w io.Writer, text string, x float64, y int, fg string) {
	runes := []rune(text)
	for i := 0; i < len(runes); {
		n := 1
		for i+n < len(runes) && runes[i+n] == runes[i] {
			n++
		}
		high := float64(eighths(string(runes[i]))) * cellHeight / 8
		fmt.Fprintf(w, `<rect x="%.1f" y="%.2f" width="%.1f" height="%.2f" fill="%s"/>`, x+float64(i)*cellWidth, float64(y+cellHeight)-high, float64(n)*cellWidth, high, fg)
		i += n
	}
	fmt.Fprintln(w)
}

// with gives a look after a "select graphic rendition" sequence.
func (t picture) with(s look, params string) look {
	p := strings.FieldsFunc(params, func(r rune) bool { return r == ';' || r == ':' })
	if len(p) == 0 {
		return look{}
	}
	for i := 0; i < len(p); i++ {
		n, _ := strconv.Atoi(p[i]) // what is no number resets, as in a terminal
		switch {
		case n == 0:
			s = look{}
		case n == 1:
			s.bold = true
		case n == 2:
			s.faint = true
		case n == 7:
			s.reversed = true
		case n == 22:
			s.bold, s.faint = false, false
		case n == 27:
			s.reversed = false
		case n >= 30 && n <= 37:
			s.fg = t.palette(n - 30)
		case n >= 90 && n <= 97:
			s.fg = t.palette(n - 82)
		case n >= 40 && n <= 47:
			s.bg = t.palette(n - 40)
		case n >= 100 && n <= 107:
			s.bg = t.palette(n - 92)
		case n == 39:
			s.fg = ""
		case n == 49:
			s.bg = ""
		case n == 38 || n == 48:
			color, used := t.extended(p[i+1:])
			i += used
			if n == 38 {
				s.fg = color
			} else {
				s.bg = color
			}
		}
	}
	return s
}

// extended reads the colour after 38 or 48 and says how many parameters it had.
func (t picture) extended(p []string) (color string, used int) {
	number := func(i int) int {
		n, _ := strconv.Atoi(p[i])
		return n
	}
	switch {
	case len(p) >= 2 && p[0] == "5":
		return t.palette(number(1)), 2
	case len(p) >= 4 && p[0] == "2":
		return fmt.Sprintf("#%02x%02x%02x", number(1), number(2), number(3)), 4
	}
	return "", len(p)
}

// palette gives one of the 256 colours.
func (t picture) palette(n int) string {
	switch {
	case n < 0 || n > 255:
		return t.foreground
	case n < 16:
		return t.basic[n]
	case n < 232:
		n -= 16
		level := func(v int) int {
			if v == 0 {
				return 0
			}
			return 55 + 40*v
		}
		return fmt.Sprintf("#%02x%02x%02x", level(n/36), level(n/6%6), level(n%6))
	}
	grey := 8 + 10*(n-232)
	return fmt.Sprintf("#%02x%02x%02x", grey, grey, grey)
}
