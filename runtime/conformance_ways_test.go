package runtime

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"mesh/runtime/appchan"
)

// speaking starts an app that speaks a protocol.
func (m *mesh) speaking(protocol string, h http.HandlerFunc) *Sidecar {
	m.t.Helper()
	srv := httptest.NewUnstartedServer(h)
	switch protocol {
	case "https":
		srv.EnableHTTP2 = true
		srv.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		srv.StartTLS()
	case "h2c":
		srv.Config.Protocols = new(http.Protocols)
		srv.Config.Protocols.SetUnencryptedHTTP2(true)
		srv.Start()
	default:
		srv.Start()
	}
	m.t.Cleanup(srv.Close)
	id := "back-" + protocol
	return m.sidecar(Options{AppID: id, App: appchan.Options{Addr: srv.Listener.Addr().String(), Protocol: protocol, MaxHeld: 100, Hold: patience}})
}

// requestTrailers reach apps of every protocol.
func requestTrailers(t *testing.T, m *mesh) {
	for _, protocol := range []string{"http", "https", "h2c"} {
		var seen http.Header
		m.speaking(protocol, func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			must(t, err)
			seen = r.Trailer
			_, _ = w.Write(b)
		})
		req := m.request("POST", "back-"+protocol, "m", nil)
		req.Trailer = http.Header{"X-Sum": nil, "X-Two": nil}
		req.Body = io.NopCloser(&ending{strings.NewReader("body"), func() { req.Trailer["X-Sum"], req.Trailer["X-Two"] = []string{"42"}, []string{"a", "b"} }})
		req.ContentLength = -1
		if got := m.read(m.do(req)); got != "body" || seen.Get("X-Sum") != "42" || strings.Join(seen["X-Two"], " ") != "a b" {
			t.Errorf("%s: the app got %q and %v", protocol, got, seen)
		}
	}
}

// ending does something at the end of a body.
type ending struct {
	io.Reader

	then func()
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err != nil {
		e.then()
	}
	return n, err
}

// earlyHints pass to clients of HTTP/1 and HTTP/2, one by one.
func earlyHints(t *testing.T, m *mesh) {
	h2 := &http.Transport{Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	defer h2.CloseIdleConnections()
	for _, protocol := range []string{"http", "https", "h2c"} {
		seen := make(chan struct{})
		m.speaking(protocol, func(w http.ResponseWriter, _ *http.Request) {
			for _, link := range []string{"</a>", "</b>"} {
				w.Header().Set("Link", link)
				w.WriteHeader(http.StatusEarlyHints)
			}
			if m.streams() {
				<-seen // the hints do not wait for the reply
			}
			w.Header().Del("Link")
			_, _ = io.WriteString(w, "page")
		})
		for name, client := range map[string]http.RoundTripper{"HTTP/1": m.client.Transport, "HTTP/2": h2} {
			seen = make(chan struct{})
			var got []string
			trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				if got = append(got, fmt.Sprint(code, " ", h.Get("Link"))); len(got) == 2 {
					close(seen)
				}
				return nil
			}}
			req := m.request("GET", "back-"+protocol, "m", nil)
			res, err := client.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
			if err != nil {
				t.Fatalf("%s: %v", protocol, err)
			}
			text := m.read(res)
			_ = res.Body.Close()
			if strings.Join(got, ", ") != "103 </a>, 103 </b>" || text != "page" || res.Header.Get("Link") != "" {
				t.Errorf("%s, client of %s: %v, then %q with %v", protocol, name, got, text, res.Header)
			}
		}
	}
}

// expectContinue has clients that wait for leave before they send a body: they
// get it when the app wants the body, and are spared it when it does not.
func expectContinue(t *testing.T, m *mesh) {
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuses" && m.streams() { // a unary app is called when the body is whole
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.URL.Path == "/begins" { // to answer before it reads, and so gives no leave
			must(t, http.NewResponseController(w).EnableFullDuplex())
			must(t, http.NewResponseController(w).Flush())
		}
		_, err := io.Copy(w, r.Body)
		must(t, err)
	})
	for _, framing := range []struct{ head, body string }{{"Content-Length: 4", "body"}, {"Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n"}} {
		for _, path := range []string{"takes", "refuses", "begins"} {
			u := m.request("POST", "back", path, nil).URL
			c, err := net.Dial("tcp", u.Host)
			if err != nil {
				t.Fatal(err)
			}
			must(t, c.SetDeadline(time.Now().Add(patience)))
			_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n%s\r\n\r\n", u.RequestURI(), framing.head)
			must(t, err)
			r := bufio.NewReader(c)
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("%s, %s: %v", path, framing.head, err)
			}
			if path == "refuses" && m.streams() {
				if res.StatusCode != http.StatusForbidden {
					t.Errorf("%s: the app refuses the body, but its client is told %d", framing.head, res.StatusCode)
				}
				_ = c.Close()
				continue
			}
			if path == "begins" && res.StatusCode == http.StatusOK {
				_, err = io.WriteString(c, framing.body)
				must(t, err)
				if b, err := io.ReadAll(res.Body); string(b) != "body" || err != nil {
					t.Errorf("%s: the app has begun to answer, and gives %q %v", framing.head, b, err)
				}
				_ = c.Close()
				continue
			}
			if res.StatusCode != http.StatusContinue {
				t.Fatalf("%s: the app wants the body, but its client is told %d", framing.head, res.StatusCode)
			}
			_, err = io.WriteString(c, framing.body)
			must(t, err)
			if res, err = http.ReadResponse(r, nil); err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(res.Body); string(b) != "body" || err != nil {
				t.Errorf("%s: %d %q %v", framing.head, res.StatusCode, b, err)
			}
			_ = c.Close()
		}
	}
}

// leaveToSend is given to a client that expects it.
func leaveToSend(t *testing.T, m *mesh) {
	m.app("back", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		must(t, err)
		_, err = w.Write(b)
		must(t, err)
	})
	u := m.request("POST", "back", "m", nil).URL
	c, err := net.Dial("tcp", u.Host)
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(patience)))
	for range 2 { // the connection goes on
		_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", u.RequestURI())
		must(t, err)
		const leave = "HTTP/1.1 100 Continue\r\n\r\n"
		got := make([]byte, len(leave))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != leave {
			t.Fatalf("%q, %v", got, err)
		}
		_, err = io.WriteString(c, "hello")
		must(t, err)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if text := m.read(res); res.StatusCode != http.StatusOK || text != "hello" {
			t.Errorf("%d %q", res.StatusCode, text)
		}
	}
}

// shouting is an app that agrees to any protocol and then sends back in upper
// case what it gets, with a goodbye at the end.
func shouting(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/no" {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "no "+r.Header.Get("Upgrade"))
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nX-Accept: %s\r\n\r\nhello", r.Header.Get("Upgrade"), r.Header.Get("X-Key"))
	buf := make([]byte, 64<<10)
	for {
		n, err := rw.Read(buf)
		if n > 0 {
			if _, err := c.Write([]byte(strings.ToUpper(string(buf[:n])))); err != nil {
				return
			}
		}
		if err != nil {
			_, _ = io.WriteString(c, "bye")
			return
		}
	}
}

// tunnels carry another protocol both ways, at once, until either side ends.
func tunnels(t *testing.T, m *mesh) {
	for _, protocol := range []string{"http", "https"} {
		back := m.speaking(protocol, shouting)
		open := func(method string) (net.Conn, *bufio.Reader, *http.Response) {
			u := m.request("GET", "back-"+protocol, method, nil).URL
			c, err := net.Dial("tcp", u.Host)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Key: k\r\n\r\n", u.RequestURI())
			must(t, err)
			r := bufio.NewReader(c)
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			return c, r, res
		}
		c, r, res := open("ws")
		if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != "websocket" || res.Header.Get("X-Accept") != "k" {
			t.Fatalf("%s: %d %v", protocol, res.StatusCode, res.Header)
		}
		expect := func(want string) {
			t.Helper()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
				t.Fatalf("%s: %d bytes like %.40q, %v; want %d like %.40q", protocol, len(got), got, err, len(want), want)
			}
		}
		expect("hello")
		for _, text := range []string{"one", "\x00\r\n0\r\n\r\n", strings.Repeat("large ", 50_000)} {
			go func() { _, _ = io.WriteString(c, text) }()
			expect(strings.ToUpper(text))
		}
		if protocol == "http" { // the end of one direction; net/http's TLS has none
			must(t, c.(*net.TCPConn).CloseWrite()) //nolint:errcheck // dialled above
			expect("bye")
			if b, err := io.ReadAll(r); len(b) > 0 || err != nil {
				t.Errorf("%s: after the end comes %q, %v", protocol, b, err)
			}
		}
		_ = c.Close()
		for i := range 10 { // clients that go, or break off, leave nothing behind
			c, _, _ := open("ws")
			must(t, c.(*net.TCPConn).SetLinger(-(i % 2))) //nolint:errcheck // dialled above; 0 is a reset
			_ = c.Close()
		}
		calm(t, back.App())
		if _, _, res := open("no"); res.StatusCode != http.StatusTeapot {
			t.Errorf("%s: an app that does not switch: %d", protocol, res.StatusCode)
		} else if b, err := io.ReadAll(res.Body); string(b) != "no websocket" || err != nil {
			t.Errorf("%s: it answers %q, %v", protocol, b, err)
		}
	}
}
