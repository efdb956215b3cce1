package flow

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// gaps counts the times between chunks in buckets: four to an octave, from 16 µs
// to more than two minutes, so that a quantile is right within an eighth.
type gaps [gapBuckets]atomic.Uint32

const (
	gapFloor   = 14 // 2^14 ns; what is shorter counts as that
	gapBuckets = 4 * 24
)

func (g *gaps) add(d int64) {
	i := 0
	if v := uint64(max(0, d)); v >= 1<<gapFloor {
		exp := bits.Len64(v) - 1
		i = min(4*(exp-gapFloor)+int(v>>(exp-2)&3), gapBuckets-1) //nolint:gosec // two bits
	}
	g[i].Add(1)
}

// quantiles gives the gaps below which half of all and 99 in a hundred lie, 0
// without any.
func (g *gaps) quantiles() (p50, p99 time.Duration) {
	var counts [gapBuckets]uint64
	var all uint64
	for i := range g {
		counts[i] = uint64(g[i].Load())
		all += counts[i]
	}
	var sum uint64
	for i, n := range counts {
		before := sum
		sum += n
		if rank := (all + 1) / 2; before < rank && sum >= rank {
			p50 = gapOf(i)
		}
		if rank := all - all/100; before < rank && sum >= rank {
			p99 = gapOf(i)
		}
	}
	return p50, p99
}

// gapOf gives the middle of a bucket.
func gapOf(i int) time.Duration {
	low := uint64(4+i%4) << (gapFloor - 2 + i/4)
	return time.Duration(low + low/uint64(8+2*(i%4))) //nolint:gosec // at most a few minutes
}
