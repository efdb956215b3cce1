package grid_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"mesh/tui/grid"
)

func line(w int, plain bool, draw func(a grid.Area)) string {
	b := grid.Buffer{Plain: plain}
	b.Resize(w, 1)
	draw(b.All())
	return b.String()
}

func TestTextIsNeutralised(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                          "plain",
		"a\x1b[31mb\x1b[mc":              "abc",
		"a\x1b]0;title\x07b":             "ab",
		"a\x1b]8;;http://x\x1b\\b":       "ab",
		"a\x1b[2J\x1b[1;1Hb":             "ab",
		"a\x1bPq#0\x1b\\b\x1b(0c":        "abc",
		"bell\x07 del\x7f":               "bell␇ del␡",
		"a\tb":                           "a       b",
		"over\rwrite":                    "over␍write",
		"\xff\xfeok":                     "��ok",
		"c1\u009b31m":                    "c1�31m",
		"rtl\u202eevil":                  "rtl�evil",
		"e\u0301te\u0301":                "e\u0301te\u0301",
		"日本語":                            "日本語",
		"a\x1b[31":                       "a",
		"line\nfeed":                     "line␊feed",
		"\x1b":                           "",
		"\u0301alone":                    "alone",
		"broken \x1b[3\x01;7m sequences": "broken ␁;7m sequences",
	} {
		if got := line(40, true, func(a grid.Area) { a.Text(0, 0, in, grid.Style{}) }); got != want {
			t.Errorf("%q is drawn as %q, want %q", in, got, want)
		}
	}
}

func TestColoursPass(t *testing.T) {
	const in = "a\x1b[1;31mred\x1b[22;39m x\x1b[38;5;200my\x1b[48;2;1;2;3mz\x1b[0m!"
	draw := func(a grid.Area) { a.ANSI(0, 0, in, grid.Style{}, 0) }
	want := "a\x1b[0;1;31mred \x1b[mx\x1b[0;38;5;200my\x1b[0;38;5;200;48;2;1;2;3mz\x1b[m!"
	if got := line(40, false, draw); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := line(40, true, draw), "a\x1b[0;1mred \x1b[mxyz!"; got != want {
		t.Errorf("without colours: got %q, want %q", got, want)
	}
	if got, want := line(5, true, func(a grid.Area) { a.ANSI(0, 0, "0123日5678", grid.Style{}, 3) }), "3日56"; got != want {
		t.Errorf("scrolled sideways: got %q, want %q", got, want)
	}
	if got, want := line(5, true, func(a grid.Area) { a.ANSI(0, 0, "0123日5678", grid.Style{}, 5) }), " 5678"; got != want {
		t.Errorf("scrolled into the middle of a character: got %q, want %q", got, want)
	}
}

func TestWideCharactersStayWhole(t *testing.T) {
	for _, c := range []struct {
		want string
		draw func(a grid.Area)
	}{
		{"日本", func(a grid.Area) { a.Text(0, 0, "日本語", grid.Style{}) }},
		{"x 本", func(a grid.Area) { a.Text(0, 0, "日本", grid.Style{}); a.Rune(0, 0, 'x', grid.Style{}) }},
		{" x本", func(a grid.Area) { a.Text(0, 0, "日本", grid.Style{}); a.Rune(1, 0, 'x', grid.Style{}) }},
		{"日本…", func(a grid.Area) { a.Cut(0, 0, 5, "日本語", grid.Style{}) }},
		{"abc", func(a grid.Area) { a.Cut(0, 0, 3, "abc", grid.Style{}) }},
		{"ab…", func(a grid.Area) { a.Cut(0, 0, 3, "abcd", grid.Style{}) }},
		{"  語", func(a grid.Area) { a.Right(4, 0, "語", grid.Style{}) }},
	} {
		if got := line(5, true, c.draw); strings.TrimRight(got, " ") != strings.TrimRight(c.want, " ") {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestPaintKeepsTheText(t *testing.T) {
	got := line(6, true, func(a grid.Area) {
		a.Text(0, 0, "row", grid.Style{Attr: grid.Bold})
		a.Paint(0, 0, 6, grid.Style{Attr: grid.Reverse})
	})
	if want := "\x1b[0;1;7mrow\x1b[0;7m   \x1b[m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWrap(t *testing.T) {
	b := grid.Buffer{Plain: true}
	b.Resize(5, 4)
	if n := b.All().Wrap(-1, "gone!ab日本語\x1b[1mx", grid.Style{}); n != 3 {
		t.Errorf("needs %d lines, want 3", n)
	}
	if got, want := b.String(), "ab日\n本語\x1b[0;1mx\x1b[m\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for text, want := range map[string]int{"": 1, "12345": 1, "123456": 2, "日本語": 2, "\x1b[1m12345\x1b[m": 1, "\t\t": 2} {
		if got := grid.Lines(text, 5); got != want {
			t.Errorf("%q needs %d lines of 5, want %d", text, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	for _, c := range []struct{ text, in, want string }{
		{"err", "an ERRor", "an \x1b[7mERR\x1b[27mor"},
		{"error", "an er\x1b[31mror", "an \x1b[7mer\x1b[31mror\x1b[27m"},
		{"31", "an er\x1b[31mror", ""},
		{"ö", "schön", "sch\x1b[7mö\x1b[27mn"},
		{"x", "", ""},
	} {
		if got := grid.Find(c.in, c.text); got != (c.want != "") {
			t.Errorf("%q in %q: %v", c.text, c.in, got)
		}
		if got := grid.Highlight(c.in, c.text); c.want != "" && got != c.want {
			t.Errorf("%q in %q: %q, want %q", c.text, c.in, got, c.want)
		}
	}
}

// FuzzDraw draws any bytes into any area: no line is ever wider than the
// buffer, and no byte of a control sequence other than colours comes through.
func FuzzDraw(f *testing.F) {
	for _, s := range []string{"a\x1b[31mb", "👩‍👩‍👧‍👦 family", "🇩🇪🇫", "e\u0301\u202e", "क्षि नमस्ते", "\x1b]0;x", "👍🏽👍🏽", "\u200d\ufe0f❤️", "日本", "ｱ\u0e33", "\U000e0001"} {
		f.Add(s, uint8(7), int8(0))
	}
	f.Fuzz(func(t *testing.T, s string, w uint8, x int8) {
		b := grid.Buffer{}
		b.Resize(int(w%80), 3)
		b.All().Text(int(x), 0, s, grid.Style{})
		b.All().ANSI(int(x), 1, s, grid.Style{}, int(uint8(x)))
		b.All().Rows(1, 1).Wrap(-int(uint8(x)%3), grid.Highlight(s, "m"), grid.Style{})
		b.All().Cut(int(x), 2, int(w)/2, s, grid.Style{Attr: grid.Underline})
		out := b.String()
		lines := strings.Split(out, "\n")
		if len(lines) != 3 {
			t.Fatalf("%q gives %d lines", s, len(lines))
		}
		for _, l := range lines {
			if n := max(ansi.StringWidth(l), ansi.StringWidthWc(l)); n > int(w%80) {
				t.Errorf("%q in %d columns is %d wide: %q", s, w%80, n, l)
			}
			for text := l; ; {
				i := strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || (r >= 0x7f && r < 0xa0) })
				if i < 0 {
					break
				}
				end := strings.IndexByte(text[i:], 'm')
				if !strings.HasPrefix(text[i:], "\x1b[") || end < 0 || strings.Trim(text[i+2:i+end], "0123456789;") != "" {
					t.Fatalf("%q lets %q through", s, text[i:])
				}
				text = text[i+end+1:]
			}
		}
		grid.Plain(s)
	})
}

func BenchmarkFrame(b *testing.B) {
	buf := grid.Buffer{}
	buf.Resize(200, 60)
	st := [...]grid.Style{{}, {FG: grid.Indexed(2)}, {FG: grid.Indexed(3), Attr: grid.Bold}}
	b.ReportAllocs()
	for b.Loop() {
		buf.Clear()
		for y := range 60 {
			for i := range 10 {
				buf.All().Text(i*20, y, "web ▸ llm POST /chat", st[i%3])
			}
		}
		if buf.String() == "" {
			b.Fatal("nothing drawn")
		}
	}
}

func TestFold(t *testing.T) {
	for _, c := range []struct {
		text string
		w    int
		want []string
	}{
		{"one two three", 7, []string{"one two", "three"}},
		{"one two", 80, []string{"one two"}},
		{"", 5, []string{""}},
		{"/a/very/long/path x", 6, []string{"/a/ver", "y/long", "/path", "x"}},
		{"日本語 ab", 4, []string{"日本", "語", "ab"}},
		{"日本", 1, []string{"日", "本"}},
		{"a\nb c", 9, []string{"a", "b c"}},
	} {
		if got := grid.Fold(c.text, c.w); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d: %q, want %q", c.text, c.w, got, c.want)
		}
	}
}
