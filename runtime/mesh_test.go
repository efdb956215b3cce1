package runtime

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mesh/runtime/appchan"
	"mesh/runtime/flow"
	"mesh/runtime/policy"
	"mesh/runtime/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// mesh is what a test runs: sidecars on loopback, and real servers as apps.
type mesh struct {
	t         testing.TB
	transport stream.Transport
	peers     *Peers
	flows     *flow.Recorder
	policies  *policy.Book
	client    *http.Client
	front     *Sidecar // the sidecar of the app "front", which has no port; tests call through it
}

// newMesh starts a front whose calls take that transport.
func newMesh(t testing.TB, transport stream.Transport) *mesh {
	t.Helper()
	m := &mesh{t: t, transport: transport, peers: NewPeers(), flows: flow.NewRecorder(), policies: &policy.Book{}}
	m.client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}}
	t.Cleanup(m.client.CloseIdleConnections)
	m.front = m.sidecar(Options{AppID: "front"})
	return m
}

// police replaces all policies by one of an app, for the calls of the apps in
// scopes; without any for all.
func (m *mesh) police(app string, p policy.Policy, scopes ...string) {
	m.policies.Set(map[string][]policy.Scoped{app: {{Policy: p, Scopes: scopes}}})
}

// sidecar runs a sidecar until the test ends.
func (m *mesh) sidecar(o Options) *Sidecar {
	m.t.Helper()
	s, stop := m.start(o)
	m.t.Cleanup(func() {
		m.client.CloseIdleConnections()
		stop()
	})
	return s
}

// start runs a sidecar until it is stopped.
func (m *mesh) start(o Options) (s *Sidecar, stop func()) {
	m.t.Helper()
	if o.Peers == nil {
		o.Peers = m.peers
	}
	o.HTTP, o.GRPC, o.Internal = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	o.Transport, o.Flows, o.Policies = m.transport, m.flows, m.policies
	s, err := New(o)
	if err != nil {
		m.t.Fatal(err)
	}
	s.App().Open()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !m.joined(s); <-tick.C {
		if time.Now().After(end) {
			m.t.Fatalf("the sidecar of %s never joins its peers", o.Instance)
		}
	}
	return s, func() {
		cancel()
		if err := <-ended; err != nil {
			m.t.Errorf("the sidecar of %s: %v", o.AppID, err)
		}
	}
}

// joined says whether calls can find the sidecar.
func (m *mesh) joined(s *Sidecar) bool {
	g := m.peers.find(s.o.AppID)
	return s.o.Peers != m.peers || (g != nil && slices.Contains(g.all, s))
}

// app starts a server and its sidecar.
func (m *mesh) app(id string, h http.HandlerFunc) *Sidecar {
	m.t.Helper()
	return m.sidecar(m.appOptions(id, id, h))
}

// appOptions starts a server and says how to make its sidecar.
func (m *mesh) appOptions(id, instance string, h http.HandlerFunc) Options {
	m.t.Helper()
	srv := httptest.NewServer(h)
	m.t.Cleanup(srv.Close)
	return Options{
		AppID: id, Instance: instance,
		App: appchan.Options{Addr: srv.Listener.Addr().String(), MaxHeld: 100, Hold: patience},
	}
}

// url is where the front's sidecar calls an app's method.
func (m *mesh) url(app, method string) string {
	return "http://" + netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(m.front.Ports().HTTP)).String() + "/v1.0/invoke/" + app + "/method/" + method
}

// request makes a request to an app; the test's end cancels it.
func (m *mesh) request(verb, app, method string, body io.Reader) *http.Request {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	m.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, verb, m.url(app, method), body)
	if err != nil {
		m.t.Fatal(err)
	}
	return req
}

// do sends a request whose reply must begin.
func (m *mesh) do(req *http.Request) *http.Response {
	m.t.Helper()
	res, err := m.client.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// call makes a call and gives its reply with the body read.
func (m *mesh) call(verb, app, method, body string) (*http.Response, string) {
	m.t.Helper()
	var r io.Reader
	if body != "" {
		r = bytes.NewReader([]byte(body))
	}
	res := m.do(m.request(verb, app, method, r))
	return res, m.read(res)
}

func (m *mesh) read(res *http.Response) string {
	m.t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		m.t.Fatalf("reading the reply: %v", err)
	}
	return string(b)
}

// streams says whether bodies pass while they arrive.
func (m *mesh) streams() bool { return m.transport != stream.Unary }

// must is for what apps of a test do.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// send writes and flushes.
func send(t testing.TB, w http.ResponseWriter, s string) {
	t.Helper()
	_, err := io.WriteString(w, s)
	must(t, err)
	must(t, http.NewResponseController(w).Flush())
}

// soon waits for a channel to be closed or sent to.
func soon[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v = <-c:
	case <-timer.C:
		t.Fatalf("waited %v for %s", patience, what)
	}
	return v
}

// crash breaks an app's connection off in the middle of what it says.
func crash(t testing.TB, w http.ResponseWriter) {
	t.Helper()
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// changing resolves from a map that a test changes.
type changing struct {
	mu    sync.Mutex
	addrs map[string][]netip.AddrPort
}

func (c *changing) set(appID string, addrs ...netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addrs = map[string][]netip.AddrPort{appID: addrs}
}

func (c *changing) Resolve(_ context.Context, appID string) ([]netip.AddrPort, error) {
	if appID == "broken" {
		return nil, errors.New("the network is down")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addrs[appID], nil
}
