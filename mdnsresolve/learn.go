package mdnsresolve

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// hearing is the circumstances of a packet.
type hearing struct {
	now     time.Time
	link    link
	source  netip.Addr
	local   bool // sent by this host
	oneShot bool // an answer to us alone, with short lives that must not shorten what everybody was told
}

// lesson is what a packet has changed.
type lesson struct {
	apps  []string   // ids whose addresses have changed
	ask   []string   // names whose records are still missing
	doubt []*service // services with instances that a newcomer may have replaced
}

// addrSet is what one packet says about one host.
type addrSet struct {
	v4, v6 netip.Addr
	life   life
	gone   bool
}

// learn takes in a response. Records of services that could not be an app's are
// passed over; own tells which instance names are ours.
func (c *cache) learn(rrs []dns.RR, h hearing, own func(name string) bool) lesson {
	t := teller{cache: c, h: h, touched: map[*instance]state{}, dirty: map[dirt]bool{}}
	for _, rr := range rrs {
		if p, ok := rr.(*dns.PTR); ok && isService(p.Hdr.Name) && isInstance(p.Ptr, p.Hdr.Name) && !own(strings.ToLower(p.Ptr)) {
			t.pointer(p)
		}
	}
	hosts := map[string]crowd{} // instances whose SRV records are in this packet
	for _, rr := range rrs {
		switch rr := rr.(type) {
		case *dns.SRV:
			if i := t.find(rr.Hdr.Name); i != nil {
				t.server(i, rr)
				if hosts[i.target] == nil {
					hosts[i.target] = crowd{}
				}
				hosts[i.target][i] = struct{}{}
			}
		case *dns.TXT:
			if i := t.find(rr.Hdr.Name); i != nil {
				t.text(i, rr)
			}
		}
	}
	t.hosts(rrs, hosts)
	return t.finish()
}

// dirt is an app whose addresses are to be published again.
type dirt struct {
	svc   *service
	appID string
}

// teller carries out one learn.
type teller struct {
	*cache
	h       hearing
	touched map[*instance]state // heard in this packet, and what they were before
	dirty   map[dirt]bool
}

// state is what an instance means to those who look for its app.
type state struct {
	appID  string
	addr   netip.AddrPort
	usable bool
}

func (i *instance) state() state { return state{i.appID, i.addr(), i.complete() && i.suspect.IsZero()} }

func (t *teller) life(old life, ttl uint32) life {
	l := life{ttl: min(time.Duration(ttl)*time.Second, maxTTL)}
	l.until = t.h.now.Add(l.ttl)
	if t.h.oneShot && l.until.Before(old.until) {
		return old
	}
	return l
}

func (t *teller) touch(i *instance) {
	if _, known := t.touched[i]; !known {
		t.touched[i] = i.state()
	}
	i.heard, i.source, i.local, i.asked = t.h.now, t.h.source, t.h.local, 0
	i.suspect, i.doubt = time.Time{}, time.Time{}
}

// goodbye forgets an instance on the interface of this packet, and on the
// others if its own host has said so: Dapr's sidecars answer on an interface on
// which they do not take leave.
func (t *teller) goodbye(s *service, name string) {
	if s == nil {
		return
	}
	for _, i := range s.instances {
		if i.name == name && (i.link == t.h.link.index || i.source == t.h.source || i.local && t.h.local) {
			t.drop(s, i)
			delete(t.touched, i)
			t.dirty[dirt{s, i.appID}] = true
		}
	}
}

// pointer takes in that a service has an instance.
func (t *teller) pointer(p *dns.PTR) {
	where := place{t.h.link.index, strings.ToLower(p.Ptr)}
	s := t.services[strings.ToLower(p.Hdr.Name)]
	var i *instance
	if s != nil {
		i = s.instances[where]
	}
	if p.Hdr.Ttl == 0 {
		t.goodbye(s, where.name)
		return
	}
	if i == nil {
		if !t.room(s) {
			t.full++
			return
		}
		s = t.service(p.Hdr.Name)
		i = &instance{place: where, title: p.Ptr, linkName: t.h.link.name, nearby: t.h.link.loopback, since: t.h.now}
		s.instances[where] = i
		t.count++
	}
	i.lives[ptrLife] = t.life(i.lives[ptrLife], p.Hdr.Ttl)
	t.touch(i)
}

// room tells whether one more instance of s can be remembered; nil: of a
// service not heard of. Those that somebody asks for find room in a full cache.
func (t *teller) room(s *service) bool {
	if s == nil {
		return t.count < maxInstances
	}
	return len(s.instances) < maxPerApp && (t.count < maxInstances || s.wanted(t.h.now))
}

// find gives the known instance of that name, on the interface of this packet.
func (t *teller) find(name string) *instance {
	if s := t.serviceOf(name); s != nil {
		return s.instances[place{t.h.link.index, strings.ToLower(name)}]
	}
	return nil
}

func (t *teller) serviceOf(instance string) *service {
	at, end := dns.NextLabel(instance, 0)
	if end {
		return nil
	}
	return t.services[strings.ToLower(instance[at:])]
}

// server takes in port and host. An instance has one; the newest counts.
func (t *teller) server(i *instance, rr *dns.SRV) {
	s := t.serviceOf(i.name)
	if rr.Hdr.Ttl == 0 {
		t.goodbye(s, i.name)
		return
	}
	t.touch(i)
	if target := strings.ToLower(rr.Target); target != i.target {
		t.move(i, target)
	}
	i.port = rr.Port
	i.lives[srvLife] = t.life(i.lives[srvLife], rr.Hdr.Ttl)
}

// text takes in the app id. The first string must be what the service is
// called; anything else is another kind of service.
func (t *teller) text(i *instance, rr *dns.TXT) {
	s := t.serviceOf(i.name)
	if rr.Hdr.Ttl == 0 {
		t.goodbye(s, i.name)
		return
	}
	t.touch(i)
	i.appID = ""
	if len(rr.Txt) > 0 {
		if id := unescape(rr.Txt[0]); strings.EqualFold(id, unescape(strings.TrimSuffix(s.name, "."+domain))) {
			i.appID = id
		}
	}
	i.lives[txtLife] = t.life(i.lives[txtLife], rr.Hdr.Ttl)
}

// hosts takes in addresses. Those that come with an instance's SRV record are
// that instance's; the others are of all that name the host.
func (t *teller) hosts(rrs []dns.RR, mine map[string]crowd) {
	said := map[string]*addrSet{}
	for _, rr := range rrs {
		addr, ok := address(rr, t.h)
		if !ok {
			continue
		}
		name := strings.ToLower(rr.Header().Name)
		set := said[name]
		if set == nil {
			set = &addrSet{}
			said[name] = set
		}
		ttl := rr.Header().Ttl
		set.gone = ttl == 0
		set.life = t.life(life{}, ttl)
		if addr.Is4() {
			set.v4 = addr
		} else {
			set.v6 = addr
		}
	}
	for name, set := range said {
		who := mine[name]
		if who == nil {
			who = t.cache.hosts[place{t.h.link.index, name}]
		}
		if len(who) > maxPerHost {
			continue // each of so many is told its address when it is asked for
		}
		for i := range who {
			t.touch(i)
			t.located(i, set)
		}
	}
}

func (t *teller) located(i *instance, set *addrSet) {
	if set.gone {
		i.v4, i.v6, i.lives[addrLife] = netip.Addr{}, netip.Addr{}, life{}
		return
	}
	// One address of each kind is kept: the newest.
	if set.v4.IsValid() {
		i.v4 = set.v4
	}
	if set.v6.IsValid() {
		i.v6 = set.v6
	}
	if !t.h.oneShot || i.lives[addrLife].until.Before(set.life.until) {
		i.lives[addrLife] = set.life
	}
}

// address gives the address in a record if a neighbour could be there.
func address(rr dns.RR, h hearing) (netip.Addr, bool) {
	var addr netip.Addr
	switch rr := rr.(type) {
	case *dns.A:
		addr, _ = netip.AddrFromSlice(rr.A.To4())
	case *dns.AAAA:
		addr, _ = netip.AddrFromSlice(rr.AAAA)
		addr = addr.Unmap()
		if addr.IsLinkLocalUnicast() {
			addr = addr.WithZone(h.link.name)
		}
	}
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
		return addr, false
	}
	// Another host's loopback address would lead back to this host.
	return addr, !addr.IsLoopback() || h.local
}

// finish publishes what has changed.
func (t *teller) finish() lesson {
	var l lesson
	for i, before := range t.touched {
		s := t.serviceOf(i.name)
		if s == nil || s.instances[i.place] != i {
			continue
		}
		if now := i.state(); now != before {
			t.dirty[dirt{s, before.appID}] = true
			t.dirty[dirt{s, now.appID}] = true
		}
		switch {
		case !i.complete():
			stranger := i.appID == "" && !i.lives[txtLife].until.IsZero()
			if s.wanted(t.h.now) && len(l.ask) < maxInterrogate && !stranger {
				l.ask = append(l.ask, i.title)
			}
		case !before.usable && t.replaces(s, i):
			l.doubt = append(l.doubt, s)
		}
	}
	for d := range t.dirty {
		t.publish(d.svc, d.appID)
		l.apps = append(l.apps, d.appID)
	}
	return l
}

// replaces marks the instances that i, which has just appeared, may be the
// successor of: same app, same host, not heard for a while.
func (t *teller) replaces(s *service, i *instance) bool {
	found := false
	for _, old := range s.instances {
		if old != i && old.name != i.name && old.link == i.link && old.source == i.source &&
			t.h.now.Sub(old.heard) > recently && old.doubt.IsZero() {
			old.doubt, found = t.h.now, true
		}
	}
	return found
}

func sortedAddrs(at map[netip.AddrPort]*instance) []netip.AddrPort {
	addrs := make([]netip.AddrPort, 0, len(at))
	for a := range at {
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, netip.AddrPort.Compare)
	return addrs
}
