package mdnsresolve

import (
	"github.com/miekg/dns"
)

const (
	// packetSize keeps packets whole on an Ethernet whose MTU a tunnel has
	// taken a little from.
	packetSize = 1300
	// readSize is the largest packet that multicast DNS allows; longer ones are dropped.
	readSize = 9000
)

// question makes a packet that asks for one name.
func question(id uint16, name string, kind uint16) ([]byte, error) {
	m := dns.Msg{MsgHdr: dns.MsgHdr{Id: id}}
	m.Question = []dns.Question{{Name: name, Qtype: kind, Qclass: dns.ClassINET}}
	return m.Pack()
}

// response makes the packets that tell groups to everybody, as few as fit.
func response(groups []bundle) ([][]byte, error) {
	var packets [][]byte
	m := blank()
	size := 0
	flush := func() error {
		if len(m.Answer) == 0 {
			return nil
		}
		b, err := m.Pack()
		if err != nil {
			return err
		}
		packets = append(packets, b)
		m, size = blank(), 0
		return nil
	}
	for _, g := range groups {
		n := 0
		for _, rr := range g.answer {
			n += dns.Len(mark(rr))
		}
		for _, rr := range g.extra {
			n += dns.Len(mark(rr))
		}
		if size > 0 && size+n > packetSize {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		m.Answer = append(m.Answer, g.answer...)
		m.Extra = append(m.Extra, g.extra...)
		size += n
	}
	err := flush()
	return packets, err
}

// mark gives a record that only we own the bit that makes it replace older ones.
func mark(rr dns.RR) dns.RR {
	if h := rr.Header(); h.Rrtype != dns.TypePTR {
		h.Class |= cacheFlush
	}
	return rr
}

// reply makes the packet that answers one asker directly. An asker that is no
// multicast DNS implementation gets what plain DNS expects: the question, no
// special bits, and short lives, since it will hear no goodbye.
func reply(query *dns.Msg, g bundle, plain bool) ([]byte, error) {
	m := blank()
	m.Id = query.Id
	m.Answer, m.Extra = g.answer, g.extra
	if plain {
		m.Question = query.Question
		for _, rrs := range [][]dns.RR{g.answer, g.extra} {
			for _, rr := range rrs {
				h := rr.Header()
				h.Class &^= cacheFlush
				h.Ttl = min(h.Ttl, oneShotTTL)
			}
		}
	}
	return m.Pack()
}

func blank() *dns.Msg {
	return &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Compress: true}
}
