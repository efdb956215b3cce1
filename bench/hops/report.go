package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// printTable prints the figures as Markdown, with the ratios of CPU to one nginx.
func printTable(out io.Writer, rows []row, many *many) {
	var nginx row
	for _, r := range rows {
		if r.way == "nginx" {
			nginx = r
		}
	}
	fmt.Fprintf(out, "%s, %d cores, %s\n\n", machine(), runtime.NumCPU(), runtime.Version())
	fmt.Fprintf(out, "Small calls: a POST of %d bytes that is echoed. CPU is that of everything between client and app.\n\n", bodySize)
	fmt.Fprintln(out, "| | 1 at a time: calls/s | CPU per call | ÷ nginx | p50 | p99 | 32 at a time: calls/s | CPU per call | ÷ nginx | p50 | p99 |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		fmt.Fprintf(out, "| %s |", r.way)
		for _, s := range []struct{ got, nginx small }{{r.one, nginx.one}, {r.many, nginx.many}} {
			fmt.Fprintf(out, " %.0f | %s | %s | %s | %s |", s.got.rate, micros(s.got.cpu), ratio(s.got.cpu, s.nginx.cpu), micros(s.got.p50), micros(s.got.p99))
		}
		fmt.Fprintln(out)
	}
	if slices.ContainsFunc(rows, func(r row) bool { return r.chunk > 0 || r.down.rate > 0 }) {
		printStreams(out, rows)
	}
	for _, r := range rows {
		for _, f := range r.failed {
			fmt.Fprintf(out, "\n%s cannot: %s\n", r.way, f)
		}
	}
	printRatios(out, rows)
	if many == nil {
		return
	}
	if many.streams < many.wanted {
		fmt.Fprintf(out, "\nThis machine lets a process open too few files (ulimit -Hn): %d streams instead of %d, two files each.\n", many.streams, many.wanted)
	}
	fmt.Fprintf(out, "\n%d live streams: %.1f KiB of mesh's memory each\n", many.streams, float64(many.stream)/1024)
	fmt.Fprintf(out, "%d idle sidecars: %.0f KiB of mesh's memory each\n", idleSidecars, float64(many.sidecar)/1024)
}

// printStreams prints what was measured beside small calls.
func printStreams(out io.Writer, rows []row) {
	fmt.Fprintln(out, "\n| | chunk of a live stream, p50 | slow upload: first byte | body down | CPU | memory grew by | body up | CPU | memory grew by |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		fmt.Fprintf(out, "| %s | %s | %s |", r.way, micros(r.chunk), millis(r.first))
		for _, l := range []large{r.down, r.up} {
			fmt.Fprintf(out, " %s | %s | %.1f MiB |", rate(l.rate), millis(l.cpu), float64(l.growth)/(1<<20))
		}
		fmt.Fprintln(out)
	}
}

// printRatios prints how the ways through mesh compare with the others.
func printRatios(out io.Writer, rows []row) {
	of := map[string]row{}
	for _, r := range rows {
		of[r.way] = r
	}
	fmt.Fprintln(out, "\n| | CPU at 32: ÷ nginx | daprd's ÷ its | p50 alone: ÷ two nginx | daprd's ÷ its | body down: ÷ haproxy | ÷ daprd | body up: ÷ haproxy | ÷ daprd | chunk: more than direct |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		if !strings.HasPrefix(r.way, "mesh") {
			continue
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", r.way,
			ratio(r.many.cpu, of["nginx"].many.cpu), ratio(of["daprd"].many.cpu, r.many.cpu),
			ratio(r.one.p50, of["nginx2"].one.p50), ratio(of["daprd"].one.p50, r.one.p50),
			ratio(r.down.rate, of["haproxy"].down.rate), ratio(r.down.rate, of["daprd"].down.rate),
			ratio(r.up.rate, of["haproxy"].up.rate), ratio(r.up.rate, of["daprd"].up.rate),
			micros(r.chunk-of["direct"].chunk))
	}
}

func ratio[T time.Duration | float64](of, to T) string {
	if of <= 0 || to <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(of)/float64(to))
}

func micros(d time.Duration) string {
	if d <= 0 {
		return "–"
	}
	if d < 100*time.Microsecond {
		return fmt.Sprintf("%.1f µs", float64(d)/1e3)
	}
	return fmt.Sprintf("%.0f µs", float64(d)/1e3)
}

func millis(d time.Duration) string {
	if d <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f ms", float64(d)/1e6)
}

func rate(r float64) string {
	if r <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f MB/s", r/1e6)
}

func machine() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, "\t :\n")
		}
	}
	return runtime.GOARCH
}

func csvOf(rows []row, many *many) string {
	var b strings.Builder
	b.WriteString("way,calls_per_s_1,cpu_us_1,p50_us_1,p99_us_1,calls_per_s_32,cpu_us_32,p50_us_32,p99_us_32,chunk_us,first_ms," +
		"down_mb_s,down_cpu_ms,down_growth_kib,up_mb_s,up_cpu_ms,up_growth_kib,stream_kib,idle_sidecar_kib\n")
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	for _, r := range rows {
		fmt.Fprintf(&b, "%s,%.0f,%.1f,%.1f,%.1f,%.0f,%.1f,%.1f,%.1f,%.1f,%.2f,%.0f,%.0f,%d,%.0f,%.0f,%d,", r.way,
			r.one.rate, us(r.one.cpu), us(r.one.p50), us(r.one.p99), r.many.rate, us(r.many.cpu), us(r.many.p50), us(r.many.p99),
			us(r.chunk), float64(r.first)/1e6, r.down.rate/1e6, float64(r.down.cpu)/1e6, r.down.growth>>10,
			r.up.rate/1e6, float64(r.up.cpu)/1e6, r.up.growth>>10)
		if many != nil && r.way == "mesh-auto" {
			fmt.Fprintf(&b, "%.1f,%.0f", float64(many.stream)/1024, float64(many.sidecar)/1024)
		} else {
			b.WriteString(",")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// chart draws CPU per small call as bars.
func chart(rows []row) string {
	const left, line, width = 120, 26, 620
	var longest time.Duration
	for _, r := range rows {
		longest = max(longest, r.many.cpu)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", left+width+90, 40+line*len(rows))
	fmt.Fprintln(&b, `<rect width="100%" height="100%" fill="#ffffff"/><text x="12" y="22" font-weight="bold">CPU of everything between client and app, per call of 256 bytes, 32 in flight</text>`)
	for i, r := range rows {
		y := 36 + line*i
		w := 0.0
		if longest > 0 {
			w = width * float64(r.many.cpu) / float64(longest)
		}
		fill := "#9aa4b2"
		if strings.HasPrefix(r.way, "mesh") {
			fill = "#2f81f7"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="16" fill="%s"/><text x="%.1f" y="%d">%s</text>`+"\n",
			left-8, y+13, r.way, left, y, w, fill, float64(left)+w+6, y+13, micros(r.many.cpu))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func writeFile(name, text string) error {
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil { //nolint:gosec // a report for everyone
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
