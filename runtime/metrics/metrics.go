// Package metrics counts what one sidecar does and says it in the text format
// of Prometheus, under the names that dashboards for Dapr know.
//
// There is one Registry for each sidecar and none for the process, so that any
// number of sidecars share a process and keep their numbers apart. Counting is
// a lookup and an atomic addition; nothing is rendered before somebody asks.
package metrics

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxSeries bounds how many combinations of labels one metric keeps apart. Those
// that come later are counted together, with "other" for every label.
const maxSeries = 2000

// Metric is the name of a counter or a histogram and those of its labels, besides
// app_id, which every metric has.
type Metric struct {
	Name   string
	Help   string
	Labels []string
}

// Registry is the metrics of one sidecar. A nil Registry counts nothing.
type Registry struct {
	appID  string
	gauges []gauge

	mu       sync.RWMutex // of families; a family is never taken away
	families map[string]*family
}

type gauge struct {
	Metric

	values func(yield func(value float64, labels ...string))
}

// family is all series of one metric.
type family struct {
	Metric

	histogram bool
	mu        sync.RWMutex
	series    map[string]*Series // by the values of the labels, joined
}

// Series is one combination of the labels of a metric. A nil Series counts nothing.
type Series struct {
	values  []string
	count   atomic.Uint64
	sum     atomic.Uint64   // bits of a float64: milliseconds
	buckets []atomic.Uint64 // nil: a counter
}

// bounds are the upper ends of a histogram's buckets, in milliseconds.
func bounds() []float64 {
	return []float64{1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 40, 50, 65, 80, 100, 130, 160, 200, 250, 300, 400, 500, 650, 800, 1000, 2000, 5000, 10000, 20000, 50000, 100000}
}

// New gives the empty metrics of a sidecar.
func New(appID string) *Registry {
	return &Registry{appID: appID, families: map[string]*family{}}
}

// Gauge adds a value that is asked for whenever the metrics are read. It is for
// whoever sets the registry up, before it is read.
func (r *Registry) Gauge(m Metric, value func() float64) {
	r.Gauges(m, func(yield func(float64, ...string)) { yield(value()) })
}

// Gauges is like Gauge for one that has labels: values yields every value with
// those of its labels.
func (r *Registry) Gauges(m Metric, values func(yield func(value float64, labels ...string))) {
	r.gauges = append(r.gauges, gauge{m, values})
}

// Count adds one to a counter. The values are those of the metric's labels, in
// their order.
func (r *Registry) Count(m Metric, values ...string) { r.Counter(m, values...).Add() }

// Observe adds a duration to a histogram of milliseconds.
func (r *Registry) Observe(m Metric, took time.Duration, values ...string) {
	r.Histogram(m, values...).Observe(took)
}

// Counter gives the series of a counter for those values of its labels, for who
// counts often and would not look for it each time.
func (r *Registry) Counter(m Metric, values ...string) *Series {
	if r == nil {
		return nil
	}
	return r.family(m, false).at(values)
}

// Histogram is Counter for a histogram of milliseconds.
func (r *Registry) Histogram(m Metric, values ...string) *Series {
	if r == nil {
		return nil
	}
	return r.family(m, true).at(values)
}

// Add adds one to a counter.
func (s *Series) Add() {
	if s != nil {
		s.count.Add(1)
	}
}

// Observe adds a duration to a histogram.
func (s *Series) Observe(took time.Duration) {
	if s == nil {
		return
	}
	ms := float64(took) / float64(time.Millisecond)
	if i, _ := slices.BinarySearch(bounds(), ms); i < len(s.buckets) {
		s.buckets[i].Add(1)
	}
	s.count.Add(1)
	for {
		old := s.sum.Load()
		if s.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+ms)) {
			return
		}
	}
}

func (r *Registry) family(m Metric, histogram bool) *family {
	r.mu.RLock()
	f := r.families[m.Name]
	r.mu.RUnlock()
	if f != nil {
		return f
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f = r.families[m.Name]; f == nil {
		f = &family{Metric: m, histogram: histogram, series: map[string]*Series{}}
		r.families[m.Name] = f
	}
	return f
}

func (f *family) at(values []string) *Series {
	key := strings.Join(values, "\xff")
	f.mu.RLock()
	s, n := f.series[key], len(f.series)
	f.mu.RUnlock()
	if s != nil {
		return s
	}
	if n >= maxSeries {
		values = slices.Repeat([]string{"other"}, len(values))
		key = strings.Join(values, "\xff")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s = f.series[key]; s == nil {
		s = &Series{values: slices.Clone(values)}
		if f.histogram {
			s.buckets = make([]atomic.Uint64, len(bounds()))
		}
		f.series[key] = s
	}
	return s
}
