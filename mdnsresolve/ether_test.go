package mdnsresolve

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ether is a network in memory, for tests that let hours pass.
type ether struct {
	mu    sync.Mutex
	ports []*port
}

// port is where one responder is plugged in.
type port struct {
	*ether
	in       chan packet
	from     netip.AddrPort
	deaf     bool // neither sends nor hears, like a process that was killed or is stopped
	lose     int  // packets to lose before one gets through
	lastSent time.Time
}

func (e *ether) plug(t *testing.T, host byte) (*Responder, *port) {
	t.Helper()
	addr := netip.AddrFrom4([4]byte{10, 1, 2, host})
	p := &port{ether: e, in: make(chan packet, 1000), from: netip.AddrPortFrom(addr, mdnsPort)}
	e.mu.Lock()
	e.ports = append(e.ports, p)
	e.mu.Unlock()
	l := testEth
	l.source, l.publish = addr, addr
	n := &network{links: []link{l}, local: map[netip.Addr]bool{addr: true}}
	r := newResponder(slog.New(slog.DiscardHandler), "box", p, func() (*network, error) { return n, nil })
	r.pid = int(host)
	r.net.Store(n)
	run(t, r)
	return r, p
}

func (p *port) use(*network) {}

func (p *port) ask(l link, data []byte) error { return p.send(l, netip.AddrPort{}, data) }

func (p *port) send(l link, to netip.AddrPort, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastSent = time.Now()
	if p.lose--; p.deaf || to.IsValid() || p.lose >= 0 {
		return nil
	}
	for _, q := range p.ports {
		if !q.deaf {
			q.in <- packet{data: slices.Clone(data), from: p.from, index: l.index}
		}
	}
	return nil
}

func (p *port) listen(take func(packet)) (closeAll func() error) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case x := <-p.in:
				take(x)
			case <-done:
				return
			}
		}
	})
	return func() error {
		close(done)
		wg.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.deaf = true
		return nil
	}
}

func (p *port) set(f func(p *port)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

func listed(r *Responder, appID string) bool {
	return slices.ContainsFunc(r.Peers(), func(p Peer) bool { return p.AppID == appID })
}

// Names in use are asked for before they run out, so that they never do; names
// that nobody uses run out.
func TestRefreshBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e ether
		a, _ := e.plug(t, 1)
		b, ears := e.plug(t, 2)
		a.Announce(Service{AppID: "used", Port: 50002})
		a.Announce(Service{AppID: "unused", Port: 50003})
		if got := resolve(t, b, "used"); !slices.Equal(got, []string{"10.1.2.1:50002"}) {
			t.Fatalf("used is at %v", got)
		}
		began := time.Now()
		for time.Since(began) < 20*time.Minute {
			<-time.After(time.Second)
			if !listed(b, "used") {
				t.Fatalf("the name in use is forgotten after %v", time.Since(began))
			}
		}
		if listed(b, "unused") {
			t.Error("the name that nobody uses is still known after 20 minutes")
		}
		// After half an hour without a caller, nobody asks any more.
		<-time.After(interest)
		if quiet := time.Since(ears.lastSent); listed(b, "used") || quiet < 10*time.Minute {
			t.Errorf("without callers it is still known; the last question was %v ago", quiet)
		}
	})
}

// Who was killed is forgotten when the time of its records is up, without a
// failed call.
func TestKilledIsForgottenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e ether
		a, life := e.plug(t, 1)
		b, _ := e.plug(t, 2)
		a.Announce(Service{AppID: "orders", Port: 50002})
		resolve(t, b, "orders")
		<-time.After(time.Second)
		life.set(func(p *port) { p.deaf = true })
		<-time.After((addrTTL - 2) * time.Second)
		if !listed(b, "orders") {
			t.Error("it is forgotten before its time")
		}
		<-time.After(5 * time.Second)
		if listed(b, "orders") {
			t.Error("it outlives its time")
		}
	})
}

func TestQuestionsGetLost(t *testing.T) {
	for lost, within := range []time.Duration{0, 100 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			var e ether
			a, _ := e.plug(t, 1)
			a.Announce(Service{AppID: "orders", Port: 50002})
			<-time.After(2 * time.Second)
			b, p := e.plug(t, 2)
			p.set(func(p *port) { p.lose = lost })
			began := time.Now()
			resolve(t, b, "orders")
			if took := time.Since(began); took != within {
				t.Errorf("with %d packets lost, it is found after %v, want %v", lost, took, within)
			}
		})
	}
}

// A process that was too busy to answer for a while is found again by itself,
// also when other instances answer calls meanwhile.
func TestBusyInstanceComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e ether
		a, stopped := e.plug(t, 1)
		other, _ := e.plug(t, 2)
		b, _ := e.plug(t, 3)
		a.Announce(Service{AppID: "orders", Port: 50002})
		other.Announce(Service{AppID: "orders", Port: 50003})
		<-time.After(2 * time.Second)
		stopped.set(func(p *port) { p.deaf = true })
		b.Failed("orders", netip.MustParseAddrPort("10.1.2.1:50002"))
		if got := addrs(b.Known("orders")); !slices.Equal(got, []string{"10.1.2.2:50003"}) {
			t.Errorf("after a refused connection, %v are used", got)
		}
		<-time.After(2 * time.Second)
		if n := len(b.Peers()); n != 1 {
			t.Errorf("after it has not answered, %d are remembered", n)
		}
		stopped.set(func(p *port) { p.deaf = false })
		<-time.After(2 * secondLook)
		if got := addrs(b.Known("orders")); !slices.Equal(got, []string{"10.1.2.1:50002", "10.1.2.2:50003"}) {
			t.Errorf("after it is back, %v are used", got)
		}
	})
}
