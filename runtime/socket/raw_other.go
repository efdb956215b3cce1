//go:build !linux || race

package socket

import (
	"errors"
	"syscall"
)

// Read reads once from a socket that does not block. At the end of the stream it
// gives 0 and no error.
func Read(fd uintptr, p []byte) (int, syscall.Errno) {
	return once(syscall.Read, fd, p)
}

// Write writes once to a socket that does not block.
func Write(fd uintptr, p []byte) (int, syscall.Errno) {
	return once(syscall.Write, fd, p)
}

// writePieces writes the first of several pieces once to a socket that does not block.
func writePieces(fd uintptr, p [][]byte, _ bool) (int, syscall.Errno) { return Write(fd, p[0]) }

func once(call func(fd int, p []byte) (int, error), fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, err := call(int(fd), p)
		errno, ok := errors.AsType[syscall.Errno](err)
		switch {
		case err == nil:
			return max(n, 0), 0
		case !ok:
			return 0, syscall.EIO
		case errno != syscall.EINTR:
			return 0, errno
		}
	}
}

// Peek is Pending for a descriptor.
func Peek(fd uintptr) int {
	var one [1]byte
	n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return 0
	case err != nil || n == 0:
		return Gone
	}
	return n
}
