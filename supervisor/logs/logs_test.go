package logs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mesh/supervisor/state"
)

func texts(lines []state.Line) string {
	words := make([]string, 0, len(lines))
	for _, l := range lines {
		words = append(words, l.Text)
	}
	return strings.Join(words, " ")
}

func add(b *Book, app, instance, text string) state.Line {
	return b.Append(app, instance, "stdout", text, time.Unix(int64(b.Last())+1, 0), false)
}

func TestLines(t *testing.T) {
	b := New(Options{})
	add(b, "orders", "orders-1", "a")
	add(b, "orders", "orders-2", "b")
	third := add(b, "bill", "bill", "c")
	if l := b.Mark("--"); l.Stream != StreamMark || l.Instance != "" {
		t.Errorf("a mark is %+v", l)
	}
	add(b, "orders", "orders-1", "d")
	if third.Seq != 3 || third.App != "bill" || third.Instance != "bill" || third.Stream != "stdout" {
		t.Errorf("a line is %+v", third)
	}
	for _, c := range []struct {
		app   string
		after uint64
		limit int
		want  string
	}{
		{"", 0, 0, "a b c -- d"},
		{"", 2, 0, "c -- d"},
		{"", 0, 2, "-- d"},
		{"", 5, 0, ""},
		{"orders", 0, 0, "a b -- d"},
		{"orders", 1, 2, "-- d"},
		{"orders-1", 0, 0, "a -- d"},
		{"orders-2", 0, 0, "b --"},
		{"nobody", 0, 0, "--"},
	} {
		if got := texts(b.Lines(c.app, c.after, c.limit)); got != c.want {
			t.Errorf("lines of %q after %d, at most %d: %q, want %q", c.app, c.after, c.limit, got, c.want)
		}
	}
}

func TestBounds(t *testing.T) {
	b := New(Options{Lines: 3, Bytes: 10})
	for _, text := range []string{"1", "2", "3", "4"} {
		add(b, "app", "app", text)
	}
	add(b, "other", "other", "x")
	if got := texts(b.Lines("app", 0, 0)); got != "2 3 4" {
		t.Errorf("of four lines three are to be kept: %q", got)
	}
	add(b, "app", "app", "12345678")
	if got := texts(b.Lines("app", 0, 0)); got != "3 4 12345678" {
		t.Errorf("ten bytes are to be kept: %q", got)
	}
	add(b, "app", "app", strings.Repeat("l", 100))
	if got := b.Lines("app", 0, 0); len(got) != 1 || len(got[0].Text) != 100 {
		t.Errorf("the latest line is to be kept: %q", texts(got))
	}
	if app, all := b.Dropped("app"), b.Dropped(""); app != 5 || all != 5 {
		t.Errorf("%d and %d lines are said to be dropped, want 5", app, all)
	}
	if b.Dropped("other") != 0 {
		t.Error("another app has lost lines")
	}
}

// TestProperties holds a book against a plain list of all lines.
func TestProperties(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		o := Options{Lines: 1 + rnd.IntN(50), Bytes: 1 + rnd.IntN(500)}
		b := New(o)
		var all []state.Line
		for range rnd.IntN(1000) {
			app := fmt.Sprint("app", rnd.IntN(3))
			text := strings.Repeat("x", rnd.IntN(40))
			all = append(all, add(b, app, fmt.Sprint(app, "-", rnd.IntN(3)), text))
		}
		for range 20 {
			app := []string{"", "app0", "app1-2"}[rnd.IntN(3)]
			after, limit := uint64(rnd.IntN(len(all)+1)), rnd.IntN(60)
			want := expect(all, o, app, after, limit)
			if got := b.Lines(app, after, limit); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %d lines of %q after %d, at most %d; want %d", seed, len(got), app, after, limit, len(want))
			}
		}
		if kept := uint64(len(b.Lines("", 0, 0))); kept+b.Dropped("") != uint64(len(all)) {
			t.Fatalf("seed %d: %d kept and %d dropped of %d", seed, kept, b.Dropped(""), len(all))
		}
	}
}

// expect goes back from the latest line and leaves out what the bounds forbid.
func expect(all []state.Line, o Options, app string, after uint64, limit int) []state.Line {
	lines, bytes, full := map[string]int{}, map[string]int{}, map[string]bool{}
	var kept []state.Line
	for _, l := range slices.Backward(all) {
		i := l.Instance
		bytes[i] += len(l.Text)
		if full[i] = full[i] || lines[i] == o.Lines || (lines[i] > 0 && bytes[i] > o.Bytes); full[i] {
			continue
		}
		lines[i]++
		if l.Seq > after && (app == "" || app == l.App || app == i) && (limit == 0 || len(kept) < limit) {
			kept = append(kept, l)
		}
	}
	slices.Reverse(kept)
	return kept
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Options{})
		ctx, cancel := context.WithCancelCause(t.Context())
		woken := make(chan error, 3)
		for range 2 {
			go func() { woken <- b.Wait(ctx, 0) }()
		}
		go func() { woken <- b.Wait(ctx, 1) }()
		synctest.Wait()
		if len(woken) != 0 {
			t.Fatal("woken without a line")
		}
		add(b, "app", "app", "a")
		synctest.Wait()
		if len(woken) != 2 {
			t.Fatalf("%d of 2 woken by the line", len(woken))
		}
		if err := errors.Join(<-woken, <-woken); err != nil {
			t.Fatal(err)
		}
		why := errors.New("no more")
		cancel(why)
		if err := <-woken; !errors.Is(err, why) {
			t.Errorf("the wait ended with %v", err)
		}
		if err := b.Wait(t.Context(), 0); err != nil {
			t.Errorf("a wait for a line that is there: %v", err)
		}
	})
}

// TestFollow reads along while many write, and expects every line once and in
// order.
func TestFollow(t *testing.T) {
	const writers, each = 8, 2000
	b := New(Options{Lines: writers * each, Bytes: 1 << 30})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				b.Append("app", fmt.Sprint("app-", w), "stdout", strconv.Itoa(i), time.Now(), false)
			}
		})
	}
	next := make([]int, writers)
	seen := uint64(0)
	for seen < writers*each {
		if err := b.Wait(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
		for _, l := range b.Lines("app", seen, 0) {
			if l.Seq != seen+1 {
				t.Fatalf("line %d after line %d", l.Seq, seen)
			}
			seen = l.Seq
			var w int
			if _, err := fmt.Sscanf(l.Instance, "app-%d", &w); err != nil {
				t.Fatal(err)
			}
			if l.Text != strconv.Itoa(next[w]) {
				t.Fatalf("%s printed %s, expected %d", l.Instance, l.Text, next[w])
			}
			next[w]++
		}
	}
	wg.Wait()
}

func BenchmarkAppend(b *testing.B) {
	book := New(Options{})
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		book.Append("orders", "orders-1", "stdout", "a line of ordinary length, as programs print them", at, false)
	}
}

func BenchmarkLinesOfTwentyApps(b *testing.B) {
	book := New(Options{})
	for i := range 200_000 {
		app := fmt.Sprint("app-", i%20)
		add(book, app, app, "a line")
	}
	b.ReportAllocs()
	for b.Loop() {
		book.Lines("", 0, 200)
	}
}
