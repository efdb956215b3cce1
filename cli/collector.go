package cli

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// collector lets Go collect this process's garbage less often while much of it is made. Mesh
// keeps so little in memory, 5 to 10 MiB, that a stream of small calls would have
// it collected many times a second: a seventh of what a call by gRPC costs. While
// that lasts the heap may grow by up to collectorRoom instead of to its double.
type collector struct {
	usage      func() (made, live uint64) // bytes allocated since the start; bytes in use at the last collection
	setPercent func(percent int)          // as debug.SetGCPercent
}

const (
	collectorRoom  = 32 << 20
	collectorEvery = 500 * time.Millisecond

	usualPercent = 100 // Go's own
	mostPercent  = 400
)

func newCollector() *collector {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	return &collector{
		usage: func() (made, live uint64) {
			metrics.Read(samples)
			return samples[0].Value.Uint64(), samples[1].Value.Uint64()
		},
		setPercent: func(percent int) { debug.SetGCPercent(percent) },
	}
}

// Run paces the collector until ctx ends. Whoever sets GOGC does it for himself.
func (c *collector) Run(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(collectorEvery)
	defer tick.Stop()
	before, _ := c.usage()
	now, last := usualPercent, usualPercent
	for {
		select {
		case <-ctx.Done():
			c.setPercent(usualPercent)
			return nil
		case <-tick.C:
		}
		made, live := c.usage()
		want := pace((made-before)*uint64(time.Second/collectorEvery), live)
		// One busy moment is a start, or a save of mesh.toml, and passes.
		if p := min(want, last); p != now {
			c.setPercent(p)
			now = p
		}
		before, last = made, want
	}
}

// pace gives the percentage by which the heap may grow between two collections,
// when so many bytes were made in a second and so many are in use.
func pace(made, live uint64) int {
	const often = 3 // collections in a second
	if live == 0 || made < often*live {
		return usualPercent
	}
	return int(min(max(usualPercent, 100*collectorRoom/live), mostPercent))
}
