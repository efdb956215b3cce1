package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// writeTable prints medians, one row for each way.
func writeTable(w io.Writer, o options, all []figure) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d cores, %s, %s; medians of %d runs; memory is that of the mesh process above its idle size\n\n",
		processor(), runtime.NumCPU(), kernel(), runtime.Version(), o.runs)
	large := fmt.Sprintf("%d MiB", o.size>>20)
	if o.size == 1<<30 {
		large = "1 GiB"
	}
	fmt.Fprintf(&b, "| | 70 KB slowly: first byte | memory | %s up: first byte | rate | memory | %s down: first byte | rate | memory |\n", large, large)
	b.WriteString("|---|---|---|---|---|---|---|---|---|\n")
	for _, way := range o.ways {
		slow, up, down := of(all, way, "slow"), of(all, way, "up"), of(all, way, "down")
		cells := []string{way, first(slow), memory(way, slow), first(up), rate(up), memory(way, up), first(down), rate(down), memory(way, down)}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, f := range all {
		if f.err != nil {
			fmt.Fprintf(&b, "\n%s, %s, run %d broke: %v\n", f.way, f.name, f.run, f.err)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// of selects the runs of one case that came through.
func of(all []figure, way, name string) []figure {
	var some []figure
	for _, f := range all {
		if f.way == way && f.name == name && f.err == nil {
			some = append(some, f)
		}
	}
	return some
}

// median gives the middle of what get says of each figure.
func median[T int64 | time.Duration](some []figure, get func(figure) T) T {
	var values []T
	for _, f := range some {
		values = append(values, get(f))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func first(some []figure) string {
	if len(some) == 0 {
		return "broke"
	}
	d := median(some, func(f figure) time.Duration { return f.first })
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func rate(some []figure) string {
	if len(some) == 0 {
		return "broke"
	}
	d := median(some, func(f figure) time.Duration { return f.total })
	return fmt.Sprintf("%.0f MB/s", float64(some[0].size)/1e6/d.Seconds())
}

func memory(way string, some []figure) string {
	if len(some) == 0 || way == "direct" || some[0].peak == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f MiB", float64(median(some, func(f figure) int64 { return f.peak - f.idle }))/(1<<20))
}

// writeCSV writes one line for each call.
func writeCSV(name string, all []figure) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	lines := [][]string{{"way", "case", "run", "bytes", "first_byte_ms", "total_ms", "idle_bytes", "peak_bytes", "cpu_ms", "error"}}
	ms := func(d time.Duration) string {
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 3, 64)
	}
	for _, f := range all {
		why := ""
		if f.err != nil {
			why = f.err.Error()
		}
		lines = append(lines, []string{
			f.way, f.name, strconv.Itoa(f.run), strconv.FormatInt(f.size, 10), ms(f.first), ms(f.total),
			strconv.FormatInt(f.idle, 10), strconv.FormatInt(f.peak, 10), ms(f.cpu), why,
		})
	}
	if err := csv.NewWriter(f).WriteAll(lines); err != nil {
		f.Close()
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return f.Close()
}

// processor names the machine's processor, as far as it tells.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	out, err := exec.Command("uname", "-sr").Output() //nolint:noctx // ends at once
	if err != nil {
		return runtime.GOOS
	}
	return strings.TrimSpace(string(out))
}
