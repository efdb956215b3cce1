package mdnsresolve

import (
	"errors"
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
