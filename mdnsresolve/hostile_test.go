package mdnsresolve

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// memory is an outlet that remembers what is sent.
type memory struct {
	mu   sync.Mutex
	sent []sentPacket
}

type sentPacket struct {
	link string
	here bool // not to leave the host
	to   netip.AddrPort
	msg  dns.Msg
}

func (m *memory) use(*network) {}

func (m *memory) send(l link, to netip.AddrPort, data []byte) error {
	p := sentPacket{link: l.name, here: l.hostOnly, to: to}
	if err := p.msg.Unpack(data); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = append(m.sent, p)
	return nil
}

func (m *memory) ask(l link, data []byte) error { return m.send(l, netip.AddrPort{}, data) }

func (m *memory) listen(func(packet)) (closeAll func() error) {
	return func() error { return nil }
}

func (m *memory) take() []sentPacket {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sent
	m.sent = nil
	return s
}

var (
	testLo  = link{index: 1, name: "lo", loopback: true, source: netip.MustParseAddr("127.0.0.1"), publish: netip.MustParseAddr("127.0.0.1")}
	testEth = link{
		index: 2, name: "eth0", source: netip.MustParseAddr("10.1.2.3"), publish: netip.MustParseAddr("10.1.2.3"),
		nets: []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")},
	}
	neighbour = netip.MustParseAddrPort("10.1.2.9:5353")
)

// inMemory is a responder without sockets.
func inMemory(links ...link) (*Responder, *memory) {
	out := &memory{}
	r := newResponder(slog.New(slog.DiscardHandler), "box", out, nil)
	n := &network{links: links, local: map[netip.Addr]bool{}}
	for _, l := range links {
		n.local[l.source] = true
	}
	r.net.Store(n)
	return r, out
}

func sidecar(t *testing.T, app, instance string, port int, addr string) *dns.Msg {
	t.Helper()
	name := instance + "." + app + ".local."
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}}
	m.Answer = records(t, app+".local. 3200 IN PTR "+name)
	m.Extra = records(t, fmt.Sprintf("!%s 3200 IN SRV 0 0 %d h-%s.local.", name, port, instance),
		"!"+name+" 3200 IN TXT "+app, "!h-"+instance+".local. 120 IN A "+addr)
	return m
}

// hear hands r a message as if it had come from the network.
func (r *Responder) hear(t *testing.T, m *dns.Msg, from netip.AddrPort, index int) {
	t.Helper()
	m.Compress = true
	data, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	r.take(packet{data: data, from: from, index: index})
}

func TestSources(t *testing.T) {
	guest := link{index: 3, name: "eth1", hostOnly: true, source: netip.MustParseAddr("10.3.0.1"), nets: []netip.Prefix{netip.MustParsePrefix("10.3.0.0/24")}}
	for _, c := range []struct {
		what, from string
		index      int
		links      []link
		heard      bool
	}{
		{"this host on loopback", "127.0.0.1:5353", 1, []link{testLo}, true},
		{"another host on loopback", "10.1.2.9:5353", 1, []link{testLo}, false},
		{"another host on an interface that is not used", "10.1.2.9:5353", 2, []link{testLo}, false},
		{"a neighbour", "10.1.2.9:5353", 2, []link{testLo, testEth}, true},
		{"a host that is no neighbour", "192.0.2.1:5353", 2, []link{testLo, testEth}, false},
		{"a port that is no responder's", "10.1.2.9:5354", 2, []link{testLo, testEth}, false},
		{"this host on an interface for it alone", "10.3.0.1:5353", 3, []link{testLo, guest}, true},
		{"another host on an interface for this host alone", "10.3.0.9:5353", 3, []link{testLo, guest}, false},
		{"this host's answer to us alone, by way of loopback", "10.1.2.3:5353", 1, []link{testEth}, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			r, _ := inMemory(c.links...)
			r.hear(t, sidecar(t, "orders", "1", 50002, "10.1.2.9"), netip.MustParseAddrPort(c.from), c.index)
			if heard := r.Known("orders") != nil; heard != c.heard {
				t.Errorf("heard: %v", heard)
			}
		})
	}
}

func TestAddressesNobodyCanHave(t *testing.T) {
	r, _ := inMemory(testLo, testEth)
	for i, addr := range []string{"127.0.0.1", "0.0.0.0", "224.0.0.5"} {
		r.hear(t, sidecar(t, "orders", strconv.Itoa(i), 50002, addr), neighbour, 2)
	}
	if got := r.Known("orders"); got != nil {
		t.Errorf("a neighbour's words led to %v", got)
	}
	if p := r.Peers(); len(p) != 3 || p[0].Trouble == "" {
		t.Errorf("they are listed as %+v", p)
	}
}

func TestStrangersAreNoSidecars(t *testing.T) {
	r, _ := inMemory(testLo)
	from := netip.MustParseAddrPort("127.0.0.1:5353")
	m := sidecar(t, "printer", "1", 631, "127.0.0.1")
	m.Extra[1] = records(t, "1.printer.local. 3200 IN TXT color=yes")[0]
	r.hear(t, m, from, 1)
	other := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: records(t,
		"_ipp._tcp.local. 60 IN PTR x._ipp._tcp.local.", "orders.example. 60 IN PTR x.orders.example.", "orders.local. 60 IN PTR x.billing.local.",
		"a.local. 60 IN A 127.0.0.1", "lone.orders.local. 60 IN SRV 0 0 1 a.local.", "x.local. 60 IN CNAME y.local.")}
	r.hear(t, other, from, 1)
	if got := r.Known("printer"); got != nil {
		t.Errorf("a printer is an app at %v", got)
	}
	if p := r.Peers(); len(p) != 1 || p[0].AppID != "printer" || p[0].Trouble == "" {
		t.Errorf("listed: %+v", p)
	}
}

// A sidecar that answers on one interface and takes leave on another is gone
// from both, but another host cannot take leave for it.
func TestGoodbyeOnAnotherInterface(t *testing.T) {
	r, _ := inMemory(testLo, testEth)
	own := netip.MustParseAddrPort("10.1.2.3:5353")
	r.hear(t, sidecar(t, "orders", "1", 50002, "10.1.2.3"), own, 1)
	bye := sidecar(t, "orders", "1", 50002, "10.1.2.3")
	for _, rrs := range [][]dns.RR{bye.Answer, bye.Extra} {
		for _, rr := range rrs {
			rr.Header().Ttl = 0
		}
	}
	r.hear(t, bye, neighbour, 2)
	if got := addrs(r.Known("orders")); len(got) != 1 {
		t.Errorf("another host has taken leave for it: %v", got)
	}
	r.hear(t, bye, own, 2)
	if got := addrs(r.Known("orders")); len(got) != 0 {
		t.Errorf("after its goodbye, it is at %v", got)
	}
}

// A flood fills neither the memory nor the way of the names that are in use.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := inMemory(testLo, testEth)
		r.cache.want("orders.local.", time.Now())
		for i := range maxInstances + 500 {
			r.hear(t, sidecar(t, fmt.Sprintf("junk%d", i), "1", 50002, "10.1.2.9"), neighbour, 2)
		}
		if s := r.Stats(); r.cache.count != maxInstances || s.Full != 500 {
			t.Errorf("%d instances are remembered, %d not", r.cache.count, s.Full)
		}
		for i := range maxPerApp + 500 {
			r.hear(t, sidecar(t, "orders", strconv.Itoa(i), 1+i, "10.1.2.9"), neighbour, 2)
		}
		if n := len(r.Known("orders")); n != maxPerApp {
			t.Errorf("%d instances of one app are known", n)
		}
		out.take()
		refresh := r.cache.sweep(time.Now().Add(110 * time.Second))
		if !slices.Equal(refresh, []string{"orders.local."}) {
			t.Errorf("the flood makes us ask for %d names", len(refresh))
		}
		r.cache.sweep(time.Now().Add(maxTTL + interest))
		if len(r.cache.services)+len(r.cache.found)+len(r.cache.hosts)+r.cache.count != 0 {
			t.Errorf("%d services, %d apps and %d instances outlive their time", len(r.cache.services), len(r.cache.found), r.cache.count)
		}
	})
}

func TestFloodOfQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes while it lasts
		r, out := inMemory(testLo)
		m := &dns.Msg{}
		for i := range 2 * maxQuestions {
			app := fmt.Sprintf("app%d", i)
			r.Announce(Service{AppID: app, Port: 50002 + i})
			for range 3 {
				m.Question = append(m.Question, dns.Question{Name: app + ".local.", Qtype: dns.TypePTR, Qclass: dns.ClassINET})
			}
		}
		flood := func() (answered int) {
			out.take()
			for range 400 {
				r.hear(t, m, netip.MustParseAddrPort("127.0.0.1:5353"), 1)
			}
			for _, p := range out.take() {
				answered += len(p.msg.Answer)
			}
			return answered
		}
		if n := flood(); n < answersAtOnce || n > answersAtOnce+maxQuestions {
			t.Errorf("a flood of questions gets %d answers", n)
		}
		if r.Stats().Refused == 0 {
			t.Error("no refused question is counted")
		}
		<-time.After(time.Second)
		if n := flood(); n < answersPerSecond/2 || n > answersPerSecond+maxQuestions {
			t.Errorf("a second later it gets %d answers", n)
		}
	})
}

func TestLongLifeIsCapped(t *testing.T) {
	r, _ := inMemory(testLo)
	m := sidecar(t, "orders", "1", 50002, "127.0.0.1")
	for _, rrs := range [][]dns.RR{m.Answer, m.Extra} {
		for _, rr := range rrs {
			rr.Header().Ttl = 1<<31 - 1
		}
	}
	r.hear(t, m, netip.MustParseAddrPort("127.0.0.1:5353"), 1)
	if p := r.Peers(); len(p) != 1 || p[0].TTL > maxTTL {
		t.Errorf("remembered: %+v", p)
	}
}

// Packets that are no DNS, or lead in circles, are counted and passed over.
func TestRubbish(t *testing.T) {
	r, _ := inMemory(testLo)
	packets := [][]byte{
		nil,
		{0},
		make([]byte, 11), slices.Repeat([]byte{0xff}, readSize),
		append([]byte{0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0}, 0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12),
	}
	for _, p := range packets {
		r.take(packet{data: p, from: netip.MustParseAddrPort("127.0.0.1:5353"), index: 1})
	}
	if n := r.Stats().Malformed; n != uint64(len(packets)) {
		t.Errorf("%d of %d packets count as malformed", n, len(packets))
	}
	if len(r.Peers()) != 0 {
		t.Errorf("they have taught us %+v", r.Peers())
	}
}

// FuzzPacket gives a responder one packet after the other and holds it to what
// must be true whatever they say.
func FuzzPacket(f *testing.F) {
	pack := func(m dns.Msg) {
		data, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, data, uint16(mdnsPort), uint8(1), false)
		f.Add(data, data[:len(data)/2], uint16(40000), uint8(2), true)
	}
	for _, l := range []link{testLo, testEth} {
		o, err := newOwned(Service{AppID: "orders", Instance: "x", Port: 50002}, "other", 1)
		if err != nil {
			f.Fatal(err)
		}
		for _, g := range []bundle{o.announcement(l), o.goodbye(l), o.records(l)} {
			pack(dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: g.answer, Extra: g.extra, Compress: true})
		}
	}
	for _, name := range []string{"orders.local.", "mine.local.", enumName} {
		pack(*ask(name, dns.TypePTR))
		pack(*ask(name, dns.TypeANY))
	}
	f.Fuzz(func(t *testing.T, one, two []byte, port uint16, index uint8, oneShot bool) {
		r, out := inMemory(testLo, testEth)
		r.Announce(Service{AppID: "mine", Port: 50009})
		r.cache.want("orders.local.", time.Now())
		from := netip.AddrPortFrom(netip.MustParseAddr("10.1.2.9"), port)
		if index == 1 {
			from = netip.AddrPortFrom(testLo.source, port)
		}
		for _, data := range [][]byte{one, two} {
			out.take()
			r.take(packet{data: data, from: from, index: int(index), oneShot: oneShot})
			if n := len(out.take()); n > 3*maxQuestions+4*maxInterrogate {
				t.Errorf("one packet makes us send %d", n)
			}
		}
		n := 0
		for name, s := range r.cache.services {
			n += len(s.instances)
			for at, i := range s.instances {
				if at != i.place || !isInstance(i.name, name) || at.name == r.zoneName() {
					t.Errorf("%v is an instance of %s", at, name)
				}
			}
		}
		if n != r.cache.count || n > maxInstances {
			t.Errorf("there are %d instances, counted %d", n, r.cache.count)
		}
		for id, found := range r.cache.found {
			for _, a := range found.addrs {
				if !a.IsValid() || a.Port() == 0 || index != 1 && a.Addr().IsLoopback() {
					t.Errorf("%s is at %v", id, a)
				}
			}
		}
		_, _ = r.Peers(), r.Stats()
		r.cache.sweep(time.Now().Add(maxTTL + interest))
		if len(r.cache.services)+len(r.cache.found)+len(r.cache.hosts)+r.cache.count != 0 {
			t.Error("something outlives its time")
		}
	})
}

// zoneName gives the instance name of the only service that r announces.
func (r *Responder) zoneName() string {
	for name := range r.zone.byName {
		return name
	}
	return ""
}
