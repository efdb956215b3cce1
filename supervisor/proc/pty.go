package proc

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// ErrNoTerminal says that a child was started without Spec.PTY.
var ErrNoTerminal = errors.New("it has no terminal")

// Size of a terminal that nobody looks at yet.
const columns, rows = 120, 40

// openTerminal gives both sides of a new terminal.
func openTerminal() (ours, theirs *os.File, err error) {
	master, theirs, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer master.Close()
	if err := pty.Setsize(theirs, &pty.Winsize{Cols: columns, Rows: rows}); err != nil {
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

// Input writes to the child's terminal as if it were typed; without one every
// write gives ErrNoTerminal.
func (c *Child) Input() io.Writer {
	if c.terminal == nil {
		return noTerminal{}
	}
	return c.terminal
}

type noTerminal struct{}

func (noTerminal) Write([]byte) (int, error) { return 0, ErrNoTerminal }

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
