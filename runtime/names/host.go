package names

import (
	"net"
	"net/netip"
)

// Outbound gives the address from which this host reaches others, the loopback
// address when it has no way out.
func Outbound() netip.Addr {
	// Nothing is sent: the kernel only chooses a way out.
	c, err := net.Dial("udp", "192.0.2.1:9") //nolint:noctx // does not block
	if err != nil {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	defer c.Close()
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}
