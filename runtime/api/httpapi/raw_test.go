package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// client is a connection to the sidecar, byte for byte.
type client struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func dial(t *testing.T, s sidecar) *client {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{Conn: c, r: bufio.NewReader(c), t: t}
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.Conn, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads exactly what is wanted.
func (c *client) expect(want string) {
	c.t.Helper()
	b := make([]byte, len(want))
	n, err := io.ReadFull(c.r, b)
	if string(b[:n]) != want {
		c.t.Fatalf("read %q, %v; want %q", b[:n], err, want)
	}
}

// head reads the head of a reply.
func (c *client) head() string {
	c.t.Helper()
	var s strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		s.WriteString(line)
		if err != nil {
			c.t.Fatalf("the head of the reply is %q, %v", s.String(), err)
		}
		if line == "\r\n" {
			return s.String()
		}
	}
}

// raw sends bytes and gives everything that comes back until the end.
func raw(t *testing.T, s sidecar, request string) string {
	t.Helper()
	c := dial(t, s)
	c.send("%s", request)
	b, err := io.ReadAll(c.r)
	if err != nil {
		t.Fatalf("%q, then %v", b, err)
	}
	return string(b)
}
