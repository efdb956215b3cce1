package http1

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// isPreface says whether a head is the beginning of HTTP/2.
func isPreface(head []byte) bool { return bytes.HasPrefix(head, []byte("PRI * HTTP/2.0\r\n\r\n")) }

// handover gives connections that speak HTTP/2 to net/http.
type handover struct {
	srv   *http.Server
	addr  net.Addr
	conns chan net.Conn
	stop  sync.Once
	done  chan struct{} // closed when no more is taken
	ended sync.WaitGroup
}

func newHandover(calls context.Context, o Options, addr net.Addr) *handover {
	h := &handover{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
	h.srv = &http.Server{
		Handler:           bounded(o),
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHTTP2Header,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return calls },
		Protocols:         new(http.Protocols),
		// Streams of one connection are as many as apps like to have.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1 << 20},
	}
	h.srv.Protocols.SetUnencryptedHTTP2(true)
	h.ended.Go(func() { _ = h.srv.Serve(h) }) // it ends when done is closed
	return h
}

// maxHTTP2Header is what net/http reads of the headers of a request; what is
// beyond the limit of the moment is refused below.
const maxHTTP2Header = 16 << 20

// bounded answers 431 to requests whose headers are too large.
func bounded(o Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := len(r.Method) + len(r.RequestURI) + len(r.Host)
		for key, values := range r.Header {
			for _, v := range values {
				size += len(key) + len(v) + len(": \r\n")
			}
		}
		if limit := o.MaxHeader(); size > limit {
			const status = http.StatusRequestHeaderFieldsTooLarge
			http.Error(w, fmt.Sprintf("%d %s: %s", status, http.StatusText(status), o.tooLarge(limit)), status)
			return
		}
		o.Handler.ServeHTTP(w, r)
	})
}

// take serves the connection until it is closed.
func (h *handover) take(c *conn) {
	over := make(chan struct{})
	nc := &replayed{Conn: c.nc.Conn, first: bytes.Clone(c.buf[c.r:c.w]), over: sync.OnceFunc(func() { close(over) })}
	c.release()
	select {
	case h.conns <- nc:
		<-over
	case <-h.done:
	}
}

// shutdown waits for the connections to end, also when ctx, with which their
// calls end, does.
func (h *handover) shutdown(ctx context.Context) {
	if h.srv.Shutdown(ctx) != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		_ = h.srv.Shutdown(ctx) // an error means that close follows
	}
	h.ended.Wait()
}

func (h *handover) close() { h.srv.Close() }

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.stop.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.addr }

// replayed is a connection of which something has been read already.
type replayed struct {
	net.Conn

	first []byte
	over  func() // tells that it is closed
}

// Read implements net.Conn.
func (c *replayed) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// Close implements net.Conn.
func (c *replayed) Close() error {
	defer c.over()
	return c.Conn.Close()
}
