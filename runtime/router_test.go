package runtime

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// eachTransport runs a test on every transport.
func eachTransport(t *testing.T, f func(t *testing.T, m *mesh)) {
	t.Helper()
	for _, transport := range []stream.Transport{stream.Auto, stream.GRPC, stream.Unary} {
		t.Run(string(transport), func(t *testing.T) { f(t, newMesh(t, transport)) })
	}
}

func named(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }
}

// tally counts who answered n calls.
func (m *mesh) tally(app string, n int) map[string]int {
	m.t.Helper()
	got := map[string]int{}
	for range n {
		_, who := m.call("GET", app, "m", "")
		got[who]++
	}
	return got
}

func (m *mesh) wants(what string, got map[string]int, want string) {
	m.t.Helper()
	if s := fmt.Sprint(got); s != want {
		m.t.Errorf("%s: %s answered, want %s", what, s, want)
	}
}

func TestCallsGoRound(t *testing.T) {
	eachTransport(t, func(_ *testing.T, m *mesh) {
		for _, name := range []string{"back-1", "back-2", "back-3"} {
			m.sidecar(m.appOptions("back", name, named(name)))
		}
		m.app("other", named("other"))
		m.wants("three instances", m.tally("back", 30), "map[back-1:10 back-2:10 back-3:10]")
		got := map[string]int{}
		for range 30 { // calls to another app in between do not upset the turns
			_, who := m.call("GET", "back", "m", "")
			got[who]++
			m.call("GET", "other", "m", "")
		}
		m.wants("alternating", got, "map[back-1:10 back-2:10 back-3:10]")
	})
}

func TestUnreadyInstancesGetNothing(t *testing.T) {
	eachTransport(t, func(_ *testing.T, m *mesh) {
		one := m.sidecar(m.appOptions("back", "back-1", named("back-1")))
		two := m.sidecar(m.appOptions("back", "back-2", named("back-2")))
		one.App().Hold("restarting")
		for _, b := range []Balance{RoundRobin, LeastInFlight} {
			one.SetBalance(b, "")
			two.SetBalance(b, "")
			m.wants("one ready, "+string(b), m.tally("back", 10), "map[back-2:10]")
		}
		two.App().Hold("restarting")
		done := make(chan string, 1)
		go func() {
			_, who := m.call("GET", "back", "m", "")
			done <- who
		}()
		for end := time.Now().Add(patience); one.App().Stats().Waiting+two.App().Stats().Waiting == 0; {
			if time.Now().After(end) {
				m.t.Fatal("the call does not wait")
			}
			tick(m.t)
		}
		one.App().Open()
		two.App().Open()
		if who := soon(m.t, "the held call", done); !strings.HasPrefix(who, "back-") {
			m.t.Errorf("the held call got %q", who)
		}
	})
}

// tick waits a moment between two looks at something.
func tick(t testing.TB) {
	t.Helper()
	timer := time.NewTimer(2 * time.Millisecond)
	defer timer.Stop()
	<-timer.C
}

func TestUnreachableInstanceIsPassedOver(t *testing.T) {
	m := newMesh(t, stream.Auto)
	m.sidecar(m.appOptions("back", "back-1", named("back-1")))
	gone := m.appOptions("back", "back-2", nil)
	gone.App.Addr = "127.0.0.1:1"
	m.sidecar(gone)
	for range 6 {
		// A body is not lost on the way to whoever is not there.
		if res, who := m.call("POST", "back", "m", "body"); who != "back-1" {
			t.Errorf("%d %q", res.StatusCode, who)
		}
	}
}

func TestNewInstanceReceivesCalls(t *testing.T) {
	eachTransport(t, func(_ *testing.T, m *mesh) {
		m.sidecar(m.appOptions("back", "back-1", named("back-1")))
		stop, seen := make(chan struct{}), make(chan struct{})
		var failed, calls atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					calls.Add(1)
					res, who := m.call("GET", "back", "m", "")
					switch {
					case res.StatusCode != http.StatusOK:
						failed.Add(1)
						m.t.Logf("%d %s", res.StatusCode, who)
					case who == "back-2":
						select {
						case seen <- struct{}{}:
						case <-stop:
						}
					}
				}
			})
		}
		for calls.Load() < 20 { // calls are running
			tick(m.t)
		}
		_, leave := m.start(m.appOptions("back", "back-2", named("back-2")))
		soon(m.t, "the new instance to be called", seen)
		// It goes away again while calls run, and nobody notices.
		left := make(chan struct{})
		go func() {
			leave()
			close(left)
		}()
		for done := false; !done; {
			select {
			case <-seen:
			case <-left:
				done = true
			}
		}
		close(stop)
		wg.Wait()
		if failed.Load() > 0 {
			m.t.Errorf("%d of %d calls failed", failed.Load(), calls.Load())
		}
	})
}

// elsewhere starts an app whose sidecar belongs to another process, as far as
// the mesh can tell, and gives where it is.
func (m *mesh) elsewhere(id, name string) netip.AddrPort {
	m.t.Helper()
	return m.elsewhereAs(id, name, named(name))
}

// elsewhereAs does so with that app; nil: with none that can be reached.
func (m *mesh) elsewhereAs(id, name string, app http.HandlerFunc) netip.AddrPort {
	m.t.Helper()
	o := m.appOptions(id, name, app)
	if app == nil {
		o.App.Addr = "127.0.0.1:1"
	}
	o.Peers = NewPeers()
	s := m.sidecar(o)
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(s.Ports().Internal))
}

func TestAppsElsewhere(t *testing.T) {
	for _, transport := range []stream.Transport{stream.Auto, stream.Unary} {
		t.Run(string(transport), func(t *testing.T) {
			names := &changing{}
			m := newMesh(t, transport)
			m.front = m.sidecar(Options{AppID: "front", Names: names})
			one := m.elsewhere("back", "back-1")
			names.set("back", one)
			m.wants("one", m.tally("back", 4), "map[back-1:4]")
			// One more appears, beside one that is not there any more.
			names.set("back", one, netip.MustParseAddrPort("127.0.0.1:1"), m.elsewhere("back", "back-2"))
			got := m.tally("back", 30)
			if got["back-1"]+got["back-2"] != 30 || got["back-2"] < 10 {
				t.Errorf("two: %v answered", got)
			}
			names.set("back", netip.MustParseAddrPort("127.0.0.1:1"))
			if res, body := m.call("POST", "back", "m", "x"); res.StatusCode != http.StatusInternalServerError || !strings.Contains(body, "connecting to 127.0.0.1:1") {
				t.Errorf("none: %d %s", res.StatusCode, body)
			}
		})
	}
}

func TestWhoCannotBeFound(t *testing.T) {
	m := newMesh(t, stream.Auto)
	m.front = m.sidecar(Options{AppID: "front", Names: &changing{}})
	m.app("back", named("back"))
	for id, want := range map[string]string{
		"nobody":           "couldn't find service: nobody (apps of this mesh: back, front)",
		"broken":           "finding broken: the network is down",
		"a.b.c":            "invalid app id a.b.c",
		"back.":            "invalid app id back.",
		"http%3A%2F%2Fa:0": "calling http://a:0: ",
		"back.production":  "",
	} {
		res, body := m.call("GET", id, "m", "")
		if want == "" {
			if body != "back" {
				t.Errorf("%s: %s", id, body)
			}
			continue
		}
		if res.StatusCode != http.StatusInternalServerError || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", id, res.StatusCode, body)
		}
	}
}

func TestOwnAppIsCalledDirectly(t *testing.T) {
	eachTransport(t, func(t *testing.T, m *mesh) {
		var seen http.Header
		m.front = m.app("self", func(w http.ResponseWriter, r *http.Request) {
			seen = r.Header
			_, _ = io.WriteString(w, "me")
		})
		m.sidecar(m.appOptions("self", "self-2", named("not me")))
		for _, id := range []string{"self", "self.default"} {
			for range 4 {
				if _, got := m.call("GET", id, "m", ""); got != "me" {
					t.Errorf("%s: %s", id, got)
				}
			}
		}
		for _, key := range []string{"X-Forwarded-For", "Forwarded", "Dapr-Caller-App-Id", "Dapr-Callee-App-Id"} {
			if seen.Get(key) != "" {
				t.Errorf("the app was told %s: %s", key, seen.Get(key))
			}
		}
	})
}

func TestFlowShowsTheWay(t *testing.T) {
	eachTransport(t, func(t *testing.T, m *mesh) {
		defer m.flows.Watch()()
		back := m.sidecar(m.appOptions("back", "back-7", echo(t)))
		if _, got := m.call("POST", "back", "a/b", "hello"); got != "hello" {
			t.Fatal(got)
		}
		var v flow.View
		for end := time.Now().Add(patience); ; tick(t) {
			if all := m.flows.Recent(nil, 10); len(all) == 1 {
				v = all[0].View()
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d flows ended, want 1", len(m.flows.Recent(nil, 10)))
			}
		}
		want := flow.Peer{Instance: "back-7", Transport: "local"}
		lanes := 4
		if m.transport != stream.Auto {
			want = flow.Peer{Instance: "back-7", Transport: string(m.transport), Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(back.Ports().Internal))}
			lanes = 8
		}
		if v.Peer != want || v.Caller != "front" || v.Callee != "back" || v.Status != 200 || v.Path != "/a/b" || v.Err != "" {
			t.Errorf("view %+v", v)
		}
		if len(v.Lanes) != lanes {
			t.Errorf("%d lanes, want %d", len(v.Lanes), lanes)
		}
		for _, l := range v.Lanes {
			if l.Bytes != 5 {
				t.Errorf("%v %v saw %d bytes", l.Dir, l.Hop, l.Bytes)
			}
		}
	})
}
