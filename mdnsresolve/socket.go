package mdnsresolve

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	mdnsPort = 5353
	// receiveBuffer holds the answers to a few hundred questions asked at once.
	receiveBuffer = 1 << 20
	retryRead     = 100 * time.Millisecond // after an error that is not the end
)

func groupAddr() netip.Addr { return netip.AddrFrom4([4]byte{224, 0, 0, 251}) }
func group() netip.AddrPort { return netip.AddrPortFrom(groupAddr(), mdnsPort) }

// packet is one datagram as it arrived. Its bytes are good until the next.
type packet struct {
	data    []byte
	from    netip.AddrPort
	index   int  // of the interface
	oneShot bool // sent to us alone, in answer to ask
}

// outlet is the way out to other responders, and in from them. A test may put
// its own in place of the sockets.
type outlet interface {
	// use makes n's links those to hear.
	use(n *network)
	// send sends to the group, or, if to is valid, to one asker.
	send(l link, to netip.AddrPort, data []byte) error
	// ask sends to the group from a port of our own, so that answers to one
	// asker reach us and not another program that shares the port.
	ask(l link, data []byte) error
	// listen hands over what arrives until close, one packet at a time per socket.
	listen(take func(packet)) (closeAll func() error)
}

// sockets is the outlet to the network: one socket for all interfaces that
// shares the port 5353 and one with a port of its own.
type sockets struct {
	log    *slog.Logger
	shared *socket
	own    *socket

	mu     sync.Mutex   // held while sending: what is joined and the TTL are the socket's, not the packet's
	joined map[int]bool // by interface
}

type socket struct {
	conn *net.UDPConn
	opts *ipv4.PacketConn
	ttl  int
}

var _ outlet = (*sockets)(nil)

func openSockets(log *slog.Logger) (*sockets, error) {
	shared, err := listenGroup()
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listening for mDNS: UDP port %d is held by a program that does not share it; stop that program (on Linux, ss -ulpn names it): %w", mdnsPort, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listening for mDNS on UDP port %d: %w", mdnsPort, err)
	}
	own, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening a UDP port for mDNS questions: %w", err), shared.Close())
	}
	s := &sockets{log: log, shared: newSocket(shared), own: newSocket(own), joined: map[int]bool{}}
	if err := errors.Join(s.shared.prepare(), s.own.prepare()); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing a socket for mDNS: %w", err), shared.Close(), own.Close())
	}
	return s, nil
}

func newSocket(c *net.UDPConn) *socket {
	return &socket{conn: c, opts: ipv4.NewPacketConn(c), ttl: 255}
}

func (s *socket) prepare() error {
	// A smaller buffer than wished for is no reason to stop.
	_ = s.conn.SetReadBuffer(receiveBuffer)
	return errors.Join(
		s.opts.SetControlMessage(ipv4.FlagInterface, true),
		s.opts.SetMulticastLoopback(true), // other processes of this host must hear us
		s.opts.SetMulticastTTL(s.ttl),
	)
}

func (s *sockets) use(n *network) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := net.UDPAddrFromAddrPort(group())
	keep := map[int]bool{}
	for _, l := range n.links {
		keep[l.index] = true
		if s.joined[l.index] {
			continue
		}
		err := s.shared.opts.JoinGroup(&net.Interface{Index: l.index, Name: l.name}, to)
		if err != nil && !errors.Is(err, syscall.EADDRINUSE) { // in use: joined already
			s.log.Warn("mdns cannot listen on an interface, so that names there are not found",
				slog.String("interface", l.name), slog.Any("error", err))
			continue
		}
		s.joined[l.index] = true
	}
	for index := range s.joined {
		if !keep[index] {
			delete(s.joined, index)
			// The interface may be gone, and its membership with it.
			_ = s.shared.opts.LeaveGroup(&net.Interface{Index: index}, to)
		}
	}
}

func (s *sockets) send(l link, to netip.AddrPort, data []byte) error {
	if to.IsValid() {
		_, err := s.shared.conn.WriteToUDPAddrPort(data, to)
		return err
	}
	return s.multicast(s.shared, l, data)
}

func (s *sockets) ask(l link, data []byte) error { return s.multicast(s.own, l, data) }

func (s *sockets) multicast(from *socket, l link, data []byte) error {
	ttl := 255
	if l.hostOnly {
		ttl = 0
	}
	cm := ipv4.ControlMessage{IfIndex: l.index, Src: l.source.AsSlice()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.hostOnly && !s.joined[l.index] {
		return fmt.Errorf("sending on %s: this host is not in the mDNS group there, so that the packet would leave it", l.name)
	}
	if from.ttl != ttl {
		if err := from.opts.SetMulticastTTL(ttl); err != nil {
			return fmt.Errorf("setting the TTL for %s: %w", l.name, err)
		}
		from.ttl = ttl
	}
	_, _, err := from.conn.WriteMsgUDPAddrPort(data, cm.Marshal(), group())
	return err
}

func (s *sockets) listen(take func(packet)) (closeAll func() error) {
	var wg sync.WaitGroup
	closed := make(chan struct{})
	wg.Go(func() { s.shared.read(closed, false, take) })
	wg.Go(func() { s.own.read(closed, true, take) })
	return func() error {
		close(closed)
		err := errors.Join(s.shared.conn.Close(), s.own.conn.Close())
		wg.Wait()
		return err
	}
}

// read hands over packets until the socket is closed. Errors such as an
// interface that goes down are waited out.
func (s *socket) read(closed <-chan struct{}, oneShot bool, take func(packet)) {
	data := make([]byte, readSize+1)
	control := make([]byte, len(ipv4.NewControlMessage(ipv4.FlagInterface))+64)
	for {
		n, cn, _, from, err := s.conn.ReadMsgUDPAddrPort(data, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case <-closed:
				return
			case <-time.After(retryRead):
				continue
			}
		}
		var cm ipv4.ControlMessage
		if n > readSize || cm.Parse(control[:cn]) != nil {
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		take(packet{data[:n], from, cm.IfIndex, oneShot})
	}
}
