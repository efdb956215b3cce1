package proc

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

func TestEveryLineArrives(t *testing.T) {
	const n = 200_000
	c, out := begin(t, spec("flood 200000"), nil)
	e := ended(t, c)
	lines := out.all()
	if len(lines) != n {
		t.Fatalf("%d lines of %d", len(lines), n)
	}
	if got := lines[n-1].Text; got != "line 199999" || lines[0].Text != "line 0" {
		t.Errorf("from %q to %q", lines[0].Text, got)
	}
	if len(e.Last) != tailLines || e.Last[9] != "line 199999" {
		t.Errorf("last lines are %q", e.Last)
	}
}

// TestSlowReaderLosesNothing holds the reader back until the program has long
// ended.
func TestSlowReaderLosesNothing(t *testing.T) {
	out := newOutput()
	read := make(chan struct{})
	c, err := Start(spec("flood 100"), nil, func(l Line) {
		<-read
		out.add(l)
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the end of the program", func() bool { return !running(c.PID()) })
	close(read)
	ended(t, c)
	if n := len(out.all()); n != 100 {
		t.Errorf("%d lines of 100", n)
	}
}

func TestLongLine(t *testing.T) {
	const size = 10 << 20
	c, out := begin(t, spec("long 10485760"), nil)
	e := ended(t, c)
	text, pieces := out.text(), 0
	for _, l := range out.all() {
		if len(l.Text) > longest {
			t.Errorf("a piece of %d bytes", len(l.Text))
		}
		if l.Partial {
			pieces++
		}
	}
	if want := size/longest - 1; pieces < want {
		t.Errorf("%d pieces, want at least %d", pieces, want)
	}
	if len(text) != size+len("\nafter\nno newline\n") || !strings.HasSuffix(text, "\nafter\nno newline\n") {
		t.Errorf("%d bytes, ending in %q", len(text), text[max(0, len(text)-30):])
	}
	for i := range size {
		if text[i] != byte('a'+i%26) {
			t.Fatalf("byte %d is %q", i, text[i])
		}
	}
	if len(e.Last) != 3 || len(e.Last[0]) != tailWidth || e.Last[2] != "no newline" {
		t.Errorf("%d last lines", len(e.Last))
	}
}

func TestBinaryOutput(t *testing.T) {
	c, out := begin(t, spec("binary"), nil)
	ended(t, c)
	want := make([]byte, 0, 257)
	for i := range 256 {
		want = append(want, byte(i))
	}
	if got := out.text(); got != string(want)+"\n" {
		t.Errorf("got %q", got)
	}
}

func TestStreamsAreTold(t *testing.T) {
	c, out := begin(t, Spec{Name: "app", Shell: "echo one; echo two >&2"}, nil)
	ended(t, c)
	of := map[string]string{}
	for _, l := range out.all() {
		of[l.Stream] += l.Text
		if l.At.IsZero() {
			t.Error("a line without a time")
		}
	}
	if of["stdout"] != "one" || of["stderr"] != "two" {
		t.Errorf("got %v", of)
	}
}

// TestPipeHeldByAnother ends reading although the pipe is never closed.
func TestPipeHeldByAnother(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.WriteString("one\ntwo"); err != nil {
		t.Fatal(err)
	}
	out, ended, done := newOutput(), make(chan struct{}), make(chan struct{})
	go func() {
		read(&reader{f: r, name: "stdout", ended: ended}, out.add)
		close(done)
	}()
	s := stdio{readers: []*reader{{f: r}}, ended: ended}
	s.drain()
	<-done
	if got := out.text(); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
}

// TestSplit feeds random text in random portions and expects it back, cut
// between characters only.
func TestSplit(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var b strings.Builder
		for b.Len() < 4*longest {
			b.WriteString(strings.Repeat(string([]rune("aä€😀")[rnd.IntN(4)]), rnd.IntN(2*longest/3)))
			b.WriteByte('\n')
		}
		text := b.String()
		out, r := newOutput(), reader{name: "stdout"}
		var have []byte
		for rest := text; rest != ""; {
			n := min(len(rest), 1+rnd.IntN(longest))
			have = r.split(append(have, rest[:n]...), time.Now(), out.add)
			rest = rest[n:]
		}
		if got := out.text(); got != text || len(have) != 0 {
			t.Fatalf("seed %d: %d bytes became %d, %d remain", seed, len(text), len(got), len(have))
		}
		for _, l := range out.all() {
			if !utf8.ValidString(l.Text) {
				t.Fatalf("seed %d: a character is cut", seed)
			}
		}
	}
}

func TestTerminal(t *testing.T) {
	s := spec("ask")
	s.PTY = true
	c, out := begin(t, s, nil)
	until(t, "the question", func() bool {
		l := out.all()
		return len(l) > 0 && l[0].Text == "name? " && l[0].Partial
	})
	if err := c.Type(t.Context(), []byte("world\n")); err != nil {
		t.Fatal(err)
	}
	if e := ended(t, c); e.Code != 0 {
		t.Errorf("exit is %v", e)
	}
	if got := out.text(); got != "name? world\nhello world\n" {
		t.Errorf("the terminal showed %q", got)
	}
}

func TestTerminalSize(t *testing.T) {
	c, out := begin(t, Spec{Name: "app", Shell: `stty size; trap 'stty size; exit 0' WINCH; echo armed; while :; do read x; done`, PTY: true, Env: os.Environ()}, nil)
	until(t, "the trap", func() bool { return strings.Contains(out.text(), "40 120\narmed") })
	if err := c.Resize(100, 30); err != nil {
		t.Fatal(err)
	}
	until(t, "the new size", func() bool { return strings.Contains(out.text(), "30 100\n") })
}

// TestTypingToNobody: a program that reads nothing holds up who types, but not
// for longer than he wants to wait; whoever comes next starts anew.
func TestTypingToNobody(t *testing.T) {
	c, out := begin(t, Spec{Name: "app", Shell: `stty raw -echo; echo armed; read go </dev/null; exec sleep 60`, PTY: true, Env: os.Environ()}, nil)
	until(t, "its terminal to be raw", func() bool { return strings.Contains(out.text(), "armed") })
	enough := errors.New("enough")
	for range 2 {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, enough)
		err := error(nil)
		for n := 0; err == nil && n < 1000; n++ {
			err = c.Type(ctx, bytes.Repeat([]byte("x"), 1000))
		}
		cancel()
		if !errors.Is(err, enough) {
			t.Errorf("typing ends with %v", err)
		}
	}
}

// TestScreen: what a terminal shows is passed on as it is, in the size that was
// asked for.
func TestScreen(t *testing.T) {
	var mu sync.Mutex
	var shown []byte
	c, _ := begin(t, Spec{
		Name: "app", Shell: `stty size; printf '\033[1mbold\033[0m\n no newline'`, PTY: true, Cols: 77, Rows: 11, Env: os.Environ(),
		Screen: func(p []byte) {
			mu.Lock()
			defer mu.Unlock()
			shown = append(shown, p...)
		},
	}, nil)
	ended(t, c)
	mu.Lock()
	defer mu.Unlock()
	if want := "11 77\r\n\x1b[1mbold\x1b[0m\r\n no newline"; string(shown) != want {
		t.Errorf("it showed %q, want %q", shown, want)
	}
}

func TestWithoutTerminal(t *testing.T) {
	c, _ := begin(t, spec("ask"), nil) // its input is empty
	if e := ended(t, c); !e.Success() {
		t.Errorf("exit is %v", e)
	}
	if err := c.Type(t.Context(), nil); !errors.Is(err, ErrNoTerminal) {
		t.Errorf("writing gives %v", err)
	}
	if err := c.Resize(80, 24); !errors.Is(err, ErrNoTerminal) {
		t.Errorf("resizing gives %v", err)
	}
}
