package cli

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	const mib = 1 << 20
	for _, tc := range []struct {
		made, live uint64
		want       int
	}{
		{0, 0, 100},                  // nothing was collected yet
		{10 * mib, 8 * mib, 100},     // hardly more than once a second
		{200 * mib, 2 * mib, 400},    // never more than four times as much
		{200 * mib, 10 * mib, 320},   // 32 MiB of room
		{400 * mib, 40 * mib, 100},   // a large heap has it anyway
		{4000 * mib, 400 * mib, 100}, // ten times a second, but there is room
	} {
		if got := pace(tc.made, tc.live); got != tc.want {
			t.Errorf("%d made and %d live: %d %%, want %d", tc.made, tc.live, got, tc.want)
		}
	}
}

func TestCollectorFollowsTheLoad(t *testing.T) {
	t.Setenv("GOGC", "")
	synctest.Test(t, func(t *testing.T) {
		var made uint64
		var each atomic.Uint64 // bytes made from one look to the next
		var set []int
		c := &collector{
			usage:      func() (uint64, uint64) { made += each.Load(); return made, 8 << 20 },
			setPercent: func(p int) { set = append(set, p) },
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		after := func(n int, made uint64, want ...int) {
			t.Helper()
			each.Store(made)
			time.Sleep(time.Duration(n) * collectorEvery)
			synctest.Wait()
			if !slices.Equal(set, want) {
				t.Errorf("after %d looks with %d bytes each: %v, want %v", n, made, set, want)
			}
		}
		after(3, 1<<20)
		after(1, 500<<20) // one busy moment is none
		after(1, 500<<20, 400)
		after(5, 500<<20, 400)
		after(1, 1<<20, 400, 100)
		after(1, 500<<20, 400, 100)
		after(1, 500<<20, 400, 100, 400)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !slices.Equal(set, []int{400, 100, 400, 100}) {
			t.Errorf("at the end: %v", set)
		}
	})
}

func TestCollectorLeavesGOGCAlone(t *testing.T) {
	t.Setenv("GOGC", "50")
	synctest.Test(t, func(t *testing.T) {
		var made uint64
		c := &collector{
			usage:      func() (uint64, uint64) { made += 500 << 20; return made, 8 << 20 },
			setPercent: func(p int) { t.Errorf("set to %d", p) },
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}
