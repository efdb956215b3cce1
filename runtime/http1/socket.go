package http1

import (
	"errors"
	"syscall"
)

// pending gives 0 when the other side has closed the connection and all of what
// it sent has been read, and -1 or more otherwise.
func pending(raw syscall.RawConn) int {
	got := -1
	err := raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == nil:
			got = n
		case !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR):
			got = 0 // it is broken
		}
	})
	if err != nil {
		return 0
	}
	return got
}

// outOfFiles says that no connection can be accepted for now.
func outOfFiles(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
