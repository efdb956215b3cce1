package trace

import (
	"math"
	"math/bits"
	"time"
)

// Hist counts times in buckets that are an eighth of their value wide, so
// that a quantile costs no sorting. The zero value is empty.
type Hist struct {
	N      uint64
	Max    time.Duration
	counts [bucketCount]uint32
}

const bucketCount = 8 * 42 // up to an hour and more

// Add counts one time.
func (h *Hist) Add(d time.Duration) {
	h.N++
	h.Max = max(h.Max, d)
	h.counts[bucket(d)]++
}

// Quantile gives the time below which the share q of all lies, within 12 %.
// It is 0 when nothing was counted.
func (h *Hist) Quantile(q float64) time.Duration {
	if h.N == 0 {
		return 0
	}
	rank, sum := max(1, uint64(math.Ceil(q*float64(h.N)))), uint64(0)
	for i, n := range h.counts {
		if sum += uint64(n); sum >= rank {
			return min(middle(i), h.Max)
		}
	}
	return h.Max
}

func bucket(d time.Duration) int {
	v := uint64(max(0, d))
	if v < 8 {
		return int(v)
	}
	exp := bits.Len64(v) - 4 // the three bits after the highest one choose within an octave
	return min(8*(exp+1)+int(v>>exp&7), bucketCount-1)
}

func middle(i int) time.Duration {
	if i < 8 {
		return time.Duration(i)
	}
	exp := i/8 - 1
	low := uint64(8+i%8) << exp
	return time.Duration(low + (uint64(1)<<exp)/2)
}
