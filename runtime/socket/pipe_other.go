//go:build !linux

package socket

import (
	"errors"
	"syscall"
)

// Pipe is memory of the kernel in which bytes wait on their way from one socket to
// another. Here there is none.
type Pipe struct{}

// NewPipe fails.
func NewPipe() (*Pipe, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Pipe) Close() {}

// Len gives 0.
func (*Pipe) Len() int { return 0 }

// Fill fails.
func (*Pipe) Fill(syscall.RawConn, int) (int, error) { return 0, errors.ErrUnsupported }

// Drain fails.
func (*Pipe) Drain(syscall.RawConn, int, bool) (int, error) { return 0, errors.ErrUnsupported }

// Read fails.
func (*Pipe) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }
