package proc

import (
	"os"
	"syscall"
)

// self gives the path by which this very program can be started again, even
// when its file has been replaced or deleted since.
func self() (string, error) { return "/proc/self/exe", nil }

func helperAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// rename sets the name that ps and pkill see; that of the thread that leads
// the process, whichever one we are on.
func rename(name string) { _ = os.WriteFile("/proc/self/comm", []byte(name), 0) }
