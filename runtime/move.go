package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// movable is a TCP listener whose addresses, all of one port, can be exchanged
// while it is accepted from. A new one listens before an old one ends.
type movable struct {
	funnel
	port int

	mu     sync.Mutex // of what follows
	at     map[string]*net.TCPListener
	closed bool
}

var _ net.Listener = (*movable)(nil)

func newMovable(ln *net.TCPListener) *movable {
	m := &movable{funnel: newFunnel(), at: map[string]*net.TCPListener{}}
	host := ""
	if addr, ok := ln.Addr().(*net.TCPAddr); ok {
		m.port = addr.Port
		if !addr.IP.IsUnspecified() {
			host = addr.IP.String()
		}
	}
	m.add(host, ln)
	return m
}

func (m *movable) add(host string, ln *net.TCPListener) {
	m.at[host] = ln
	go m.from(ln) // ends when ln is closed
}

// Addr implements net.Listener.
func (m *movable) Addr() net.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := &net.TCPAddr{Port: m.port, IP: net.IPv6unspecified}
	for host := range m.at {
		if host == "" {
			return &net.TCPAddr{Port: m.port, IP: net.IPv6unspecified}
		}
		a.IP = net.ParseIP(host)
	}
	return a
}

// Close implements net.Listener.
func (m *movable) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	close(m.over)
	var errs []error
	for _, ln := range m.at {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}

// move listens on host and nowhere else; "" stands for all addresses.
// Connections stay. On error nothing has changed.
func (m *movable) move(host string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return net.ErrClosed
	}
	if m.at[host] == nil {
		ln, err := m.beside(host)
		if err != nil {
			return err
		}
		m.add(host, ln)
	}
	if host == "" {
		return nil // those that are there already are among all
	}
	var errs []error
	for other, ln := range m.at {
		if other != host {
			delete(m.at, other)
			errs = append(errs, ln.Close())
		}
	}
	return errors.Join(errs...)
}

// beside listens on host by the port of the other listeners. For that the port is
// shared for a moment: by sockets of one user only, and only if all of them let it.
func (m *movable) beside(host string) (*net.TCPListener, error) {
	var errs []error
	for _, ln := range m.at {
		errs = append(errs, shared(ln, true))
		defer func() { _ = shared(ln, false) }() // as it was before
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return share(c, true) }}
	ln, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort(host, strconv.Itoa(m.port)))
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the address
	}
	fresh, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("it is a %T", ln), ln.Close())
	}
	if err := shared(fresh, false); err != nil {
		return nil, errors.Join(err, fresh.Close())
	}
	return fresh, nil
}

func shared(ln *net.TCPListener, on bool) error {
	c, err := ln.SyscallConn()
	if err != nil {
		return fmt.Errorf("reaching the socket: %w", err)
	}
	return share(c, on)
}

// share lets sockets that are also shared have the same port.
func share(c syscall.RawConn, on bool) error {
	value := 0
	if on {
		value = 1
	}
	var failed error
	err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, value) })
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("sharing the port: %w", err)
	}
	return nil
}

// ListenForPeers has other sidecars reach this one at another address of this
// host, or with "" at all of them, by the same port. Calls under way go on, and so
// do connections. On error nothing has changed.
func (s *Sidecar) ListenForPeers(host string) error {
	m, ok := s.ln.Internal.(*movable)
	if !ok {
		return &PortError{What: "internal gRPC", Addr: s.o.Internal, Err: errors.New("several addresses cannot be moved")}
	}
	if err := m.move(host); err != nil {
		return &PortError{What: "internal gRPC", Addr: net.JoinHostPort(host, strconv.Itoa(s.ports.Internal)), Err: err}
	}
	return nil
}
