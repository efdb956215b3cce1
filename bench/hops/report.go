package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// printTable prints the figures as Markdown, and the ratio of CPU to one nginx.
func printTable(out io.Writer, rows []row) {
	var nginx time.Duration
	for _, r := range rows {
		if r.way == "nginx" {
			nginx = r.many.cpu
		}
	}
	fmt.Fprintf(out, "%s, %d cores, %s\n\n", machine(), runtime.NumCPU(), runtime.Version())
	fmt.Fprintln(out, "| | CPU per call, 32 in flight | ÷ nginx | calls/s | p50 alone | p99 at 32 | chunk p50 | slow upload: first byte | 1 GiB down | 1 GiB up | memory |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		ratio := "–"
		if nginx > 0 && r.many.cpu > 0 {
			ratio = fmt.Sprintf("%.2f", float64(r.many.cpu)/float64(nginx))
		}
		fmt.Fprintf(out, "| %s | %s | %s | %.0f | %s | %s | %s | %s | %s | %s | %.1f MiB |\n", r.way,
			micros(r.many.cpu), ratio, r.many.rate, micros(r.one.p50), micros(r.many.p99), micros(r.chunk), millis(r.first),
			rate(r.down.rate), rate(r.up.rate), float64(max(r.down.growth, r.up.growth))/(1<<20))
	}
	for _, r := range rows {
		for _, f := range r.failed {
			fmt.Fprintf(out, "\n%s cannot: %s\n", r.way, f)
		}
	}
}

func micros(d time.Duration) string {
	if d <= 0 {
		return "–"
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

func csvOf(rows []row) string {
	var b strings.Builder
	b.WriteString("way,calls_per_s_1,cpu_us_1,p50_us_1,p99_us_1,calls_per_s_32,cpu_us_32,p50_us_32,p99_us_32,chunk_us,first_ms," +
		"down_mb_s,down_cpu_ms,down_growth_kib,up_mb_s,up_cpu_ms,up_growth_kib\n")
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	for _, r := range rows {
		fmt.Fprintf(&b, "%s,%.0f,%.1f,%.1f,%.1f,%.0f,%.1f,%.1f,%.1f,%.1f,%.2f,%.0f,%.0f,%d,%.0f,%.0f,%d\n", r.way,
			r.one.rate, us(r.one.cpu), us(r.one.p50), us(r.one.p99), r.many.rate, us(r.many.cpu), us(r.many.p50), us(r.many.p99),
			us(r.chunk), float64(r.first)/1e6, r.down.rate/1e6, float64(r.down.cpu)/1e6, r.down.growth>>10,
			r.up.rate/1e6, float64(r.up.cpu)/1e6, r.up.growth>>10)
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
