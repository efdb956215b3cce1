package supervisor

import (
	"math"
	"math/rand/v2"
	"time"
)

// How failures turn into waiting. The count of failures decays by half every
// failureHalfLife, so that a crash an hour ago does not count against an app;
// an app whose count passes giveUpAfter is broken, not unlucky.
const (
	firstBackoff    = 250 * time.Millisecond
	longestBackoff  = 30 * time.Second
	failureHalfLife = time.Minute
	giveUpAfter     = 9.5
)

// tracker remembers the failures of one instance and decides how long to wait
// before the next try.
type tracker struct {
	failures float64
	last     time.Time
}

// failed records a failure at now and gives the delay before the next start,
// or giveUp. spread is a random number in [0,1) that keeps instances which
// failed together from starting together.
func (t *tracker) failed(now time.Time, spread float64) (delay time.Duration, giveUp bool) {
	if !t.last.IsZero() {
		t.failures *= math.Exp2(-float64(now.Sub(t.last)) / float64(failureHalfLife))
	}
	t.failures++
	t.last = now
	if t.failures > giveUpAfter {
		return 0, true
	}
	d := float64(firstBackoff) * math.Exp2(t.failures-1)
	d = min(d, float64(longestBackoff))
	return time.Duration(d * (0.75 + 0.5*spread)), false
}

// reset forgets the failures, as after a start that the user asked for.
func (t *tracker) reset() { *t = tracker{} }

func jitter() float64 { return rand.Float64() } //nolint:gosec // spreading starts, not guarding secrets
