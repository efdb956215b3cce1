//go:build unix && !linux

package mdnsresolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenGroup opens a socket that hears what is sent to the group and shares
// the port with every other responder of the host.
func listenGroup() (*net.UDPConn, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var addr, port error
		err := c.Control(func(fd uintptr) {
			addr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			port = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, addr, port)
	}}
	c, err := config.ListenPacket(context.Background(), "udp4", group().String())
	if err != nil {
		return nil, err
	}
	udp, ok := c.(*net.UDPConn)
	if !ok {
		return nil, fmt.Errorf("using a socket: it is a %T", c)
	}
	return udp, nil
}
