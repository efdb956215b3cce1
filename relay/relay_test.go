package relay

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// relayTo runs a relay and gives its address.
func relayTo(t *testing.T, to string) string {
	t.Helper()
	r, err := New(Options{Routes: []Route{{"127.0.0.1:0", to}}, Wait: 10 * time.Second, Grace: time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r.Addrs()[0].String()
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	tcp, _ := c.(*net.TCPConn)
	return tcp
}

// Both directions flow at once, and each ends by itself.
func TestRelayStreamsBothWays(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	go func() { // ends with the connection
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Write([]byte("hello"))
		n, _ := io.Copy(c, c)
		_, _ = c.Write([]byte(strings.Repeat("!", int(n%7))))
	}()
	c := dial(t, relayTo(t, ln.Addr().String()))
	first := make([]byte, 5)
	if _, err := io.ReadFull(c, first); err != nil || string(first) != "hello" {
		t.Fatalf("what comes unasked for is %q, %v", first, err)
	}
	for _, piece := range []string{"one", "two"} { // each is back before the next is sent
		if _, err := c.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(piece))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != piece {
			t.Fatalf("%q came back as %q, %v", piece, got, err)
		}
	}
	big := bytes.Repeat([]byte("x"), 20<<20)
	go func() { // the read below waits for it
		_, _ = c.Write(big)
		_ = c.CloseWrite()
	}()
	rest, err := io.ReadAll(c)
	want := len(big) + (len(big)+6)%7
	if err != nil || len(rest) != want {
		t.Errorf("%d bytes came back, %v; want %d", len(rest), err, want)
	}
}

// A sidecar that restarts is waited for.
func TestRelayWaitsForTheOtherSide(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	addr := ln.Addr().String()
	ln.Close()
	c := dial(t, relayTo(t, addr))
	if _, err := c.Write([]byte("early")); err != nil {
		t.Fatal(err)
	}
	ln = listen(t, addr)
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	_ = far.SetDeadline(time.Now().Add(20 * time.Second))
	got := make([]byte, 5)
	if _, err := io.ReadFull(far, got); err != nil || string(got) != "early" {
		t.Errorf("the other side got %q, %v", got, err)
	}
}

func TestRelayTakesAllAddressesOrNone(t *testing.T) {
	taken := listen(t, "127.0.0.1:0")
	free := listen(t, "127.0.0.1:0").Addr().String()
	if _, err := New(Options{Routes: []Route{{"127.0.0.1:0", free}, {taken.Addr().String(), free}}}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("an address that is taken: %v", err)
	}
}
