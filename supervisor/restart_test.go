package supervisor

import (
	"testing"
	"time"
)

func TestTrackerBacksOffAndGivesUp(t *testing.T) {
	var tr tracker
	now := time.Unix(1_700_000_000, 0)
	var last time.Duration
	starts := 0
	for {
		d, over := tr.failed(now, 0.5)
		if over {
			break
		}
		starts++
		if d < last {
			t.Errorf("failure %d waits %v, less than the %v before it", starts, d, last)
		}
		if d > longestBackoff {
			t.Errorf("failure %d waits %v, longer than %v", starts, d, longestBackoff)
		}
		last = d
		now = now.Add(time.Second + d/100) // it fails again right away
		if starts > 50 {
			t.Fatal("an app that fails at once every time is never given up")
		}
	}
	if starts < 5 {
		t.Errorf("given up after %d starts, too early", starts)
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
