//go:build linux && !race

package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawMax is the most that is copied without telling the scheduler, which can do
// nothing with the processor meanwhile.
const rawMax = 64 << 10

// Read reads once from a socket that does not block. At the end of the stream it
// gives 0 and no error.
func Read(fd uintptr, p []byte) (int, syscall.Errno) {
	return copyOnce(syscall.SYS_RECVFROM, fd, p, 0)
}

// Write writes once to a socket that does not block.
func Write(fd uintptr, p []byte) (int, syscall.Errno) {
	return copyOnce(syscall.SYS_SENDTO, fd, p, syscall.MSG_NOSIGNAL)
}

// copyOnce makes a system call that has the signature of recv, again when a
// signal interrupts it. The calls of sockets take a twentieth less time than read
// and write, which first look what kind of file it is.
func copyOnce(call, fd uintptr, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		var n uintptr
		var errno syscall.Errno
		if len(p) <= rawMax {
			n, _, errno = syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		} else {
			n, _, errno = syscall.Syscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		}
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// maxPieces is how many pieces one system call writes.
const maxPieces = 16

// writePieces writes several pieces once to a socket that does not block.
func writePieces(fd uintptr, p [][]byte, more bool) (int, syscall.Errno) {
	if len(p) == 1 && !more {
		return Write(fd, p[0])
	}
	var vec [maxPieces]unix.Iovec
	size := 0
	p = p[:min(len(p), maxPieces)]
	for i, b := range p {
		vec[i].Base = unsafe.SliceData(b)
		vec[i].SetLen(len(b))
		size += len(b)
	}
	msg := unix.Msghdr{Iov: &vec[0]}
	msg.SetIovlen(len(p))
	var flags uintptr = syscall.MSG_NOSIGNAL
	if more {
		flags |= unix.MSG_MORE
	}
	for {
		var n uintptr
		var errno syscall.Errno
		if size <= rawMax {
			n, _, errno = syscall.RawSyscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&msg)), flags)
		} else {
			n, _, errno = syscall.Syscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&msg)), flags)
		}
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// Peek is Pending for a descriptor.
func Peek(fd uintptr) int {
	var one [1]byte
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&one)), 1,
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return 0
	case errno != 0 || n == 0:
		return Gone
	}
	return int(n)
}
