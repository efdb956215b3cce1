package mdnsresolve

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// listenGroup opens a socket that hears what is sent to the group and shares
// the port with every other responder of the host. It is bound to the group's
// address, since one bound to all addresses would take answers that are meant
// for another program alone.
func listenGroup() (*net.UDPConn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "mdns")
	defer f.Close()
	options := []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0}, // only the interfaces that we join, not those that anybody joins
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return nil, fmt.Errorf("setting a socket option: %w", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: mdnsPort, Addr: groupAddr().As4()}); err != nil {
		return nil, fmt.Errorf("binding %v: %w", group(), err)
	}
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("using a socket: %w", err)
	}
	udp, ok := c.(*net.UDPConn)
	if !ok {
		return nil, fmt.Errorf("using a socket: it is a %T", c)
	}
	return udp, nil
}
