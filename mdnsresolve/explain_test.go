package mdnsresolve

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestExplain(t *testing.T) {
	self := netip.MustParseAddrPort("127.0.0.1:5353")
	for _, c := range []struct {
		what  string
		links []link
		do    func(r *Responder)
		want  []string
	}{
		{"no interface", nil, func(*Responder) {}, []string{"no interface is in use", "(loopback) is down"}},
		{"silence", []link{testLo}, func(*Responder) {}, []string{"nothing at all has been heard on lo", "only this host is asked"}},
		{
			"others only",
			[]link{testLo},
			func(r *Responder) { r.hear(t, sidecar(t, "billing", "1", 1, "127.0.0.1"), self, 1) },
			[]string{"nobody on lo announces orders"},
		},
		{
			"upper case",
			[]link{testLo},
			func(r *Responder) { r.hear(t, sidecar(t, "Orders", "1", 1, "127.0.0.1"), self, 1) },
			[]string{"Orders is announced", "upper and lower case"},
		},
		{
			"half an answer",
			[]link{testLo},
			func(r *Responder) {
				m := sidecar(t, "orders", "1", 1, "127.0.0.1")
				m.Extra = m.Extra[:2]
				r.hear(t, m, self, 1)
			},
			[]string{"1 of orders, heard on lo from 127.0.0.1, is not used", "no A record for h-1.local"},
		},
		{
			"refused",
			[]link{testLo},
			func(r *Responder) {
				r.hear(t, sidecar(t, "orders", "1", 1, "127.0.0.1"), self, 1)
				r.Failed("orders", netip.MustParseAddrPort("127.0.0.1:1"))
			},
			[]string{"a connection to it was refused"},
		},
		{
			"a stranger",
			[]link{testLo},
			func(r *Responder) { r.hear(t, sidecar(t, "orders", "1", 1, "10.1.2.9"), neighbour, 2) },
			[]string{"outside the interfaces in use: 1"},
		},
		{
			"ours",
			[]link{testLo},
			func(r *Responder) { r.Announce(Service{AppID: "orders", Port: 50002}) },
			[]string{"this process announces orders itself, at 127.0.0.1:50002"},
		},
		{
			"found",
			[]link{testLo},
			func(r *Responder) { r.hear(t, sidecar(t, "orders", "1", 1, "127.0.0.1"), self, 1) },
			[]string{"orders is at 127.0.0.1:1"},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			r, _ := inMemory(c.links...)
			r.mode = loopback
			c.do(r)
			got := strings.Join(r.Explain("orders"), "\n")
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not said:\n%s", want, got)
				}
			}
		})
	}
}

// An address that means this host is told to this host alone, whatever the
// interface.
func TestLoopbackAddressStaysHere(t *testing.T) {
	r, out := inMemory(testLo, testEth)
	withdraw := r.Announce(Service{AppID: "here", Port: 50002, Addr: netip.MustParseAddr("127.0.0.1")})
	r.Announce(Service{AppID: "everywhere", Port: 50003, Addr: netip.IPv4Unspecified()})
	r.hear(t, ask("here.local.", dns.TypePTR), netip.MustParseAddrPort("10.1.2.9:40000"), 2)
	withdraw()
	apps := map[string]int{}
	for _, p := range out.take() {
		app, _, _ := strings.Cut(p.msg.Answer[0].Header().Name, ".")
		apps[app]++
		if leaves := p.link == "eth0" && !p.here; leaves != (p.link == "eth0" && app == "everywhere") || p.to.IsValid() {
			t.Errorf("said on %s, leaving the host: %v\n%v", p.link, leaves, &p.msg)
		}
	}
	if apps["here"] != 5 || apps["everywhere"] != 2 {
		t.Errorf("packets by app: %v", apps)
	}
}
