package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpu gives the processor time that processes have used, to the nanosecond.
func cpu(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		// The kernel's ABI makes a clock of every process: its number, inverted,
		// and 2 for the clock that the scheduler keeps.
		var t unix.Timespec
		if unix.ClockGettime(int32(^pid<<3|2), &t) == nil {
			sum += time.Duration(t.Nano())
		}
	}
	return sum
}
