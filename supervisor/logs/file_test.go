package logs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// write lets fill add lines while the files are written and returns the text
// of the named file.
func write(t *testing.T, o Options, name string, fill func(*Book)) (string, *Book) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "logs")
	}
	b := New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	fill(b)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(o.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text), b
}

func TestFile(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC)
	text, b := write(t, Options{}, "orders-1.log", func(b *Book) {
		b.Append("orders", "orders-1", "stdout", "\x1b[31mred\x1b[0m", at, false)
		b.Append("orders", "orders-1", "stderr", "long ", at, true)
		b.Append("orders", "orders-1", "stderr", "line", at, false)
		b.Append("bill", "bill", "stdout", "of another", at, false)
		b.Append("orders", "orders-1", "stderr", "cut", at, true)
		b.Append("orders", "orders-1", "stdout", "end", at, false)
	})
	const day = "2026-02-03T04:05:06.789Z "
	want := day + "stdout \x1b[31mred\x1b[0m\n" + day + "stderr long line\n" + day + "stderr cut\n" + day + "stdout end\n"
	if text != want {
		t.Errorf("the file says\n%q, want\n%q", text, want)
	}
	if n, err := b.Skipped(); n != 0 || err != nil {
		t.Errorf("%d lines skipped, %v", n, err)
	}
}

func TestFileGoesOn(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	write(t, o, "app.log", func(b *Book) { add(b, "app", "app", "first run") })
	text, _ := write(t, o, "app.log", func(b *Book) { add(b, "app", "app", "second run") })
	if !regexp.MustCompile(`(?s)first run\n.*second run\n$`).MatchString(text) {
		t.Errorf("the file says %q", text)
	}
}

func TestRotation(t *testing.T) {
	o := Options{Dir: t.TempDir(), FileSize: 1000, Files: 3}
	_, b := write(t, o, "app.log", func(b *Book) {
		for i := range 500 {
			add(b, "app", "app", fmt.Sprintf("number %d", i))
		}
	})
	if n, err := b.Skipped(); n != 0 || err != nil {
		t.Fatalf("%d lines skipped, %v", n, err)
	}
	var all strings.Builder
	for _, name := range []string{"app.log.2", "app.log.1", "app.log"} {
		text, err := os.ReadFile(filepath.Join(o.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 1100 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
		all.Write(text)
	}
	if files, _ := os.ReadDir(o.Dir); len(files) != 3 {
		t.Errorf("there are %d files", len(files))
	}
	lines := strings.Split(strings.TrimSpace(all.String()), "\n")
	for i, line := range lines {
		if want := fmt.Sprintf(" number %d", 500-len(lines)+i); !strings.HasSuffix(line, want) {
			t.Fatalf("line %d is %q, want it to end in %q", i, line, want)
		}
	}
}

// TestDiskFails puts something in the way and takes it away again.
func TestDiskFails(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "app.log")
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	var told atomic.Int32
	text, b := write(t, Options{Dir: dir, Failed: func(error) { told.Add(1) }}, "app.log", func(b *Book) {
		add(b, "app", "app", "lost")
		limit := time.After(10 * time.Second)
		for n := uint64(0); n == 0; n, _ = b.Skipped() {
			select {
			case <-time.After(time.Millisecond):
			case <-limit:
				t.Fatal("no line counts as skipped")
			}
		}
		add(b, "app", "app", "lost, too")
		for n := uint64(0); n < 2; n, _ = b.Skipped() {
			select {
			case <-time.After(time.Millisecond):
			case <-limit:
				t.Fatal("the second line does not count as skipped")
			}
		}
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		add(b, "app", "app", "kept")
	})
	if !strings.HasSuffix(text, " stdout kept\n") {
		t.Errorf("the file says %q", text)
	}
	if n := told.Load(); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
	if n, err := b.Skipped(); n != 2 || err == nil || !strings.Contains(err.Error(), "writing the log of app: ") {
		t.Errorf("%d lines skipped, %v", n, err)
	}
}

// TestSlowDisk has more lines than memory holds before the writer comes.
func TestSlowDisk(t *testing.T) {
	o := Options{Dir: t.TempDir(), Lines: 10}
	b := New(o)
	for i := range 25 {
		add(b, "app", "app", strconv.Itoa(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(o.Dir, "app.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), " mesh 15 lines are missing here") || strings.Count(string(text), "\n") != 11 {
		t.Errorf("the file says\n%s", text)
	}
	if n, _ := b.Skipped(); n != 15 {
		t.Errorf("%d lines are said to be skipped", n)
	}
}

func TestFileNames(t *testing.T) {
	for instance, want := range map[string]string{
		"orders-1": "orders-1.log", "a/b": "a_b.log", "..": "_...log", `\x`: "_x.log",
	} {
		if got := fileName(instance); got != want {
			t.Errorf("the file of %q is %q, want %q", instance, got, want)
		}
	}
}

func BenchmarkAppendWithFile(b *testing.B) {
	book := New(Options{Dir: b.TempDir()})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- book.Run(ctx) }()
	at := time.Now()
	for b.Loop() {
		book.Append("orders", "orders-1", "stdout", "a line of ordinary length, as programs print them", at, false)
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	skipped, _ := book.Skipped()
	b.ReportMetric(float64(skipped)/float64(b.N), "skipped/op")
}
