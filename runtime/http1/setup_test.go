package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// wait is how long a test waits for what must happen.
const wait = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type running struct {
	addr  string
	stop  context.CancelFunc
	ended chan error
}

// start serves a handler and stops after the test.
func start(t *testing.T, o Options) *running {
	t.Helper()
	if o.MaxHeader == nil {
		o.MaxHeader = func() int { return 1 << 20 }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &running{addr: ln.Addr().String(), ended: make(chan error, 1)}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r.stop = stop
	go func() {
		r.ended <- New(o).Serve(ctx, ln)
		close(r.ended)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-r.ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	return r
}

func serve(t *testing.T, h http.HandlerFunc) *running {
	t.Helper()
	return start(t, Options{Handler: h, Grace: wait})
}

// client is a connection, byte for byte.
type client struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func (r *running) dial(t *testing.T) *client {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.addr)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(wait))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{Conn: c, r: bufio.NewReader(c), t: t}
}

func (c *client) tcp() *net.TCPConn {
	c.t.Helper()
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok {
		c.t.Fatalf("the connection is a %T", c.Conn)
	}
	return tcp
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.Conn, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// reply reads one reply, whole; what is wrong with it fails the test.
func (c *client) reply(method string) (*http.Response, string) {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading a reply: %v", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("reading a reply's body: %q, %v", b, err)
	}
	return res, string(b)
}

// rest reads up to the end of the connection.
func (c *client) rest() string {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatalf("%q, then %v", b, err)
	}
	return string(b)
}

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
	}
	var trailer []string
	for key, values := range r.Trailer {
		trailer = append(trailer, key+"="+strings.Join(values, "|"))
	}
	fmt.Fprintf(w, "%s %s host=%s %q %s", r.Method, r.URL, r.Host, b, strings.Join(trailer, ","))
	if err != nil && !errors.Is(err, errStopped) {
		fmt.Fprintf(w, " %v", err)
	}
}
