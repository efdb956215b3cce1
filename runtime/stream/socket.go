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
	begun

	sock *socket.Conn
	size int // of what is lent
	pool mem.BufferPool
	lent *[]byte

	lend func() []byte
	back func()
}

// Wire gives a connection between sidecars, of which something has been read
// already, as gRPC likes it best.
func Wire(nc net.Conn, first []byte) net.Conn {
	sock, err := socket.New(nc)
	if err != nil { // without a file descriptor
		return &begun{nc, first}
	}
	w := &wire{begun: begun{sock, first}, sock: sock}
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
	if len(w.first) > 0 {
		b := pool.Get(size)
		n, err := w.Read(*b)
		return b, n, err
	}
	n, err := w.sock.ReadLate(w.lend, w.back)
	b := w.lent
	w.lent = nil
	return b, n, err
}

// begun is a connection of which something has been read.
type begun struct {
	net.Conn
	first []byte
}

// Read implements io.Reader.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

func dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}
