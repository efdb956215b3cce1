//go:build !linux

package servertest

import "syscall"

// attributes put a server into a process group of its own.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
