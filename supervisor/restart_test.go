package supervisor

import (
	"testing"
	"time"
)

func TestTrackerBacksOffAndGivesUp(t *testing.T) {
	for _, spread := range []float64{0, 0.5, 1} {
		var tr tracker
		begin := time.Unix(1_700_000_000, 0)
		now := begin
		var last time.Duration
		starts := 1
		for {
			now = now.Add(50 * time.Millisecond) // it fails as soon as it starts
			d, over := tr.failed(now, spread)
			if over {
				break
			}
			starts++
			if d < last {
				t.Errorf("failure %d waits %v, less than the %v before it", starts, d, last)
			}
			if d > longestBackoff*5/4 {
				t.Errorf("failure %d waits %v, longer than %v", starts, d, longestBackoff)
			}
			last = d
			now = now.Add(d)
			if starts > 50 {
				t.Fatal("an app that fails at once every time is never given up")
			}
		}
		if took := now.Sub(begin); starts < 8 || starts > 12 || took > 3*time.Minute {
			t.Errorf("given up after %d starts in %v, want about ten in one and a half minutes", starts, took)
		}
	}
}

func TestTrackerGivesUpMissingCommands(t *testing.T) {
	var tr tracker
	now := time.Unix(1_700_000_000, 0)
	tries := 1
	for ; tries < 10; tries++ {
		d, over := tr.notFound(now, 0.5)
		if over {
			break
		}
		now = now.Add(d)
	}
	if tries != 3 {
		t.Errorf("a command that is not there was tried %d times, want 3", tries)
	}
}

func TestTrackerSlowsDownWhatEndsTooSoon(t *testing.T) {
	var tr tracker
	var last time.Duration
	for n := range 100 {
		d := tr.ended(time.Second, 0.5)
		if d < last || d > longestBackoff {
			t.Fatalf("end %d waits %v after %v", n, d, last)
		}
		last = d
	}
	if last != longestBackoff {
		t.Errorf("after a hundred ends within a second it waits %v", last)
	}
	if d := tr.ended(time.Minute, 0.5); d != firstBackoff {
		t.Errorf("after a minute of work it waits %v, want %v", d, firstBackoff)
	}
}

func TestTrackerForgetsOldFailures(t *testing.T) {
	var tr tracker
	now := time.Unix(1_700_000_000, 0)
	for range 200 { // one crash in ten minutes, for ever
		d, over := tr.failed(now, 0.5)
		if over {
			t.Fatal("an app that fails every ten minutes was given up")
		}
		if d > 2*firstBackoff {
			t.Fatalf("an app that fails every ten minutes waits %v", d)
		}
		now = now.Add(10 * time.Minute)
	}
}

func TestTrackerSpreadsStarts(t *testing.T) {
	var a, b tracker
	now := time.Unix(1_700_000_000, 0)
	first, _ := a.failed(now, 0)
	second, _ := b.failed(now, 0.99)
	if first == second {
		t.Errorf("two instances that fail together both wait %v", first)
	}
}
