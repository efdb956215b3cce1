package mdnsresolve

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

func TestInterfaceThatIsNotThere(t *testing.T) {
	_, err := New(Options{Interface: "eth99x"})
	if err == nil || !strings.Contains(err.Error(), `"eth99x"`) || !strings.Contains(err.Error(), `"loopback", "all"`) {
		t.Errorf("the error is %v", err)
	}
}

// Everything announced is told to an interface that comes up, and what was
// heard on one that is gone is forgotten; errors on the way change nothing.
func TestInterfacesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := inMemory(testLo)
		var now atomic.Pointer[network]
		now.Store(r.net.Load())
		fail := false
		r.scan = func() (*network, error) {
			if fail = !fail; fail {
				return nil, errors.New("the kernel is busy")
			}
			return now.Load(), nil
		}
		run(t, r)
		r.Announce(Service{AppID: "mine", Instance: "1", Port: 50002})
		<-time.After(2 * time.Second)
		if got := told(out.take()); !slices.Equal(got, []string{"lo 127.0.0.1", "lo 127.0.0.1"}) {
			t.Errorf("announced: %v", got)
		}

		now.Store(&network{links: []link{testLo, testEth}, local: map[netip.Addr]bool{}})
		<-time.After(5 * scanEvery)
		if got := told(out.take()); !slices.Equal(got, []string{"eth0 10.1.2.3", "eth0 10.1.2.3"}) {
			t.Errorf("with a new interface, announced: %v", got)
		}
		r.hear(t, sidecar(t, "orders", "1", 50002, "10.1.2.9"), neighbour, 2)
		if got := addrs(r.Known("orders")); !slices.Equal(got, []string{"10.1.2.9:50002"}) {
			t.Errorf("a neighbour is at %v", got)
		}

		moved := testEth
		moved.source, moved.publish = netip.MustParseAddr("10.1.2.4"), netip.MustParseAddr("10.1.2.4")
		now.Store(&network{links: []link{testLo, moved}, local: map[netip.Addr]bool{}})
		<-time.After(5 * scanEvery)
		if got := told(out.take()); !slices.Equal(got, []string{"eth0 10.1.2.4", "eth0 10.1.2.4"}) {
			t.Errorf("with a new address, announced: %v", got)
		}

		now.Store(&network{links: []link{testLo}, local: map[netip.Addr]bool{}})
		<-time.After(5 * scanEvery)
		if got := r.Known("orders"); got != nil {
			t.Errorf("without the interface, the neighbour is at %v", got)
		}
		if got := r.Stats().Links; !slices.Equal(got, []string{"lo"}) {
			t.Errorf("in use: %v", got)
		}
	})
}

// A move to another interface is heard by those who are left and by those who
// are new, and what was heard where we are no longer is forgotten at once.
func TestMoveToAnotherInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := inMemory(testLo, testEth)
		before := r.net.Load()
		r.scan = func() (*network, error) { return before, nil }
		run(t, r)
		r.Announce(Service{AppID: "mine", Instance: "1", Port: 50002})
		r.hear(t, sidecar(t, "orders", "1", 50002, "10.1.2.9"), neighbour, 2)
		<-time.After(2 * time.Second)
		out.take()

		hidden := testEth // as loopback alone has it where others of this host are on the interface
		hidden.hostOnly, hidden.publish = true, testLo.publish
		n := &network{links: []link{testLo, hidden}, local: map[netip.Addr]bool{}}
		r.move(loopback, func() (*network, error) { return n, nil }, n)
		if got := r.Known("orders"); got != nil {
			t.Errorf("the neighbour of a network that we have left is at %v", got)
		}
		<-time.After(5 * scanEvery)
		var said []string
		for _, p := range out.take() {
			for _, rr := range p.msg.Answer {
				if a, ok := rr.(*dns.A); ok {
					said = append(said, fmt.Sprintf("%s %v %d", p.link, a.A, a.Hdr.Ttl))
				}
			}
		}
		if len(said) != 3 || said[0] != "eth0 10.1.2.3 0" || !strings.HasPrefix(said[1], "eth0 127.0.0.1 ") || said[1] != said[2] || strings.HasSuffix(said[1], " 0") {
			t.Errorf("said: %q, want a goodbye and two announcements", said)
		}
	})
}

func TestUseRefusesAnInterfaceThatIsNotThere(t *testing.T) {
	r := start(t, Options{})
	if err := r.Use("eth99x"); err == nil || !strings.Contains(err.Error(), `"eth99x"`) {
		t.Errorf("the error is %v", err)
	}
	if got := r.Stats().Links; !slices.Contains(got, "lo") {
		t.Errorf("then in use: %v", got)
	}
	if err := r.Use("all"); err != nil {
		t.Error(err)
	}
	said := strings.Join(r.Explain("nobody-at-all"), "\n")
	if strings.Contains(said, "only this host is asked") {
		t.Errorf("on all interfaces it says\n%s", said)
	}
}

// told gives the interface and address of each announcement of app "mine".
func told(sent []sentPacket) []string {
	var s []string
	for _, p := range sent {
		for _, rr := range p.msg.Answer {
			if a, ok := rr.(*dns.A); ok {
				s = append(s, p.link+" "+a.A.String())
			}
		}
	}
	return s
}

// The same sidecar heard on two interfaces is one, at the nearer address.
func TestNearestAddress(t *testing.T) {
	r, _ := inMemory(testLo, testEth)
	r.hear(t, sidecar(t, "orders", "1", 50002, "10.1.2.3"), netip.MustParseAddrPort("10.1.2.3:5353"), 2)
	r.hear(t, sidecar(t, "orders", "1", 50002, "127.0.0.1"), netip.MustParseAddrPort("127.0.0.1:5353"), 1)
	if got := addrs(r.Known("orders")); !slices.Equal(got, []string{"127.0.0.1:50002"}) {
		t.Errorf("it is at %v", got)
	}
}
