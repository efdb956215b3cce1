package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// ErrNoTerminal says that a child was started without Spec.PTY.
var ErrNoTerminal = errors.New("it has no terminal")

// Size of a terminal that nobody looks at yet.
const defaultCols, defaultRows = 120, 40

// openTerminal gives both sides of a new terminal.
func openTerminal(cols, rows uint16) (ours, theirs *os.File, err error) {
	if cols == 0 || rows == 0 {
		cols, rows = defaultCols, defaultRows
	}
	master, theirs, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer master.Close()
	if err := pty.Setsize(theirs, &pty.Winsize{Cols: cols, Rows: rows}); err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("setting its size: %w", err)
	}
	// A descriptor that has been used for ioctl blocks in read and knows no
	// deadlines. A copy of it in non-blocking mode does.
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		if err = unix.SetNonblock(fd, true); err == nil {
			return os.NewFile(uintptr(fd), "terminal"), theirs, nil
		}
		unix.Close(fd)
	}
	theirs.Close()
	return nil, nil, err
}

// Type writes to the child's terminal as if it were typed; without one it gives
// ErrNoTerminal. It blocks while the child reads nothing and its terminal can
// hold no more, at most until ctx ends, and then gives its cause. Only one call
// at a time is allowed.
func (c *Child) Type(ctx context.Context, p []byte) error {
	if c.terminal == nil {
		return ErrNoTerminal
	}
	if err := c.terminal.SetWriteDeadline(time.Time{}); err != nil {
		return fmt.Errorf("typing: %w", err)
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_ = c.terminal.SetWriteDeadline(time.Now()) // of a terminal that is closed, writing fails anyway
	})
	_, err := c.terminal.Write(p)
	if !stop() {
		<-woken // it must not end the next call
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("typing: %w", err)
}

// Resize tells the child the size of its terminal.
func (c *Child) Resize(cols, rows uint16) error {
	if c.terminal == nil {
		return ErrNoTerminal
	}
	raw, err := c.terminal.SyscallConn()
	if err != nil {
		return fmt.Errorf("resizing the terminal: %w", err)
	}
	var fault error
	err = raw.Control(func(fd uintptr) {
		fault = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows})
	})
	if err := errors.Join(err, fault); err != nil {
		return fmt.Errorf("resizing the terminal: %w", err)
	}
	return nil
}
