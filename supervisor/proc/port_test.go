package proc

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestPortHolder(t *testing.T) {
	var lc net.ListenConfig
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		l, err := lc.Listen(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		port := portOf(t, l)
		pid, command, ok := PortHolder(port)
		if !ok || pid != os.Getpid() || !strings.Contains(command, "proc.test") {
			t.Errorf("%s: holder is %d %q %v", addr, pid, command, ok)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		err = WaitPortFree(ctx, port)
		cancel()
		if want := fmt.Sprintf("port %d is held by pid %d", port, os.Getpid()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: waiting gives %v", addr, err)
		}
		l.Close()
		if _, _, ok := PortHolder(port); ok {
			t.Errorf("%s: a closed port has a holder", addr)
		}
		if err := WaitPortFree(t.Context(), port); err != nil {
			t.Errorf("%s: a closed port is not free: %v", addr, err)
		}
	}
}

func TestShortCommand(t *testing.T) {
	for line, want := range map[string]string{
		"":                         "",
		"[kthreadd]":               "[kthreadd]",
		"/usr/bin/node  server.js": "node server.js",
		"/usr/bin/python3 -c \nimport socket\ns = socket.socket()": "python3 -c import socket s = socket.…",
		"java -jar " + strings.Repeat("ü", 400):                    "java -jar " + strings.Repeat("ü", 13) + "…",
	} {
		if got := shortCommand(line); got != want {
			t.Errorf("%q is %q, want %q", line, got, want)
		}
	}
}

// TestPortIsFreeAfterStop starts a server on the same port again and again,
// with a client's connection open when it is stopped.
func TestPortIsFreeAfterStop(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(t, l)
	l.Close()
	for range 20 {
		c, out := begin(t, spec(fmt.Sprint("parent port ", port)), nil)
		until(t, "the server", func() bool { return len(out.all()) > 0 })
		if got := out.text(); got != "listening\n" {
			t.Fatalf("the server says %q", got)
		}
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			t.Fatal(err)
		}
		c.Stop(t.Context())
		if err := WaitPortFree(t.Context(), port); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

func portOf(t *testing.T, l net.Listener) int {
	t.Helper()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("%v is no TCP address", l.Addr())
	}
	return addr.Port
}
