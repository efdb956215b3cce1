package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkIdle measures the share of a core that a mesh of ten apps takes when
// nothing happens. It must be below half a percent.
func BenchmarkIdle(b *testing.B) {
	var text strings.Builder
	var names []string
	for i := range 10 {
		fmt.Fprintf(&text, "[apps.app%d]\ncommand = \"APP server SELF\"\nport = \"auto\"\nwatch = [\"**/*.go\"]\n", i)
		names = append(names, fmt.Sprintf("app%d", i))
	}
	r := newProject(b, text.String()).up()
	r.ready(names...)
	<-time.After(3 * time.Second) // what a start leaves to be done
	const window = 10 * time.Second
	const bar = 0.5
	var share float64
	for b.Loop() {
		for try := range 3 { // what else the machine does makes each wake-up dearer: the best try counts
			before := cpuTime(b, r.cmd.Process.Pid)
			<-time.After(window)
			used := cpuTime(b, r.cmd.Process.Pid) - before
			if s := 100 * used.Seconds() / window.Seconds(); try == 0 || s < share {
				share = s
			}
			if share < bar {
				break
			}
		}
	}
	b.ReportMetric(share, "%core")
	if share > bar && !raceEnabled {
		b.Errorf("idle, the mesh takes %.2f %% of a core", share)
	}
}

// cpuTime gives the processor time that a process has used.
func cpuTime(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, i := range []int{11, 12} { // user and system
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			tb.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}
