package http1

import (
	"errors"
	"syscall"
)

// outOfFiles says that no connection can be accepted for now.
func outOfFiles(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
