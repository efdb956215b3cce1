package servertest

import "syscall"

// attributes put a server into a process group of its own, which dies with the
// test even when that is killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
