package runtime

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mesh/runtime/appchan"
	"mesh/runtime/stream"
)

// busy is an app that names itself, and keeps calls of "wait" until it may go on.
func busy(t testing.TB, name string, goOn <-chan struct{}) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, name)
		if r.URL.Path == "/wait" {
			must(t, http.NewResponseController(w).Flush())
			<-goOn
		}
	}
}

// occupy begins a call that stays, and says who has it.
func (m *mesh) occupy() string {
	m.t.Helper()
	res := m.do(m.request("GET", "back", "wait", nil))
	name := make([]byte, len("back-1"))
	if _, err := io.ReadFull(res.Body, name); err != nil {
		m.t.Fatal(err)
	}
	return string(name)
}

// calm waits until no call is under way at an app.
func calm(t testing.TB, apps ...*appchan.App) {
	t.Helper()
	for end := time.Now().Add(patience); ; tick(t) {
		n := 0
		for _, a := range apps {
			n += a.Stats().Calls
		}
		if n == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d calls are still under way", n)
		}
	}
}

func TestLeastInFlight(t *testing.T) {
	for _, transport := range []stream.Transport{stream.Auto, stream.GRPC} { // a unary call has no reply before its end
		t.Run(string(transport), func(t *testing.T) {
			m := newMesh(t, transport)
			goOn := make(chan struct{})
			defer close(goOn)
			one := m.sidecar(m.appOptions("back", "back-1", busy(t, "back-1", goOn)))
			two := m.sidecar(m.appOptions("back", "back-2", busy(t, "back-2", goOn)))
			spread := func(b Balance) {
				one.SetBalance(b, "")
				two.SetBalance(b, "")
			}
			spread(LeastInFlight)
			first := m.occupy()
			second := m.occupy()
			if first == second {
				t.Fatalf("%s has two calls, the other one none", first)
			}
			third := m.occupy() // two calls here, one there
			other := first
			if third == first {
				other = second
			}
			for range 6 {
				calm := two.App()
				if other == "back-1" {
					calm = one.App()
				}
				m.settled(calm, 1)
				if _, who := m.call("GET", "back", "m", ""); who != other {
					t.Errorf("%s answered, which has more calls", who)
				}
			}
			spread(RoundRobin) // changed while calls run
			m.wants("in turn", m.tally("back", 10), "map[back-1:5 back-2:5]")
		})
	}
}

// settled waits until an app has that many calls.
func (m *mesh) settled(a *appchan.App, calls int) {
	m.t.Helper()
	for end := time.Now().Add(patience); a.Stats().Calls != calls; tick(m.t) {
		if time.Now().After(end) {
			m.t.Fatalf("%d calls are under way, want %d", a.Stats().Calls, calls)
		}
	}
}

func TestIdleInstancesTakeTurns(t *testing.T) {
	eachTransport(t, func(t *testing.T, m *mesh) {
		var apps []*appchan.App
		for _, name := range []string{"back-1", "back-2", "back-3"} {
			s := m.sidecar(m.appOptions("back", name, named(name)))
			s.SetBalance(LeastInFlight, "")
			apps = append(apps, s.App())
		}
		got := map[string]int{}
		for range 30 {
			calm(t, apps...)
			_, who := m.call("GET", "back", "m", "")
			got[who]++
		}
		if got["back-1"] < 5 || got["back-2"] < 5 || got["back-3"] < 5 {
			t.Errorf("instances without calls answered %v", got)
		}
	})
}

func TestLeastInFlightElsewhere(t *testing.T) {
	names := &changing{}
	m := newMesh(t, stream.Auto)
	m.front = m.sidecar(Options{AppID: "front", Names: names, BalanceOthers: LeastInFlight})
	goOn := make(chan struct{})
	defer close(goOn)
	one, two := m.elsewhereAs("back", "back-1", busy(t, "back-1", goOn)), m.elsewhereAs("back", "back-2", busy(t, "back-2", goOn))
	names.set("back", one, two)
	taken := m.occupy()
	for range 10 {
		// A call is under way until its sidecar has seen its end.
		for end := time.Now().Add(patience); m.peers.wires.load(one.String())+m.peers.wires.load(two.String()) > 1; tick(t) {
			if time.Now().After(end) {
				t.Fatal("calls that have ended are still counted")
			}
		}
		if _, who := m.call("GET", "back", "m", ""); who == taken {
			t.Errorf("%s answered, which has a call already", who)
		}
	}
}

// TestPeerWithoutItsAppIsPassedOver: a sidecar that answers, but whose app
// cannot be reached, costs no call, wherever the body has got to.
func TestPeerWithoutItsAppIsPassedOver(t *testing.T) {
	for _, transport := range []stream.Transport{stream.GRPC, stream.Unary} {
		for _, where := range []string{"here", "elsewhere"} {
			t.Run(fmt.Sprint(transport, " ", where), func(t *testing.T) {
				m := newMesh(t, transport)
				if where == "here" {
					m.sidecar(m.appOptions("back", "back-1", echo(t)))
					gone := m.appOptions("back", "back-2", nil)
					gone.App.Addr = "127.0.0.1:1"
					m.sidecar(gone)
				} else {
					names := &changing{}
					m.front = m.sidecar(Options{AppID: "front", Names: names})
					names.set("back", m.elsewhereAs("back", "back-1", echo(t)), m.elsewhereAs("back", "back-2", nil))
				}
				for i := range 6 {
					for _, size := range []int{0, 5, 100_000} {
						for _, known := range []bool{true, false} {
							req := m.request("POST", "back", "m", io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
							if req.ContentLength = -1; known {
								req.ContentLength = int64(size)
							}
							if known && size == 0 {
								req.Body = nil
							}
							res := m.do(req)
							got := m.read(res)
							if !known && res.StatusCode != http.StatusOK && strings.Contains(got, "127.0.0.1:1") {
								continue // a stream that has begun to flow is not sent twice
							}
							if res.StatusCode != http.StatusOK || len(got) != size {
								t.Errorf("call %d, %d bytes, known %v: %d, %d bytes: %.200s", i, size, known, res.StatusCode, len(got), got)
							}
						}
					}
				}
			})
		}
	}
}
