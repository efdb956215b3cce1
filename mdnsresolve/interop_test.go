package mdnsresolve

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/mdns"
	"github.com/miekg/dns"
)

// speaker is another implementation: it hears everything on the loopback
// interface and says what a test makes it say.
type speaker struct {
	t     *testing.T
	out   *sockets
	link  link
	heard chan heard
}

type heard struct {
	packet
	msg dns.Msg
}

func newSpeaker(t *testing.T) *speaker {
	t.Helper()
	out, err := openSockets(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	n, err := scan(loopback)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(n.links, func(l link) bool { return l.loopback })
	if i < 0 {
		t.Fatal("there is no loopback interface")
	}
	out.use(&network{links: n.links[i : i+1]})
	s := &speaker{t: t, out: out, link: n.links[i], heard: make(chan heard, 4096)}
	stop := out.listen(func(p packet) {
		h := heard{packet: p}
		if h.msg.Unpack(p.data) == nil {
			select {
			case s.heard <- h:
			default:
			}
		}
	})
	t.Cleanup(func() { _ = stop() })
	return s
}

func (s *speaker) say(m *dns.Msg, alone bool) {
	s.t.Helper()
	data, err := m.Pack()
	if err != nil {
		s.t.Fatal(err)
	}
	if alone {
		err = s.out.ask(s.link, data)
	} else {
		err = s.out.send(s.link, netip.AddrPort{}, data)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// hear waits for a packet that fits.
func (s *speaker) hear(what string, fits func(heard) bool) heard {
	s.t.Helper()
	late := time.After(2 * time.Second)
	for {
		select {
		case h := <-s.heard:
			if fits(h) {
				return h
			}
		case <-late:
			s.t.Fatalf("not heard: %s", what)
		}
	}
}

func ask(name string, kind uint16) *dns.Msg {
	return &dns.Msg{MsgHdr: dns.MsgHdr{Id: 7}, Question: []dns.Question{{Name: name, Qtype: kind, Qclass: dns.ClassINET}}}
}

func answers(name string) func(heard) bool {
	return func(h heard) bool {
		return h.msg.Response && len(h.msg.Answer) > 0 && strings.EqualFold(h.msg.Answer[0].Header().Name, name)
	}
}

func records(t *testing.T, lines ...string) []dns.RR {
	t.Helper()
	var rrs []dns.RR
	for _, line := range lines {
		flush := strings.HasPrefix(line, "!")
		rr, err := dns.NewRR(strings.TrimPrefix(line, "!"))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if flush {
			rr.Header().Class |= cacheFlush
		}
		rrs = append(rrs, rr)
	}
	return rrs
}

func lines(rrs []dns.RR) []string {
	var s []string
	for _, rr := range rrs {
		flush := ""
		if rr.Header().Class&cacheFlush != 0 {
			flush = "!"
		}
		rr = dns.Copy(rr)
		rr.Header().Class &^= cacheFlush
		s = append(s, flush+strings.ReplaceAll(rr.String(), "\t", " "))
	}
	return s
}

// daprd asks for PTR records of the bare app id and wants everything about an
// instance in one packet to the group.
func TestAnswersLikeDaprd(t *testing.T) {
	r := start(t, Options{Host: "box"})
	app := unique("orders")
	r.Announce(Service{AppID: app, Instance: "1", Port: 50002})
	s := newSpeaker(t)
	s.say(ask(app+".local.", dns.TypePTR), false)
	h := s.hear("the answer", answers(app+".local."))
	if h.from.Port() != mdnsPort || h.oneShot || h.msg.Id != 0 || len(h.msg.Question) != 0 || !h.msg.Authoritative {
		t.Errorf("the answer comes from %v with %+v", h.from, h.msg.MsgHdr)
	}
	name := fmt.Sprintf("box:%d-1.%s.local.", r.pid, app)
	host := fmt.Sprintf("box-%d-50002.local.", r.pid)
	if got, want := lines(h.msg.Answer), []string{app + ".local. 3200 IN PTR " + name}; !slices.Equal(got, want) {
		t.Errorf("answer %q, want %q", got, want)
	}
	want := []string{
		"!" + name + " 3200 IN SRV 0 0 50002 " + host,
		"!" + host + " 120 IN A 127.0.0.1",
		"!" + name + ` 3200 IN TXT "` + app + `"`,
	}
	if got := lines(h.msg.Extra); !slices.Equal(got, want) {
		t.Errorf("extra %q, want %q", got, want)
	}
	for kind, about := range map[uint16]string{dns.TypeSRV: name, dns.TypeTXT: name, dns.TypeANY: name, dns.TypeA: host} {
		s.say(ask(about, kind), false)
		h := s.hear(about, answers(about))
		if kind != dns.TypeANY && h.msg.Answer[0].Header().Rrtype != kind {
			t.Errorf("%s is answered with %v", dns.TypeToString[kind], h.msg.Answer[0])
		}
	}
	s.say(ask(enumName, dns.TypePTR), false)
	s.hear("the app among the network's services", func(h heard) bool {
		return slices.Contains(lines(h.msg.Answer), enumName+" 3200 IN PTR "+app+".local.")
	})
}

// An asker with a port of its own is no responder and hears no goodbye: it gets
// a plain answer with short lives, and the group hears the full one.
func TestAnswersOneShotAskers(t *testing.T) {
	r := start(t, Options{})
	app := unique("orders")
	r.Announce(Service{AppID: app, Instance: "1", Port: 50002})
	r.Announce(Service{AppID: app, Instance: "2", Port: 50003})
	s := newSpeaker(t)
	s.say(ask(app+".local.", dns.TypePTR), true)
	for range 2 {
		h := s.hear("a direct answer", func(h heard) bool { return h.oneShot && answers(app+".local.")(h) })
		if h.msg.Id != 7 || len(h.msg.Question) != 1 || h.from.Port() != mdnsPort {
			t.Errorf("from %v comes %v", h.from, &h.msg)
		}
		for _, rr := range slices.Concat(h.msg.Answer, h.msg.Extra) {
			if rr.Header().Ttl > oneShotTTL || rr.Header().Class != dns.ClassINET {
				t.Errorf("a simple client would stumble over %v", rr)
			}
		}
	}
}

func TestGoodbyeOnTheWire(t *testing.T) {
	r := start(t, Options{})
	app := unique("orders")
	s := newSpeaker(t)
	withdraw := r.Announce(Service{AppID: app, Port: 50002, Addr: netip.MustParseAddr("::1")})
	h := s.hear("the announcement", answers(app+".local."))
	kinds := func(m dns.Msg) (k []string) {
		for _, rr := range m.Answer {
			k = append(k, dns.TypeToString[rr.Header().Rrtype])
		}
		return k
	}
	if got := kinds(h.msg); !slices.Equal(got, []string{"PTR", "SRV", "AAAA", "TXT", "PTR"}) {
		t.Errorf("announced: %v", got)
	}
	withdraw()
	h = s.hear("the goodbye", func(h heard) bool { return answers(app+".local.")(h) && h.msg.Answer[0].Header().Ttl == 0 })
	for _, rr := range h.msg.Answer {
		if rr.Header().Ttl != 0 {
			t.Errorf("the goodbye keeps %v", rr)
		}
	}
}

func TestLearnsFromDaprd(t *testing.T) {
	s := newSpeaker(t)
	r := start(t, Options{})
	app := unique("orders")
	reply := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}}
	reply.Answer = records(t, app+".local. 3200 IN PTR laptop:4711."+app+".local.")
	reply.Extra = records(t,
		"!laptop:4711."+app+".local. 3200 IN SRV 0 0 50123 laptop.local.",
		"!laptop:4711."+app+".local. 3200 IN TXT \""+app+"\" \"more\"",
		"!laptop.local. 120 IN A 127.0.0.7",
	)
	s.say(reply, false)
	eventually(t, time.Second, "the announced sidecar is known", knows(r, app, "127.0.0.7:50123"))

	// A second daprd on the same host and host name, with another address.
	other := reply.Copy()
	for _, rrs := range [][]dns.RR{other.Answer, other.Extra} {
		for i, rr := range rrs {
			line := strings.NewReplacer("laptop:4711", "laptop:4712", "50123", "50124", "127.0.0.7", "127.0.0.8").Replace(lines([]dns.RR{rr})[0])
			rrs[i] = records(t, line)[0]
		}
	}
	s.say(other, false)
	eventually(t, time.Second, "both are known", knows(r, app, "127.0.0.7:50123", "127.0.0.8:50124"))
	bye := reply.Copy()
	bye.Extra = nil
	bye.Answer[0].Header().Ttl = 0
	s.say(bye, false)
	eventually(t, 100*time.Millisecond, "the first is gone", knows(r, app, "127.0.0.8:50124"))
}

// A responder that answers with a pointer alone is asked for the rest.
func TestAsksForWhatIsMissing(t *testing.T) {
	s := newSpeaker(t)
	r := start(t, Options{})
	app := unique("orders")
	instance := "x." + app + ".local."
	result := make(chan []netip.AddrPort, 1)
	go func() {
		list, _ := r.Resolve(t.Context(), app)
		result <- list
	}()
	s.hear("the question", func(h heard) bool {
		return !h.msg.Response && h.msg.Question[0].Name == app+".local." && h.msg.Question[0].Qtype == dns.TypePTR
	})
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: records(t, app+".local. 60 IN PTR "+instance)}
	s.say(m, false)
	s.hear("the question for the rest", func(h heard) bool { return !h.msg.Response && h.msg.Question[0].Name == instance })
	m.Answer = records(t, instance+" 60 IN SRV 0 0 1234 h.local.", instance+" 60 IN TXT \""+app+"\"", "h.local. 60 IN A 127.0.0.9")
	s.say(m, false)
	if got := addrs(<-result); !slices.Equal(got, []string{"127.0.0.9:1234"}) {
		t.Errorf("found %v", got)
	}
}

func TestFoundByHashicorpClient(t *testing.T) {
	r := start(t, Options{})
	app := unique("orders")
	r.Announce(Service{AppID: app, Instance: "1", Port: 50002})
	r.Announce(Service{AppID: app, Instance: "2", Port: 50003})
	entries := make(chan *mdns.ServiceEntry, 100)
	lo := &net.Interface{Index: newSpeaker(t).link.index}
	err := mdns.QueryContext(t.Context(), &mdns.QueryParam{
		Service: app, Interface: lo, Entries: entries, Timeout: 300 * time.Millisecond,
		DisableIPv6: true, Logger: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	})
	if err != nil {
		t.Fatal(err)
	}
	close(entries)
	var got []string
	for e := range entries {
		if len(e.InfoFields) == 1 && e.InfoFields[0] == app {
			got = append(got, fmt.Sprintf("%v:%d", e.AddrV4, e.Port))
		}
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, []string{"127.0.0.1:50002", "127.0.0.1:50003"}) {
		t.Errorf("hashicorp's client finds %v", got)
	}
}

// hashicorp's server answers the asker alone, at the port it asked from.
func TestFindsHashicorpServer(t *testing.T) {
	r := start(t, Options{})
	app := unique("orders")
	service, err := mdns.NewMDNSService("box:1", app, "local.", "box-hashi.local.", 50002, []net.IP{net.IPv4(127, 0, 0, 1)}, []string{app})
	if err != nil {
		t.Fatal(err)
	}
	lo, err := net.InterfaceByIndex(newSpeaker(t).link.index)
	if err != nil {
		t.Fatal(err)
	}
	server, err := mdns.NewServer(&mdns.Config{Zone: service, Iface: lo, Logger: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Shutdown() })
	if got := resolve(t, r, app); !slices.Equal(got, []string{"127.0.0.1:50002"}) {
		t.Errorf("hashicorp's server is found at %v", got)
	}
}
