package latency

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Table writes what was measured as lines of figures.
func Table(w io.Writer, all []*Series) {
	wide, answer := 6, 6
	for _, s := range all {
		wide, answer = max(wide, len([]rune(s.Name))), max(answer, len([]rune(s.Answers())))
	}
	fmt.Fprintf(w, "%-*s  %-*s  %7s %9s %9s %9s %9s %9s %9s %9s %9s  %s\n", wide, "target", answer, "status", "count", "min", "q1", "median", "q3", "p95", "p99", "max", "mean", "connect / wait / transfer (medians)")
	for _, s := range all {
		t := s.Summarize(Total)
		fmt.Fprintf(w, "%-*s  %-*s  %7d %9s %9s %9s %9s %9s %9s %9s %9s  %s / %s / %s\n", wide, s.Name, answer, s.Answers(), t.Count,
			Short(t.Min), Short(t.Q1), Short(t.Median), Short(t.Q3), Short(t.P95), Short(t.P99), Short(t.Max), Short(t.Mean),
			Short(s.Summarize(Connect).Median), Short(s.Summarize(Wait).Median), Short(s.Summarize(Transfer).Median))
	}
}

// Answers says with which statuses a target has answered: "204", or
// "200 × 98, 503 × 2, 1 failed"; "–" where a file does not tell.
func (s *Series) Answers() string {
	count := map[int]int{}
	for _, x := range s.Samples {
		if x.Status != 0 {
			count[x.Status]++
		}
	}
	var t []string
	for _, status := range slices.Sorted(maps.Keys(count)) {
		if n := count[status]; n < len(s.Samples) {
			t = append(t, fmt.Sprintf("%d × %d", status, n))
		} else {
			t = append(t, strconv.Itoa(status))
		}
	}
	if s.Failed > 0 {
		t = append(t, fmt.Sprintf("%d failed", s.Failed))
	}
	if len(t) == 0 {
		return "–"
	}
	return strings.Join(t, ", ")
}

// Refused tells how many round trips were answered with an error, 400 and above:
// their figures are those of a refusal and not of what was asked for.
func (s *Series) Refused() (n int) {
	for _, x := range s.Samples {
		if x.Status >= http.StatusBadRequest {
			n++
		}
	}
	return n
}

// caption is the series' name in the legend of pictures, with what was answered when
// not all went well.
func (s *Series) caption() string {
	if s.Refused() == 0 && s.Failed == 0 {
		return s.Name
	}
	return s.Name + " ! " + s.Answers()
}

// Short writes a duration with three digits or so.
func Short(d time.Duration) string {
	switch {
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.1fµs", float64(d)/1e3)
	case d < time.Millisecond:
		return fmt.Sprintf("%.0fµs", float64(d)/1e3)
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2fms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%.1fms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2fs", d.Seconds())
}

// Compare says how the medians and the tails of runs against the same target
// differ, the later ones from the first. Series of files are named FILE: TARGET.
func Compare(w io.Writer, all []*Series) {
	base := map[string]*Series{}
	for _, s := range all {
		_, target, found := strings.Cut(s.Name, ": ")
		if !found {
			target = s.Name
		}
		first := base[target]
		if first == nil {
			base[target] = s
			continue
		}
		was, is := first.Summarize(Total), s.Summarize(Total)
		fmt.Fprintf(w, "%s: median %s → %s (%s), p99 %s → %s (%s)%s\n", target,
			Short(was.Median), Short(is.Median), change(was.Median, is.Median), Short(was.P99), Short(is.P99), change(was.P99, is.P99), unlike(first, s))
	}
}

// unlike warns that two runs were not answered alike, as far as that is known.
func unlike(was, is *Series) string {
	a, b := was.Answers(), is.Answers()
	if a == b || a == "–" || b == "–" {
		return ""
	}
	return fmt.Sprintf("  ! answered %s → %s", a, b)
}

// change is the difference in per cent of the first.
func change(was, is time.Duration) string {
	return fmt.Sprintf("%+.0f %%", 100*(float64(is)/float64(max(1, was))-1))
}

// Boxes draws a box plot of the totals on one logarithmic axis: whiskers within
// 1.5 times the middle half, p99 as ◆, the maximum as ×.
func Boxes(w io.Writer, all []*Series, width int) {
	name := 6
	for _, s := range all {
		name = max(name, len([]rune(s.Name)))
	}
	columns := max(20, width-name-4)
	a := newAxis(all, columns-1)
	for _, s := range all {
		if len(s.Samples) == 0 {
			continue
		}
		fmt.Fprintf(w, "%-*s  %s\n", name, s.Name, box(s.Summarize(Total), a, columns))
	}
	fmt.Fprintf(w, "%-*s  %s\n", name, "", a.ruler(columns))
}

func box(t Summary, a axis, columns int) string {
	cells := []rune(strings.Repeat(" ", columns))
	fill := func(from, to time.Duration, r rune) {
		for i := a.at(from); i <= a.at(to); i++ {
			cells[i] = r
		}
	}
	fill(t.LowWhisker, t.HighWhisker, '─')
	cells[a.at(t.LowWhisker)], cells[a.at(t.HighWhisker)] = '├', '┤'
	fill(t.Q1, t.Q3, '▒')
	cells[a.at(t.P99)] = '◆'
	cells[a.at(t.Max)] = '×'
	cells[a.at(t.Median)] = '┃'
	return strings.TrimRight(string(cells), " ")
}

// axis is a logarithmic axis of time.
type axis struct {
	low, high float64 // logarithms of nanoseconds
	last      int     // the last cell
}

func newAxis(all []*Series, last int) axis {
	low, high := time.Duration(math.MaxInt64), time.Duration(1)
	for _, s := range all {
		if len(s.Samples) > 0 {
			t := s.Summarize(Total)
			low, high = min(low, t.Min), max(high, t.Max)
		}
	}
	low = max(1, min(low, high))
	a := axis{low: math.Log10(float64(low)), high: math.Log10(float64(high)), last: last}
	if a.high-a.low < 0.1 {
		a.low, a.high = a.low-0.05, a.high+0.05
	}
	return a
}

// share gives where a duration lies, from 0 to 1.
func (a axis) share(d time.Duration) float64 {
	return min(1, max(0, (math.Log10(float64(max(1, d)))-a.low)/(a.high-a.low)))
}

func (a axis) at(d time.Duration) int { return int(a.share(d)*float64(a.last) + 0.5) }

// ticks gives the round durations 1, 2 and 5 times a power of ten on the axis.
func (a axis) ticks() (marks []time.Duration) {
	for e := int(math.Floor(a.low)); e <= int(math.Ceil(a.high)); e++ {
		for _, m := range []float64{1, 2, 5} {
			if l := math.Log10(m) + float64(e); l >= a.low && l <= a.high {
				marks = append(marks, time.Duration(math.Round(m*math.Pow10(e))))
			}
		}
	}
	return marks
}

func (a axis) ruler(columns int) string {
	line := []rune(strings.Repeat(" ", columns+8))
	free := 0
	for _, d := range a.ticks() {
		label := []rune("╷" + Short(d))
		if at := a.at(d); at >= free && at+len(label) < len(line) {
			copy(line[at:], label)
			free = at + len(label) + 1
		}
	}
	return strings.TrimRight(string(line), " ")
}

// Course draws the medians of slices of the run, oldest first, as a sparkline.
func (s *Series) Course(width int) string {
	if len(s.Samples) == 0 || width < 1 {
		return ""
	}
	n := min(width, len(s.Samples))
	medians := make([]time.Duration, n)
	for i := range n {
		part := &Series{Samples: s.Samples[i*len(s.Samples)/n : (i+1)*len(s.Samples)/n]}
		medians[i] = part.Summarize(Total).Median
	}
	low, high := slices.Min(medians), slices.Max(medians)
	bars := []rune("▁▂▃▄▅▆▇█")
	out := make([]rune, n)
	for i, m := range medians {
		level := 0
		if high > low {
			level = int(float64(m-low) / float64(high-low) * float64(len(bars)-1))
		}
		out[i] = bars[level]
	}
	return string(out)
}
