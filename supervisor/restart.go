package supervisor

import (
	"math"
	"math/rand/v2"
	"time"
)

// How failures turn into waiting. The count of failures decays by half every
// failureHalfLife, so that a crash an hour ago does not count against an app;
// an app whose count passes giveUpAfter is broken, not unlucky. The half-life is
// long compared with the longest pause, or the count would never get there.
const (
	firstBackoff    = 250 * time.Millisecond
	longestBackoff  = 30 * time.Second
	failureHalfLife = 5 * time.Minute
	giveUpAfter     = 8.2
	missingAfter    = 3                // tries of a command that is not there: somebody may be installing it
	tooShort        = 10 * time.Second // an app that is always to run should last longer
)

// tracker remembers the failures of one instance and decides how long to wait
// before the next try.
type tracker struct {
	failures float64
	last     time.Time
	missing  int // times in a row that there was no command
	brief    int // times in a row that it ended well, but too soon
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
	return pause(t.failures, spread), false
}

// notFound is failed for a command that is not there, or cannot be executed.
func (t *tracker) notFound(now time.Time, spread float64) (delay time.Duration, giveUp bool) {
	t.missing++
	delay, giveUp = t.failed(now, spread)
	return delay, giveUp || t.missing >= missingAfter
}

// ended gives the delay before the next start of an app that is always to run
// and has ended well after it had run for so long. It is never given up.
func (t *tracker) ended(took time.Duration, spread float64) (delay time.Duration) {
	t.missing = 0
	t.brief++
	if took >= tooShort {
		t.brief = 1
	}
	return pause(float64(t.brief), spread)
}

// pause grows from firstBackoff to longestBackoff.
func pause(count, spread float64) time.Duration {
	d := float64(firstBackoff) * math.Exp2(count-1)
	return time.Duration(min(d, float64(longestBackoff)) * (0.75 + 0.5*spread))
}

// reset forgets the failures, as after a start that the user asked for.
func (t *tracker) reset() { *t = tracker{} }

func jitter() float64 { return rand.Float64() } //nolint:gosec // spreading starts, not guarding secrets
