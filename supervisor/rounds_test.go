package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// saver plays files that change and what is done about them.
type saver struct {
	t   *testing.T
	r   rounds
	now time.Time
}

func newSaver(t *testing.T) *saver {
	return &saver{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// save changes files after a pause, at once, and goes through with a build of a
// second when that is the verdict. A file that begins with - is deleted.
func (s *saver) save(pause time.Duration, files ...string) ([]string, roundVerdict) {
	s.now = s.now.Add(pause)
	changed := map[string]change{}
	for _, f := range files {
		name, gone := strings.CutPrefix(f, "-")
		changed[name] = change{s.now, gone}
	}
	count, v := s.r.judge(changed)
	if v == roundGo {
		s.r.begin(s.now)
		s.now = s.now.Add(time.Second)
		s.r.end(s.now)
	}
	return count, v
}

// wants saves and expects a verdict about some of the files.
func (s *saver) wants(want roundVerdict, about string, pause time.Duration, files ...string) {
	s.t.Helper()
	got, v := s.save(pause, files...)
	if v != want || strings.Join(got, " ") != about {
		s.t.Errorf("%v after %v gives %d for %v, want %d for %s", files, pause, v, got, want, about)
	}
}

// loop lets gen.go change in every round, and gives how many there were.
func (s *saver) loop() (rounds int) {
	s.t.Helper()
	for rounds = range 20 {
		if files, v := s.save(100*time.Millisecond, "gen.go"); v != roundGo {
			if v != roundSuspend || !slices.Equal(files, []string{"gen.go"}) {
				s.t.Fatalf("a loop gives %d for %v", v, files)
			}
			break
		}
	}
	return rounds
}

func TestRounds(t *testing.T) {
	s := newSaver(t)
	for range 10 { // a person, however busy
		s.wants(roundGo, "main.go", time.Second, "main.go")
	}
	if n := s.loop(); n != roundLimit-1 {
		t.Errorf("a loop is suspended after %d rounds, want %d", n, roundLimit-1)
	}
	s.wants(roundGo, "main.go", time.Minute, "main.go")
	if n := s.loop(); n != 0 {
		t.Errorf("what is known to make a loop makes %d more rounds", n)
	}
	s.wants(roundSkip, "", time.Minute, "gen.go") // it has made two
	s.wants(roundGo, "main.go", time.Minute, "gen.go", "main.go")
	s.r.forget()
	s.wants(roundGo, "gen.go", time.Minute, "gen.go") // watch was edited
}

// TestNoSaveIsLostBesideAnEcho: a save counts at every moment of a loop.
func TestNoSaveIsLostBesideAnEcho(t *testing.T) {
	const soon = 100 * time.Millisecond
	for before := range 2 * roundLimit {
		s := newSaver(t)
		s.wants(roundGo, "main.go", time.Minute, "main.go")
		for range before {
			s.save(soon, "gen.go")
		}
		if got, v := s.save(soon, "gen.go", "main.go"); v != roundGo || !slices.Contains(got, "main.go") {
			t.Errorf("after %d echoes a save with the next one gives %d for %v", before, v, got)
		}
	}
	// Again and again, as long as some build is left alone.
	s := newSaver(t)
	s.wants(roundGo, "main.go", time.Minute, "main.go")
	s.loop()
	for range 5 {
		for range roundLimit - 1 {
			if got, v := s.save(soon, "gen.go", "main.go"); v != roundGo || !slices.Contains(got, "main.go") {
				t.Fatalf("a save with an echo gives %d for %v", v, got)
			}
		}
		s.save(soon, "gen.go")
		s.wants(roundGo, "other.go", soon, "gen.go", "other.go")
	}
}

// TestTimesOfFilesAreTheirOwn: a save a while after a build is none of its echoes,
// even when it is seen together with one.
func TestTimesOfFilesAreTheirOwn(t *testing.T) {
	s := newSaver(t)
	s.wants(roundGo, "main.go", time.Minute, "main.go")
	s.loop()
	count, v := s.r.judge(map[string]change{"gen.go": {at: s.now}, "main.go": {at: s.now.Add(time.Minute)}})
	if v != roundGo || !slices.Equal(count, []string{"main.go"}) {
		t.Errorf("the verdict is %d for %v", v, count)
	}
}

// TestBlameEnds: a file that a build has left alone is not what all builds write.
func TestBlameEnds(t *testing.T) {
	s := newSaver(t)
	s.wants(roundGo, "main.go", time.Minute, "main.go")
	s.loop()
	s.wants(roundGo, "main.go", time.Minute, "main.go")
	s.loop()
	s.wants(roundSkip, "", time.Minute, "gen.go")
	s.wants(roundGo, "main.go", time.Minute, "main.go")
	s.wants(roundSkip, "", 100*time.Millisecond, "gen.go")
	s.wants(roundGo, "main.go", time.Minute, "main.go") // and gen.go does not change
	s.wants(roundGo, "main.go", time.Minute, "main.go")
	s.wants(roundGo, "gen.go", time.Minute, "gen.go")
}

// TestLoopOfNewNames: a build that writes a file of another name each time, and
// deletes the last one, makes a loop, too.
func TestLoopOfNewNames(t *testing.T) {
	s := newSaver(t)
	s.wants(roundGo, "main.go", time.Minute, "main.go")
	n := 0
	for v := roundGo; v == roundGo && n < 20; n++ {
		_, v = s.save(100*time.Millisecond, fmt.Sprintf("out-%d.js", n+1), fmt.Sprintf("-out-%d.js", n))
	}
	if n > roundLimit+2 {
		t.Errorf("it is suspended after %d rounds", n)
	}
	s.wants(roundGo, "main.go", time.Minute, "main.go")
}
