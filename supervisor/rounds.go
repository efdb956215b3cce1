package supervisor

import (
	"maps"
	"slices"
	"time"
)

const (
	// roundEcho is how long after a restart a change counts as its echo.
	roundEcho = 500 * time.Millisecond
	// roundLimit is how many echoes in a row make a loop. One is nothing: people
	// save while a build runs.
	roundLimit = 4
	// roundBlame is how often a file may make a loop before it is left out.
	roundBlame = 2
)

// roundVerdict says what to do about changed files.
type roundVerdict int

const (
	roundGo      roundVerdict = iota // build and restart
	roundSkip                        // do nothing
	roundSuspend                     // do nothing, and say why
)

// rounds tells changes that somebody has made from those that are made by
// building or starting the app, which would cause the next build, and so on
// without end. A loop is suspended: the echo that would go on with it is
// ignored, and so nothing happens until somebody changes something.
type rounds struct {
	begun, ended time.Time       // the last build and restart; ended is zero before its end
	last         map[string]bool // the files that caused it
	echoes       int             // how many rounds in a row were echoes of the one before
	blame        map[string]int  // loops by the file that kept them going
}

// judge says what to do about files of which the latest changed at that time,
// and gives those that count.
func (r *rounds) judge(files []string, at time.Time) ([]string, roundVerdict) {
	files = slices.DeleteFunc(slices.Clone(files), func(f string) bool { return r.blame[f] >= roundBlame })
	if len(files) == 0 {
		return nil, roundSkip
	}
	again := slices.DeleteFunc(slices.Clone(files), func(f string) bool { return !r.last[f] })
	echo := !r.begun.IsZero() && at.After(r.begun) && (r.ended.IsZero() || at.Before(r.ended.Add(roundEcho)))
	if !echo {
		r.echoes = 0
	} else if len(again) > 0 || r.echoes == 0 {
		r.echoes++
	}
	r.last = map[string]bool{}
	for _, f := range files {
		r.last[f] = true
	}
	if r.echoes < roundLimit {
		return files, roundGo
	}
	if r.blame == nil {
		r.blame = map[string]int{}
	}
	for _, f := range again {
		r.blame[f]++
	}
	r.echoes = roundLimit - 1 // one more echo is enough from now on
	return again, roundSuspend
}

// begin notes that a build or restart begins.
func (r *rounds) begin(now time.Time) { r.begun, r.ended = now, time.Time{} }

// end notes that it is over.
func (r *rounds) end(now time.Time) { r.ended = now }

// forget starts anew: the user has changed what is watched.
func (r *rounds) forget() {
	blame := r.blame
	*r = rounds{}
	if blame != nil {
		maps.DeleteFunc(blame, func(string, int) bool { return true })
	}
}
