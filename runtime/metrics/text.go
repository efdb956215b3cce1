package metrics

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// ServeHTTP writes the metrics.
func (r *Registry) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(r.Text()) // whoever has gone does not need them
}

// Text gives the metrics in the text format of Prometheus, sorted.
func (r *Registry) Text() []byte {
	var b bytes.Buffer
	for _, g := range r.gauges {
		head(&b, g.Metric, "gauge")
		g.values(func(value float64, labels ...string) {
			b.WriteString(g.Name)
			if len(labels) > 0 {
				fmt.Fprintf(&b, "{%s}", g.labels(r.appID, labels))
			}
			fmt.Fprintf(&b, " %s\n", number(value))
		})
	}
	r.mu.RLock()
	families := slices.SortedFunc(maps.Values(r.families), func(x, y *family) int { return strings.Compare(x.Name, y.Name) })
	r.mu.RUnlock()
	for _, f := range families {
		f.write(&b, r.appID)
	}
	return b.Bytes()
}

func head(b *bytes.Buffer, m Metric, kind string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", m.Name, m.Help, m.Name, kind)
}

func (f *family) write(b *bytes.Buffer, appID string) {
	kind := "counter"
	if f.histogram {
		kind = "histogram"
	}
	head(b, f.Metric, kind)
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, key := range slices.Sorted(maps.Keys(f.series)) {
		s := f.series[key]
		labels := f.labels(appID, s.values)
		if !f.histogram {
			fmt.Fprintf(b, "%s{%s} %d\n", f.Name, labels, s.count.Load())
			continue
		}
		var below uint64
		for i, bound := range bounds() {
			below += s.buckets[i].Load()
			fmt.Fprintf(b, "%s_bucket{%s,le=\"%s\"} %d\n", f.Name, labels, number(bound), below)
		}
		// A concurrent observation may have reached a bucket and not the count.
		count := max(below, s.count.Load())
		fmt.Fprintf(b, "%s_bucket{%s,le=\"+Inf\"} %d\n", f.Name, labels, count)
		fmt.Fprintf(b, "%s_sum{%s} %s\n", f.Name, labels, number(math.Float64frombits(s.sum.Load())))
		fmt.Fprintf(b, "%s_count{%s} %d\n", f.Name, labels, count)
	}
}

// labels gives the labels of one series.
func (m Metric) labels(appID string, values []string) string {
	all := []string{labelText("app_id", appID)}
	for i, name := range m.Labels[:min(len(m.Labels), len(values))] {
		all = append(all, labelText(name, values[i]))
	}
	return strings.Join(all, ",")
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// labelText gives name="value", escaped.
func labelText(name, value string) string {
	return name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(value, "\uFFFD")) + `"`
}
