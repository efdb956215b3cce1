package latency

import (
	"slices"
	"time"
)

// The course of the runs in the pictures.
const (
	courseHeight = 170
	courseSlices = 120
	legendRow    = 18
)

// colours tell the series of a picture apart; they begin anew after the last.
func colours() []string {
	return []string{"#0969da", "#bf8700", "#1a7f37", "#8250df", "#cf222e", "#57606a"}
}

// slice is what was measured in one part of a run.
type slice struct {
	at   time.Duration // the middle of the part, since the run began
	half Summary
}

// slices cuts a run into parts of equal length.
func (s *Series) slices(n int) []slice {
	if len(s.Samples) == 0 {
		return nil
	}
	long := s.lasted()/time.Duration(n) + 1
	parts := make([][]time.Duration, n)
	for _, x := range s.Samples {
		i := max(0, min(n-1, int(x.Start/long))) // files may say anything
		parts[i] = append(parts[i], x.Total)
	}
	var all []slice
	for i, part := range parts {
		if len(part) > 0 {
			slices.Sort(part)
			all = append(all, slice{long*time.Duration(i) + long/2, summarize(part)})
		}
	}
	return all
}

// lasted is when the last round trip of a run began.
func (s *Series) lasted() (last time.Duration) {
	for _, x := range s.Samples {
		last = max(last, x.Start)
	}
	return last
}

// course gives the marks of a plot over time below top: for each part of a run a
// bar for the middle half and a dot for the slowest round trip.
func course(all []*Series, top int) (marks []mark, height int) {
	a := newAxis(all, courseHeight)
	y := func(d time.Duration) int { return top + courseHeight - a.at(d) }
	var longest time.Duration
	for _, s := range all {
		longest = max(longest, s.lasted())
	}
	right := pictureWidth - 40
	x := func(d time.Duration) int {
		return nameWidth + int(float64(right-nameWidth)*float64(d)/float64(max(1, longest)))
	}
	for _, d := range a.ticks() {
		marks = append(marks, mark{x0: nameWidth, y0: y(d), x1: right, y1: y(d), fill: "#d8dee4"},
			mark{x0: nameWidth - 14, y0: y(d) + 4, text: Short(d), end: true})
	}
	palette := colours()
	for i, s := range all {
		colour := palette[i%len(palette)]
		for _, part := range s.slices(courseSlices) {
			at := x(part.at)
			marks = append(marks,
				mark{x0: at, y0: y(part.half.Q3), x1: at + 3, y1: y(part.half.Q1), fill: colour},
				mark{x0: at, y0: y(part.half.Max) - 1, x1: at + 2, y1: y(part.half.Max) + 1, fill: colour})
		}
	}
	bottom := top + courseHeight
	marks = append(marks, mark{x0: nameWidth, y0: bottom + 18, text: "start of the run"}, mark{x0: right, y0: bottom + 18, text: Short(longest), end: true})
	for i, s := range all {
		row := bottom + 18 + legendRow*(i+1)
		marks = append(marks, mark{x0: nameWidth, y0: row - 9, x1: nameWidth + 10, y1: row + 1, fill: palette[i%len(palette)]},
			mark{x0: nameWidth + 18, y0: row, text: s.caption()})
	}
	return marks, courseHeight + 18 + legendRow*(len(all)+1)
}
