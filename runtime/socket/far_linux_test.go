package socket

import (
	"net"
	"testing"
	"time"
)

// TestFarEnd tells half of an end from a whole one, over both families.
func TestFarEnd(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		ln, err := net.Listen("tcp", at)
		if err != nil {
			t.Logf("%s cannot be tried: %v", at, err)
			continue
		}
		to := ln.Addr().(*net.TCPAddr) //nolint:errcheck // what a TCP listener has
		host := to.IP.String()
		if to.IP.IsUnspecified() { // a connection of the old family at a socket of the new
			host = "127.0.0.1"
		}
		theirs, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(host), Port: to.Port})
		if err != nil {
			t.Fatal(err)
		}
		ours, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(ours)
		if err != nil {
			t.Fatal(err)
		}
		await := func(want FarEnd) {
			t.Helper()
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			got := c.FarEnd()
			for end := time.Now().Add(10 * time.Second); got != want && time.Now().Before(end); <-tick.C {
				got = c.FarEnd()
			}
			if got != want {
				t.Errorf("%s: it is %d, want %d", at, got, want)
			}
		}
		_ = theirs.CloseWrite()
		if c.FarEnd() == FarUnknown { // where the kernel is not to be asked
			t.Logf("%s: nothing is known of the far end", at)
		} else {
			await(FarOpen)
			_ = theirs.Close()
			await(FarClosed)
		}
		_ = theirs.Close()
		_ = c.Close()
		_ = ln.Close()
	}
}
