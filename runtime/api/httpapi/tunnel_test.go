package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"mesh/runtime/api"
	"mesh/runtime/stream"
)

const upgrade = "GET /v1.0/invoke/b/method/ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-Websocket-Key: k\r\n\r\n"

// switching is an app that agrees to any protocol and then sends back, in
// upper case, what it gets, with a goodbye at the end.
func switching(t *testing.T) http.Handler {
	t.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-Websocket-Accept: %s\r\n\r\nhello",
			r.Header.Get("Upgrade"), r.Header.Get("Sec-Websocket-Key"))
		buf := make([]byte, 100)
		for {
			n, err := rw.Read(buf)
			if err != nil {
				_, _ = io.WriteString(c, "bye")
				return
			}
			if _, err := c.Write([]byte(strings.ToUpper(string(buf[:n])))); err != nil {
				return
			}
		}
	})
}

func TestTunnel(t *testing.T) {
	s := start(t, switching(t), nil)
	defer s.rec.Watch()()
	c := dial(t, s)
	c.send("%s", upgrade+"early")
	head := c.head()
	for _, want := range []string{"HTTP/1.1 101 Switching Protocols\r\n", "Connection: Upgrade\r\n", "Upgrade: websocket\r\n", "Sec-Websocket-Accept: k\r\n"} {
		if !strings.Contains(head, want) {
			t.Errorf("the head is %q, without %q", head, want)
		}
	}
	c.expect("helloEARLY")
	for _, frame := range []string{"one", "\x00\r\n\r\n0\r\n"} {
		c.send("%s", frame)
		c.expect(strings.ToUpper(frame))
	}
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		t.Fatal("the client's side cannot be closed")
	}
	c.expect("bye")
	if b, err := io.ReadAll(c.r); len(b) > 0 || err != nil {
		t.Errorf("after the end comes %q, %v", b, err)
	}
	eventually(t, "the flow has ended", func() bool { return len(s.rec.Live(nil)) == 0 })
	if v := s.rec.Views(1)[0]; v.Status != http.StatusSwitchingProtocols || v.Err != "" {
		t.Errorf("recorded: %+v", v)
	}
}

func TestTunnelEndsWithItsClient(t *testing.T) {
	s := start(t, switching(t), nil)
	for range 20 {
		c := dial(t, s)
		c.send("%s", upgrade)
		c.head()
		c.expect("hello")
		c.Close()
	}
	eventually(t, "all tunnels have ended", func() bool { return s.app.Stats().Calls == 0 })
}

func TestAppThatDoesNotSwitch(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), nil)
	c := dial(t, s)
	c.send("%s", upgrade)
	if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 200 ") || !strings.Contains(h, "X-Saw-Upgrade: websocket\r\n") {
		t.Errorf("the head is %q", h)
	}
	c.send("GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 204 ") {
		t.Errorf("the next reply is %q", h)
	}
}

func TestNoTunnelToAnotherProcess(t *testing.T) {
	s := startAt(t, "", func(_ *Options, ao *api.Options) {
		ao.Invoke = stream.HandlerFunc(func(_ context.Context, c *stream.Call) (*stream.Reply, error) {
			if c.Upgrade != "websocket" {
				t.Errorf("the call asks for %q", c.Upgrade)
			}
			return nil, stream.ErrNoUpgrade
		})
	})
	c := dial(t, s)
	c.send("%s", upgrade)
	if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 501 ") {
		t.Errorf("the head is %q", h)
	}
}

func TestEarlyHintsPass(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "page")
	}), nil)
	c := dial(t, s)
	c.send("GET /v1.0/invoke/b/method/x HTTP/1.1\r\nHost: x\r\n\r\n")
	if h := c.head(); h != "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" {
		t.Errorf("first comes %q", h)
	}
	if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 200 ") {
		t.Errorf("then comes %q", h)
	}
}
