package stream

import (
	"context"
	"net"

	"google.golang.org/grpc/mem"

	"mesh/runtime/socket"
)

// wire is a connection between two sidecars. Its reads and writes pass Go's
// scheduler by; gRPC's reader lends it memory only when there is something to
// read.
type wire struct {
	*socket.Conn

	size int // of what is lent
	pool mem.BufferPool
	lent *[]byte

	lend func() []byte
	back func()
}

// newWire gives a connection as a wire. One without a file descriptor stays what
// it is.
func newWire(nc net.Conn) net.Conn {
	sock, err := socket.New(nc)
	if err != nil {
		return nc
	}
	w := &wire{Conn: sock}
	w.lend = func() []byte {
		w.lent = w.pool.Get(w.size)
		return *w.lent
	}
	w.back = func() {
		w.pool.Put(w.lent)
		w.lent = nil
	}
	return w
}

// ReadOnReady is for gRPC, which calls it instead of Read.
func (w *wire) ReadOnReady(size int, pool mem.BufferPool) (*[]byte, int, error) {
	w.size, w.pool = size, pool
	n, err := w.ReadLate(w.lend, w.back)
	b := w.lent
	w.lent = nil
	return b, n, err
}

func dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return newWire(nc), nil
}

// Listener gives the connections of a listener as an Inbound likes them best.
func Listener(ln net.Listener) net.Listener { return listener{ln} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newWire(nc), nil
}
