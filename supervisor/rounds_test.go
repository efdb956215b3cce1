package supervisor

import (
	"slices"
	"testing"
	"time"
)

func TestRounds(t *testing.T) {
	var r rounds
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	// save changes files after a pause, and goes through with a build of a
	// second when that is the verdict.
	save := func(pause time.Duration, files ...string) ([]string, roundVerdict) {
		now = now.Add(pause)
		counted, v := r.judge(files, now)
		if v == roundGo {
			r.begin(now)
			now = now.Add(time.Second)
			r.end(now)
		}
		return counted, v
	}
	for range 10 { // a person, however busy
		if _, v := save(time.Second, "main.go"); v != roundGo {
			t.Fatalf("a save gives %d", v)
		}
	}
	loop := func() (rounds int) {
		for rounds = range 20 {
			if files, v := save(100*time.Millisecond, "gen.go"); v != roundGo {
				if v != roundSuspend || !slices.Equal(files, []string{"gen.go"}) {
					t.Fatalf("a loop gives %d for %v", v, files)
				}
				break
			}
		}
		return rounds
	}
	if n := loop(); n != roundLimit-1 {
		t.Errorf("a loop is suspended after %d rounds, want %d", n, roundLimit-1)
	}
	// Somebody saves something else, and the loop goes on.
	if _, v := save(time.Minute, "main.go"); v != roundGo {
		t.Errorf("a save after a loop gives %d", v)
	}
	loop()
	if _, v := save(time.Minute, "gen.go"); v != roundSkip {
		t.Errorf("a file that has made two loops gives %d", v)
	}
	if files, v := save(time.Minute, "gen.go", "main.go"); v != roundGo || !slices.Equal(files, []string{"main.go"}) {
		t.Errorf("another file gives %d for %v", v, files)
	}
	r.forget()
	if _, v := save(time.Minute, "gen.go"); v != roundGo {
		t.Errorf("after an edit of watch the file gives %d", v)
	}
}
