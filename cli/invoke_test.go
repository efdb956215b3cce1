package cli_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"mesh/supervisor/state"
)

// server serves HTTP for the length of the test and gives its port.
func server(t *testing.T, h http.HandlerFunc) (port int) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	addr, ok := srv.Listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("%v is no TCP address", srv.Listener.Addr())
	}
	return addr.Port
}

// sidecar makes a server the HTTP API of orders-1's sidecar.
func sidecar(t *testing.T, s *shell, h http.HandlerFunc) {
	t.Helper()
	port := server(t, h)
	r := serve(s)
	r.Mesh.Change(func(m *state.Mesh) {
		m.Apps = []state.App{
			{ID: "another", Instances: []state.Instance{{Name: "another", HTTPPort: 1}}},
			{ID: "orders", Instances: []state.Instance{{Name: "orders", HTTPPort: port}}},
			{ID: "worker"},
		}
	})
}

func TestInvoke(t *testing.T) {
	s := newShell(t)
	s.file("photo", "pixels")
	sidecar(t, s, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Answer", "yes")
		if r.URL.Path == "/teapot" {
			w.WriteHeader(http.StatusTeapot)
		}
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = io.WriteString(w, strings.Join([]string{
			r.Method, r.URL.String(), r.Header.Get("dapr-app-id"), r.Header.Get("dapr-api-token"), r.Header.Get("X-Test"), string(body),
		}, "|"))
	})
	for _, c := range []struct {
		args  string
		stdin string
		code  int
		want  string
	}{
		{"invoke orders healthz", "", 0, "GET|/healthz|orders|the-token||"},
		{"invoke orders /items?limit=3&x=%20y", "", 0, "GET|/items?limit=3&x=%20y|orders|the-token||"},
		{"invoke orders buy -d text", "", 0, "POST|/buy|orders|the-token||text"},
		{"invoke orders buy -d -", "from stdin", 0, "POST|/buy|orders|the-token||from stdin"},
		{"invoke orders put -X PUT -d @photo -H X-Test:seven", "", 0, "PUT|/put|orders|the-token|seven|pixels"},
		{"invoke orders teapot", "", 4, "GET|/teapot|orders|the-token||"},
		{"invoke orders broken", "", 5, "GET|/broken|orders|the-token||"},
		{"invoke orders get -H Dapr-Api-Token:other", "", 0, "GET|/get|orders|other||"},
	} {
		s.stdin = c.stdin
		stdout, stderr, code := s.run(words(c.args)...)
		if code != c.code || stdout != c.want {
			t.Errorf("%s exits with %d and prints %q, want %d and %q\n%s", c.args, code, stdout, c.code, c.want, stderr)
		}
		if c.code != 0 && !strings.Contains(stderr, "orders answered "+strconv.Itoa(c.code)) {
			t.Errorf("%s says %q", c.args, stderr)
		}
	}
	s.says(0, words("invoke orders get -i"), "HTTP/1.1 200 OK\n", "X-Answer: yes\n", "\n\nGET|/get")
	s.says(1, words("invoke ordres get"), "did you mean orders?")
	s.says(1, words("invoke orders put -d @nothing"), "opening the body", "nothing")
	s.says(1, words("invoke another get"), "calling another")
}

func TestInvokeStreamsBothWays(t *testing.T) {
	s := newShell(t)
	heard := make(chan string)
	sidecar(t, s, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, "hello ")
		_ = rc.Flush()
		body, err := io.ReadAll(r.Body) // ends when the test has seen the first piece
		if err != nil {
			t.Error(err)
		}
		heard <- string(body)
		_, _ = io.WriteString(w, "world")
	})
	stdin, typist := io.Pipe()
	c := s.startWith(stdin, "invoke", "orders", "chat", "-d", "-", "--stream")
	soon(t, "the first piece is printed while the request goes on", func() bool { return c.out.String() == "hello " })
	if _, err := io.WriteString(typist, "typed"); err != nil {
		t.Fatal(err)
	}
	typist.Close()
	if got := <-heard; got != "typed" {
		t.Errorf("the app has heard %q", got)
	}
	if code := c.wait(t); code != 0 || c.out.String() != "hello world" {
		t.Errorf("invoke exits with %d and has printed %q: %s", code, c.out.String(), c.err.String())
	}
	for _, want := range []string{"200 OK\n", "#0 6 B\n", "#1 5 B\n"} {
		if !strings.Contains(c.err.String(), want) {
			t.Errorf("--stream does not tell %q:\n%s", want, c.err.String())
		}
	}
}
