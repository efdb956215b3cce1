package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

// Ports are the TCP ports that a sidecar listens on; 0: none.
type Ports struct {
	HTTP, GRPC, Internal, Metrics, Public int
}

// PortError says that a port cannot be listened on.
type PortError struct {
	What string // "HTTP", "gRPC", "internal gRPC", "metrics" or "public"
	Addr string // host:port
	Err  error
}

func (e *PortError) Error() string {
	return fmt.Sprintf("listening on %s for the %s API of the sidecar: %v", e.Addr, e.What, e.Err)
}

// Unwrap gives why.
func (e *PortError) Unwrap() error { return e.Err }

// listeners are those of a sidecar; Metrics and Public may be nil.
type listeners struct {
	HTTP, GRPC, Internal, Metrics, Public net.Listener
}

func (l *listeners) close() {
	for _, ln := range []net.Listener{l.HTTP, l.GRPC, l.Internal, l.Metrics, l.Public} {
		if ln != nil {
			_ = ln.Close()
		}
	}
}

// listen binds all ports or none.
func (s *Sidecar) listen() error {
	for _, l := range []struct {
		what, addr string
		ln         *net.Listener
		port       *int
	}{
		{"HTTP", s.o.HTTP, &s.ln.HTTP, &s.ports.HTTP},
		{"gRPC", s.o.GRPC, &s.ln.GRPC, &s.ports.GRPC},
		{"internal gRPC", s.o.Internal, &s.ln.Internal, &s.ports.Internal},
		{"metrics", s.o.MetricsAddr, &s.ln.Metrics, &s.ports.Metrics},
		{"public", s.o.PublicAddr, &s.ln.Public, &s.ports.Public},
	} {
		if l.addr == "" && (l.ln == &s.ln.Metrics || l.ln == &s.ln.Public) {
			continue
		}
		ln, err := listenAll(l.addr)
		if err != nil {
			s.Close()
			return &PortError{What: l.what, Addr: l.addr, Err: err}
		}
		*l.ln = ln
		if addr, ok := ln.Addr().(*net.TCPAddr); ok {
			*l.port = addr.Port
		}
	}
	if ln, ok := s.ln.Internal.(*net.TCPListener); ok {
		s.ln.Internal = newMovable(ln)
	}
	addr, ok := s.ln.Internal.Addr().(*net.TCPAddr)
	if !ok {
		s.Close()
		return &PortError{What: "internal gRPC", Addr: s.o.Internal, Err: errors.New("it must be a TCP address")}
	}
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	s.wire = net.JoinHostPort(host, strconv.Itoa(addr.Port))
	return nil
}

// listenAll listens on host:port, on several of them separated by commas, or on
// unix:/path.
func listenAll(addrs string) (net.Listener, error) {
	var lc net.ListenConfig
	var all []net.Listener
	for addr := range strings.SplitSeq(addrs, ",") {
		network := "tcp"
		if path, ok := strings.CutPrefix(addr, "unix:"); ok {
			network, addr = "unix", path
			// What a sidecar that was killed has left behind is in the way.
			if c, err := net.Dial("unix", path); err == nil { //nolint:noctx // a socket of this host answers at once
				_ = c.Close()
				return nil, errors.Join(errors.New("somebody else listens there"), closeAll(all))
			} else if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
				_ = os.Remove(path)
			}
		}
		ln, err := lc.Listen(context.Background(), network, addr)
		if err != nil {
			return nil, errors.Join(err, closeAll(all))
		}
		all = append(all, ln)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return merge(all), nil
}

func closeAll(all []net.Listener) error {
	var errs []error
	for _, ln := range all {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}

// merged is several listeners as one, whose address is that of the first.
type merged struct {
	funnel
	all   []net.Listener
	close func() error
}

// funnel hands the connections of several listeners to whoever accepts. Whoever
// embeds it closes over, and then the listeners.
type funnel struct {
	conns chan accepted
	over  chan struct{}
}

type accepted struct {
	conn net.Conn
	err  error
}

func newFunnel() funnel { return funnel{conns: make(chan accepted), over: make(chan struct{})} }

// from takes connections of a listener until it is closed.
func (f *funnel) from(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) { // it is no longer wanted
			return
		}
		if !f.give(c, err) {
			return
		}
	}
}

// give hands a connection, or an error, to whoever accepts; false: nobody does any
// more, and the connection is closed.
func (f *funnel) give(c net.Conn, err error) bool {
	select {
	case f.conns <- accepted{c, err}:
		return true
	case <-f.over:
		if c != nil {
			_ = c.Close()
		}
		return false
	}
}

// Accept implements net.Listener.
func (f *funnel) Accept() (net.Conn, error) {
	select {
	case a := <-f.conns:
		return a.conn, a.err
	case <-f.over:
		return nil, net.ErrClosed
	}
}

func merge(all []net.Listener) *merged {
	m := &merged{funnel: newFunnel(), all: all}
	m.close = sync.OnceValue(func() error {
		close(m.over)
		return closeAll(m.all)
	})
	for _, ln := range all {
		go m.from(ln) // ends when ln is closed
	}
	return m
}

// Addr implements net.Listener.
func (m *merged) Addr() net.Addr { return m.all[0].Addr() }

// Close implements net.Listener.
func (m *merged) Close() error { return m.close() }
