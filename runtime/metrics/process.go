package metrics

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
)

// Process adds the memory that the whole process takes, all its sidecars
// together.
func (r *Registry) Process() {
	r.Gauge(Metric{Name: "process_resident_memory_bytes", Help: "Memory of the process that is in RAM."}, residentBytes)
	r.Gauge(Metric{Name: "go_goroutines", Help: "Goroutines of the process."}, func() float64 { return float64(runtime.NumGoroutine()) })
}

// residentBytes asks the kernel; where it does not say, Go's own figure is near.
func residentBytes() float64 {
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := bytes.Fields(b); len(f) > 1 {
			if pages, err := strconv.ParseInt(string(f[1]), 10, 64); err == nil {
				return float64(pages) * float64(os.Getpagesize())
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Sys)
}
