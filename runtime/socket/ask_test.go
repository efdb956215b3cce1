package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

// asking lends memory for the reply and counts what it is told.
type asking struct {
	b    [16]byte
	lent int
	sent int
	told func() // with the request on its way; may be nil
}

func (a *asking) Lend() []byte {
	a.lent++
	return a.b[:]
}

func (a *asking) Sent() {
	a.sent++
	if a.told != nil {
		a.told()
	}
}

func TestAsk(t *testing.T) {
	c, theirs := pair(t)
	got := make([]byte, 4)
	for range 3 {
		asked := make(chan error, 1)
		var a asking
		a.told = func() {
			if a.lent > 0 {
				t.Error("memory was lent before the request had gone")
			}
		}
		go func() {
			_, err := io.ReadFull(theirs, got)
			if err == nil {
				_, err = theirs.Write([]byte("pong!"))
			}
			asked <- err
		}()
		wrote, n, err := c.Ask([]byte("ping"), &a)
		if err := errors.Join(err, <-asked); err != nil || wrote != 4 || a.sent != 1 {
			t.Fatalf("%d bytes sent, told %d times, %v", wrote, a.sent, err)
		}
		if rest, err := io.ReadFull(c, a.b[n:5]); err != nil || string(a.b[:n+rest]) != "pong!" || string(got) != "ping" {
			t.Fatalf("%q was asked, %q answered, %v", got, a.b[:n+rest], err)
		}
	}
}

func TestAskLooksFirst(t *testing.T) {
	for name, before := range map[string]func(*net.TCPConn) error{
		"bytes nobody asked for": func(c *net.TCPConn) error { _, err := c.Write([]byte("bye")); return err },
		"the end":                (*net.TCPConn).CloseWrite,
		"a reset":                func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
	} {
		c, theirs := pair(t)
		if err := before(theirs); err != nil {
			t.Fatal(err)
		}
		if err := c.Raw.Read(func(fd uintptr) bool { return Peek(fd) != 0 }); err != nil { // it has come
			t.Fatal(err)
		}
		var a asking
		if wrote, n, err := c.Ask([]byte("ping"), &a); !errors.Is(err, ErrPending) || wrote+n+a.sent != 0 {
			t.Errorf("%s: %d bytes sent, %d read, %v", name, wrote, n, err)
		}
	}
}

func TestAskWithoutRoom(t *testing.T) {
	c, theirs := pair(t)
	sent := bytes.Repeat([]byte("mesh"), 2<<20) // more than the buffers of the kernel hold
	var a asking
	wrote, n, err := c.Ask(sent, &a)
	if err != nil || wrote == 0 || wrote == len(sent) || n != 0 || a.sent != 0 {
		t.Fatalf("%d bytes sent, %d read, told %d times, %v", wrote, n, a.sent, err)
	}
	rest := make(chan error, 1)
	go func() {
		_, err := c.Write(sent[wrote:])
		rest <- err
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(theirs, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("the request is not what was sent, %v", err)
	}
	if err := <-rest; err != nil {
		t.Error(err)
	}
}

func TestAskThatBreaks(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(ours *Conn, theirs *net.TCPConn) error
		want error
	}{
		"closed by us": {func(c *Conn, _ *net.TCPConn) error { return c.Close() }, net.ErrClosed},
		"the end":      {func(_ *Conn, c *net.TCPConn) error { return c.CloseWrite() }, io.EOF},
		"a reset":      {func(_ *Conn, c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) }, syscall.ECONNRESET},
	} {
		c, theirs := pair(t)
		var a asking
		broken := make(chan error, 1)
		a.told = func() { // nobody may wait here for what waits for Ask
			go func() { broken <- tc.end(c, theirs) }()
		}
		wrote, n, err := c.Ask([]byte("ping"), &a)
		if !errors.Is(err, tc.want) || wrote != 4 || n != 0 || a.sent != 1 {
			t.Errorf("%s: %d bytes sent, %d read, told %d times, %v", name, wrote, n, a.sent, err)
		}
		if err := <-broken; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Write([]byte("x")); name == "closed by us" && !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: writing gives %v", name, err)
		}
	}
}
