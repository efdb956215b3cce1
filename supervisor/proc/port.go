package proc

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const portNap = 20 * time.Millisecond

// WaitPortFree waits until nothing listens on a TCP port, on any address. When
// ctx ends first, the error names the holder.
func WaitPortFree(ctx context.Context, port int) error {
	tick := time.NewTicker(portNap)
	defer tick.Stop()
	for {
		err := bindable(port)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return fmt.Errorf("waiting for port %d: %w", port, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if pid, command, ok := PortHolder(port); ok && pid > 0 {
				return fmt.Errorf("port %d is held by pid %d (%s): %w", port, pid, command, context.Cause(ctx))
			}
			return fmt.Errorf("port %d is not free: %w", port, context.Cause(ctx))
		}
	}
}

// PortFree says why a server could not listen on a TCP port now, on any address:
// EADDRINUSE when somebody does, anything else when it is for another reason.
func PortFree(port int) error {
	if err := bindable(port); err != nil {
		return fmt.Errorf("listening on port %d: %w", port, err)
	}
	return nil
}

// bindable says whether a server could listen on the port. It binds without
// listening, so that nobody can connect to us by mistake. With SO_REUSEADDR,
// as servers set it, connections that are still closing do not count.
func bindable(port int) error {
	err := bind(unix.AF_INET6, &unix.SockaddrInet6{Port: port})
	if err == nil || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
		err = bind(unix.AF_INET, &unix.SockaddrInet4{Port: port})
	}
	return err
}

func bind(family int, at unix.Sockaddr) error {
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	unix.CloseOnExec(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	return unix.Bind(fd, at)
}

// shortCommand writes a command line for a message: one line, the program without
// its folder, and as many of its arguments as leave it a remark and no paragraph.
func shortCommand(line string) string {
	const most = 39
	words := strings.Fields(line)
	if len(words) == 0 {
		return ""
	}
	words[0] = path.Base(words[0])
	short := strings.Join(words, " ")
	if len(short) <= most {
		return short
	}
	return strings.ToValidUTF8(short[:most-len("…")], "") + "…"
}
