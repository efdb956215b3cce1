package pane

import (
	"slices"
	"time"

	"mesh/supervisor/state"
	"mesh/tui/grid"
)

// nearLines is how many lines of output are shown beside the lanes at most.
const nearLines = 8

// nearAfter is how long after a chunk a line may come and still belong to it.
const nearAfter = time.Millisecond

// Near gives the output of the two apps of the flow, which is shown below its
// lanes; the screen adds lines to it.
func (l *Lanes) Near() [2]*Lines { return [2]*Lines{&l.near[0], &l.near[1]} }

// NearApps says whose output is wanted beside the lanes; "" is nobody's.
func (l *Lanes) NearApps() (apps [2]string) {
	for i, app := range [2]string{l.view.Caller, l.view.Callee} {
		if l.w.Mesh.Find(app) != nil {
			apps[i] = app
		}
	}
	if apps[0] == apps[1] {
		apps[0] = ""
	}
	return apps
}

// drawNear draws the lines that the two apps have printed up to the selected
// chunk, or up to now.
func (l *Lanes) drawNear(a grid.Area) {
	_, h := a.Size()
	if h < 4 {
		return
	}
	n := min(h-2, nearLines)
	l.drawNearIn(a.Rows(h-1-n, -1), n)
}

// upTo gives the last n lines of both apps that came before a time, and not
// before the flow began.
func (l *Lanes) upTo(at time.Time, n int) (out []state.Line) {
	for i := range l.near {
		all := l.near[i].all
		end, _ := slices.BinarySearchFunc(all, at, func(x state.Line, at time.Time) int { return x.At.Compare(at) })
		for j := max(0, end-n); j < end; j++ {
			if !all[j].At.Before(l.view.Begun) {
				out = append(out, all[j])
			}
		}
	}
	slices.SortStableFunc(out, func(a, b state.Line) int { return a.At.Compare(b.At) })
	return out[max(0, len(out)-n):]
}

// stampOf writes when a line came, counted from the beginning of the flow.
func stampOf(d time.Duration) string {
	return trimmed(d.Truncate(time.Millisecond), time.Second, 3) + "s"
}
