package mdnsresolve

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// The values of Options.Interface that are no interface's name.
const (
	loopback = "loopback"
	all      = "all"
)

// link is an interface on which names are told and heard.
type link struct {
	index    int
	name     string
	loopback bool
	hostOnly bool           // nothing may leave the host: packets are sent with a TTL of 0
	source   netip.Addr     // IPv4; packets are sent from it
	publish  netip.Addr     // the address of services that do not name one
	nets     []netip.Prefix // neighbours on this link
}

func (l link) same(m link) bool {
	return l.index == m.index && l.hostOnly == m.hostOnly && l.source == m.source && l.publish == m.publish && slices.Equal(l.nets, m.nets)
}

// network is the links in use and the addresses of this host. It does not change.
type network struct {
	links []link
	local map[netip.Addr]bool
}

func (n *network) link(index int) (link, bool) {
	for _, l := range n.links {
		if l.index == index {
			return l, true
		}
	}
	return link{}, false
}

func (n *network) isLocal(a netip.Addr) bool { return a.IsLoopback() || n.local[a] }

// place tells on which link a packet counts as heard, and whether this host
// has sent it. Not ok: it comes from somewhere we do not listen to.
func (n *network) place(index int, from netip.Addr) (l link, local, ok bool) {
	local = n.isLocal(from)
	l, ok = n.link(index)
	if !ok && local {
		// What this host sends to its own address arrives on the loopback
		// interface, whichever link it is about.
		for _, l := range n.links {
			if l.source == from {
				return l, true, true
			}
		}
		return link{}, true, false
	}
	if !ok || local {
		return l, local, ok
	}
	near := slices.ContainsFunc(l.nets, func(p netip.Prefix) bool { return p.Contains(from) })
	return l, false, near && !l.loopback && !l.hostOnly
}

// survey is scan, and an error where a user must have meant another mode.
func survey(mode string) (*network, error) {
	n, err := scan(mode)
	if err != nil {
		return nil, err
	}
	return n, n.check(mode)
}

// scan looks at the host's interfaces; mode is as in Options.Interface.
func scan(mode string) (*network, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing the network interfaces: %w", err)
	}
	shared := sharedLinks(mode)
	n := &network{local: map[netip.Addr]bool{}}
	for _, ifi := range interfaces {
		if ifi.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // it has just gone
		}
		l := newLink(ifi, addrs, n.local)
		if !l.source.IsValid() {
			continue
		}
		multicast := l.loopback || ifi.Flags&net.FlagMulticast != 0
		switch {
		case mode == loopback && l.loopback, mode == all && multicast, mode == ifi.Name:
			n.links = append(n.links, l)
		case mode == loopback && multicast && shared[ifi.Name]:
			l.hostOnly, l.publish = true, netip.AddrFrom4([4]byte{127, 0, 0, 1})
			n.links = append(n.links, l)
		}
	}
	return n, nil
}

func newLink(ifi net.Interface, addrs []net.Addr, local map[netip.Addr]bool) link {
	l := link{index: ifi.Index, name: ifi.Name, loopback: ifi.Flags&net.FlagLoopback != 0}
	for _, a := range addrs {
		ipnet, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(ipnet.IP)
		if !ok {
			continue
		}
		addr = addr.Unmap()
		local[addr] = true
		bits, _ := ipnet.Mask.Size()
		l.nets = append(l.nets, netip.PrefixFrom(addr, bits).Masked())
		if addr.Is4() && !l.source.IsValid() {
			l.source, l.publish = addr, addr
		}
	}
	return l
}

// check tells a user what is wrong with a mode for which there is no link.
func (n *network) check(mode string) error {
	if len(n.links) > 0 || mode == all {
		return nil
	}
	if mode == loopback {
		return errors.New("no loopback interface with an IPv4 address is up, so that no sidecar could be found by mDNS; bring it up (on Linux: ip link set lo up)")
	}
	if _, err := net.InterfaceByName(mode); err == nil {
		return nil // it may come up, or get an address, later
	}
	var names []string
	if interfaces, err := net.Interfaces(); err == nil {
		for _, ifi := range interfaces {
			names = append(names, ifi.Name)
		}
	}
	return fmt.Errorf("there is no network interface %q for mDNS (there are: %s); set the interface to %q, %q or one of them",
		mode, strings.Join(names, ", "), loopback, all)
}
