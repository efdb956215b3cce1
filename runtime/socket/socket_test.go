package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// pair gives both ends of a TCP connection.
func pair(t *testing.T) (*Conn, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ours, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	c, err := New(ours)
	if err != nil {
		t.Fatal(err)
	}
	return c, theirs.(*net.TCPConn) //nolint:errcheck // what a TCP listener gives
}

func TestReadAndWrite(t *testing.T) {
	for _, size := range []int{1, 4 << 10, 8 << 20} { // the last one fills every buffer of the kernel
		c, theirs := pair(t)
		sent := bytes.Repeat([]byte("mesh"), size/4+1)[:size]
		go func() { // echoes until the end
			_, _ = io.Copy(theirs, theirs)
			_ = theirs.CloseWrite()
		}()
		wrote := make(chan error, 1)
		go func() {
			n, err := c.Write(sent)
			if err == nil && n != size {
				err = io.ErrShortWrite
			}
			wrote <- errors.Join(err, c.Conn.(*net.TCPConn).CloseWrite()) //nolint:errcheck // see pair
		}()
		got, err := io.ReadAll(c)
		if err := errors.Join(err, <-wrote); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d of %d bytes came back, %v", len(got), size, err)
		}
	}
}

func TestErrorsAreThoseOfNet(t *testing.T) {
	c, theirs := pair(t)
	_ = c.SetReadDeadline(time.Unix(1, 0))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading after the deadline gives %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})

	// Closing with something unread resets the connection.
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	_, err := c.Read(make([]byte, 1))
	if op, ok := errors.AsType[*net.OpError](err); !errors.Is(err, syscall.ECONNRESET) || !ok || op.Op != "read" {
		t.Errorf("reading from a connection that was reset gives %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing to a connection that was reset gives %v", err)
	}

	_ = c.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading from what we closed gives %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writing to what we closed gives %v", err)
	}
}

func TestCloseFreesAReadThatWaits(t *testing.T) {
	c, _ := pair(t)
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	_ = c.Close()
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the read ended with %v", err)
	}
}

func TestPending(t *testing.T) {
	c, theirs := pair(t)
	if n := c.Pending(); n != 0 {
		t.Errorf("%d before anything was sent", n)
	}
	if _, err := theirs.Write([]byte("xy")); err != nil {
		t.Fatal(err)
	}
	_ = theirs.CloseWrite()
	await := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); c.Pending() != want; {
			if time.Now().After(deadline) {
				t.Fatalf("%d instead of %d", c.Pending(), want)
			}
		}
	}
	await(1)
	if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	await(Gone)
	_ = c.Close()
	if n := c.Pending(); n != Gone {
		t.Errorf("%d after closing", n)
	}
}

func TestWithoutAFile(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := New(a); err == nil {
		t.Error("a pipe in memory is taken for a socket")
	}
}
