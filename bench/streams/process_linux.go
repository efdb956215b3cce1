package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// process is what the kernel says of one process at one moment.
type process struct {
	pid            int
	resident, peak int64 // bytes
	cpu            time.Duration
}

// watch begins to watch a process: its peak counts from now.
func watch(pid int) process {
	// "5" resets the highest resident size to the present one.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	return process{pid: pid}.read()
}

func (p process) read() process {
	now := process{pid: p.pid}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch key {
		case "VmRSS":
			now.resident = kib << 10
		case "VmHWM":
			now.peak = kib << 10
		}
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if i := bytes.LastIndexByte(stat, ')'); i >= 0 { // the name before it may hold spaces
		if f := strings.Fields(string(stat[i+1:])); len(f) > 12 {
			user, _ := strconv.ParseInt(f[11], 10, 64)
			system, _ := strconv.ParseInt(f[12], 10, 64)
			now.cpu = time.Duration(user+system) * 10 * time.Millisecond // ticks are hundredths of a second
		}
	}
	return now
}
