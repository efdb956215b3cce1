package runtime

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
)

// A listener that goes from the loopback address to all of them and back refuses
// nobody meanwhile, keeps its connections, and is then only where it is to be.
func TestListenerMoves(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, _ := ln.(*net.TCPListener)
	m := newMovable(tcp)
	addr := m.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := m.Accept()
			if err != nil {
				ended <- err
				return
			}
			go func() { // ends with the connection
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	echoes := func(c net.Conn) error {
		got := make([]byte, 1)
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(c, got)
		return err
	}
	early, err := net.Dial("tcp", addr)
	if err != nil || echoes(early) != nil {
		t.Fatal(err)
	}
	defer early.Close()

	var refused, calls atomic.Int32
	over, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		for {
			select {
			case <-over:
				return
			default:
			}
			c, err := net.Dial("tcp", addr)
			if err != nil {
				refused.Add(1)
				continue
			}
			calls.Add(1)
			_ = c.Close()
		}
	}()
	const elsewhere = "127.0.0.2" // another address of this host
	for range 20 {
		if err := m.move(""); err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", net.JoinHostPort(elsewhere, port))
		if err != nil || echoes(c) != nil {
			t.Fatalf("on all addresses: %v", err)
		}
		_ = c.Close()
		if err := m.move("127.0.0.1"); err != nil {
			t.Fatal(err)
		}
		if c, err := net.Dial("tcp", net.JoinHostPort(elsewhere, port)); err == nil {
			_ = c.Close()
			t.Fatal("on the loopback address alone, others are answered")
		}
	}
	close(over)
	<-left
	if refused.Load() > 0 || calls.Load() == 0 {
		t.Errorf("%d calls were taken and %d refused", calls.Load(), refused.Load())
	}
	if err := echoes(early); err != nil {
		t.Errorf("the connection that was there before: %v", err)
	}

	// Nobody shares the port afterwards, and one that is held cannot be moved to.
	if other, err := net.Listen("tcp", addr); err == nil {
		_ = other.Close()
		t.Error("somebody else can have the port, too")
	}
	n, _ := strconv.Atoi(port)
	held, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(elsewhere), Port: n})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.move(""); err == nil {
		t.Error("it moves to a port that is held elsewhere")
	}
	_ = held.Close()
	if c, err := net.Dial("tcp", addr); err != nil || echoes(c) != nil {
		t.Errorf("after a move that failed: %v", err)
	} else {
		_ = c.Close()
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("it ends with %v", err)
	}
}
