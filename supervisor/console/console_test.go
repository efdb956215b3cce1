package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// screen is a terminal that notes what happens to it.
type screen struct {
	typed      bytes.Buffer
	cols, rows uint16
	deaf       bool
}

func (s *screen) Type(ctx context.Context, p []byte) error {
	if s.deaf {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	s.typed.Write(p)
	return nil
}

func (s *screen) Resize(cols, rows uint16) error {
	s.cols, s.rows = cols, rows
	return nil
}

// read gives what is to be read after a position now.
func read(t *testing.T, c *Console, after uint64) (text string, next uint64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p, next, err := c.Read(ctx, after)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return string(p), next
}

// TestShared: everybody reads what was shown at a pace of his own, from the start
// of the present process.
func TestShared(t *testing.T) {
	var c Console
	c.Begin()
	c.Show([]byte("old\r\n"))
	_, early := read(t, &c, c.Recent())
	c.Begin()
	c.Show([]byte("> "))
	if text, _ := read(t, &c, c.Recent()); text != "> " {
		t.Errorf("who comes reads %q", text)
	}
	c.Show([]byte("1+1\r\n2\r\n> "))
	text, next := read(t, &c, early)
	if text != "> 1+1\r\n2\r\n> " {
		t.Errorf("who stays reads %q", text)
	}
	if text, _ = read(t, &c, next); text != "" {
		t.Errorf("and then %q once more", text)
	}
}

func TestReadWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Console
		got := make(chan string)
		for range 2 {
			go func() {
				p, _, _ := c.Read(t.Context(), 0)
				got <- string(p)
			}()
		}
		synctest.Wait()
		c.Show([]byte("x"))
		if a, b := <-got, <-got; a != "x" || b != "x" {
			t.Errorf("those who wait read %q and %q", a, b)
		}
	})
}

// TestOverwritten: a process that floods its terminal is not held up, and who
// reads late learns how much he has missed.
func TestOverwritten(t *testing.T) {
	var c Console
	for i := range 100_000 {
		c.Show(fmt.Appendf(nil, "%05d\n", i))
	}
	c.Show(bytes.Repeat([]byte("y"), 3*keep))
	c.Show([]byte("end"))
	text, next := read(t, &c, 0)
	if next != 600_000+3*keep+3 || !strings.HasSuffix(text, "yend") || len(text) < keep || len(text) > 2*keep+200 {
		t.Errorf("%d bytes up to %d", len(text), next)
	}
	head, rest, _ := strings.Cut(strings.TrimPrefix(text, "\r\n"), "\r\n")
	if want := fmt.Sprintf("[mesh: %d bytes were overwritten before they could be shown]", int(next)-len(rest)); head != want { //nolint:gosec // small
		t.Errorf("it begins with %q, want %q", head, want)
	}
}

// TestTyping: typing reaches the process that runs, and a size the one to come.
func TestTyping(t *testing.T) {
	var c Console
	if err := c.Type(t.Context(), []byte("lost")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("typing before the start: %v", err)
	}
	if err := c.Resize(80, 24); err != nil {
		t.Error(err)
	}
	if cols, rows := c.Begin(); cols != 80 || rows != 24 {
		t.Errorf("the process starts with %d by %d", cols, rows)
	}
	s := &screen{}
	c.Connect(s)
	if err := errors.Join(c.Type(t.Context(), []byte("1+1\n")), c.Resize(100, 30)); err != nil {
		t.Error(err)
	}
	if s.typed.String() != "1+1\n" || s.cols != 100 || s.rows != 30 {
		t.Errorf("the process has %q at %d by %d", &s.typed, s.cols, s.rows)
	}
	s.deaf = true
	ctx, cancel := context.WithCancelCause(t.Context())
	left := errors.New("left")
	cancel(left)
	if err := c.Type(ctx, []byte("x")); !errors.Is(err, left) {
		t.Errorf("typing to a process that takes nothing: %v", err)
	}
	c.Connect(nil)
	if err := c.Type(t.Context(), []byte("x")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("typing after the end: %v", err)
	}
}
