package supervisor

import (
	"maps"
	"slices"
	"time"
)

const (
	// roundEcho is how long after a restart a change counts as its echo.
	roundEcho = 500 * time.Millisecond
	// roundLimit is in how many rounds in a row a file has to change to be taken
	// for one that they write. One is nothing: people save while a build runs.
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

// change is what has become of a file.
type change struct {
	at   time.Time // the latest
	gone bool      // it is not there any more
}

// litter stands for the files that a round makes under new names and the next one
// deletes.
const litter = ""

// rounds tells changes that somebody has made from those that are made by
// building or starting the app, which would cause the next build, and so on
// without end. It judges each file by itself: one that has changed in several
// rounds in a row is written by them, and what they write is ignored until
// somebody changes it at another time. Any other file counts, whatever else has
// changed with it, so that no save is lost beside an echo.
type rounds struct {
	begun, ended   time.Time       // the last build and restart; ended is zero before its end
	before, during map[string]bool // what changed since the one before and the last began, until shortly after their end
	row            map[string]int  // in how many rounds in a row a file has changed
	blame          map[string]int  // loops by the file that kept them going
}

// judge says what to do about changed files, and gives those that count.
func (r *rounds) judge(changed map[string]change) ([]string, roundVerdict) {
	first := map[string]bool{} // echoes that the round did not have yet
	for f, c := range changed {
		if !r.echo(c.at) {
			delete(r.row, f)
			continue
		}
		first[f] = r.note(f)
		if c.gone && r.before[f] {
			r.note(litter)
		}
	}
	var count, echoes []string
	for _, f := range slices.Sorted(maps.Keys(changed)) {
		fresh, echo := first[f]
		switch {
		case r.blame[f] >= roundBlame:
		case !echo, max(r.row[f], r.row[litter]) < roundLimit:
			count = append(count, f)
		case fresh:
			echoes = append(echoes, f)
		}
	}
	switch {
	case len(count) > 0:
		return count, roundGo
	case len(echoes) == 0:
		return nil, roundSkip
	}
	for _, f := range echoes {
		r.blame[f]++
	}
	return echoes, roundSuspend
}

// note notes an echo, and says whether it is the first of the file in this round.
func (r *rounds) note(f string) bool {
	if r.during[f] {
		return false
	}
	r.during[f] = true
	r.row[f]++
	return true
}

// echo says whether a change at that time may come from the last round.
func (r *rounds) echo(at time.Time) bool {
	return !r.begun.IsZero() && at.After(r.begun) && (r.ended.IsZero() || at.Before(r.ended.Add(roundEcho)))
}

// begin notes that a build or restart begins. What the one before has left alone
// is not written by all of them.
func (r *rounds) begin(now time.Time) {
	if r.row == nil {
		r.row, r.blame = map[string]int{}, map[string]int{}
	}
	others := func(f string, _ int) bool { return !r.during[f] }
	maps.DeleteFunc(r.row, others)
	maps.DeleteFunc(r.blame, others)
	r.before, r.during = r.during, map[string]bool{}
	r.begun, r.ended = now, time.Time{}
}

// end notes that it is over.
func (r *rounds) end(now time.Time) { r.ended = now }

// forget starts anew: the user has changed what is watched.
func (r *rounds) forget() { *r = rounds{} }
