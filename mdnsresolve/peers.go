package mdnsresolve

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Peer is one sidecar that is known, for people to look at.
type Peer struct {
	AppID    string
	Instance string         // its name: host, process, and what tells instances apart
	Addr     netip.AddrPort // zero: not known
	Link     string         // the interface on which it was heard; "" for our own
	Source   netip.Addr     // the host that said so; zero for our own
	Own      bool           // announced by this process
	Age      time.Duration  // since it was last heard
	TTL      time.Duration  // until it is forgotten, unless it is heard again
	Trouble  string         // why Resolve does not give it; "": it does
}

// Peers gives everything that is known, in order of app id and instance.
func (r *Responder) Peers() []Peer {
	var peers []Peer
	links := r.net.Load().links
	r.zone.mu.RLock()
	for _, o := range r.zone.byName {
		addr := o.Addr
		if !addr.IsValid() && len(links) > 0 {
			addr = links[0].publish
		}
		p := Peer{AppID: o.AppID, Instance: unescape(o.label), Own: true}
		if addr.IsValid() {
			p.Addr = netip.AddrPortFrom(addr, uint16(o.Port))
		}
		peers = append(peers, p)
	}
	r.zone.mu.RUnlock()
	now := time.Now()
	r.mu.RLock()
	for _, s := range r.cache.services {
		for _, i := range s.instances {
			peers = append(peers, i.peer(s, now))
		}
	}
	r.mu.RUnlock()
	slices.SortFunc(peers, func(a, b Peer) int {
		return cmp.Or(cmp.Compare(a.AppID, b.AppID), cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Link, b.Link))
	})
	return peers
}

func (i *instance) peer(s *service, now time.Time) Peer {
	p := Peer{
		AppID:    cmp.Or(i.appID, unescape(strings.TrimSuffix(s.name, "."+domain))),
		Instance: unescape(i.title[:len(i.title)-len(s.name)-1]),
		Addr:     i.addr(),
		Link:     i.linkName,
		Source:   i.source,
		Age:      now.Sub(i.heard),
		TTL:      i.end().until.Sub(now),
	}
	switch {
	case i.target == "":
		p.Trouble = "its port has not been heard (no SRV record)"
	case !i.addr().IsValid():
		p.Trouble = "its address has not been heard (no A record for " + strings.TrimSuffix(i.target, ".") + ")"
	case i.lives[txtLife].until.IsZero():
		p.Trouble = "its app id has not been heard (no TXT record)"
	case i.appID == "":
		p.Trouble = "it is no sidecar: its TXT record does not begin with the app id"
	case !i.suspect.IsZero():
		p.Trouble = "a connection to it was refused; asking whether it is still there"
	}
	return p
}

// counts are since the start.
type counts struct {
	sent, unsent, questions, responses, malformed, foreign, refused atomic.Uint64
}

// Stats is what a Responder has seen, for people who wonder why a name is not found.
type Stats struct {
	Links     []string // interfaces in use
	Sent      uint64   // packets
	Unsent    uint64   // packets that an interface did not take
	Questions uint64   // packets heard that ask something
	Responses uint64   // packets heard that tell something, our own among them
	Malformed uint64   // packets that are no multicast DNS
	Foreign   uint64   // packets from hosts or ports that we do not listen to
	Refused   uint64   // questions left unanswered because there were too many
	Full      uint64   // instances not remembered because there were too many
}

// Stats gives the counters.
func (r *Responder) Stats() Stats {
	s := Stats{
		Sent: r.counts.sent.Load(), Unsent: r.counts.unsent.Load(),
		Questions: r.counts.questions.Load(), Responses: r.counts.responses.Load(),
		Malformed: r.counts.malformed.Load(), Foreign: r.counts.foreign.Load(), Refused: r.counts.refused.Load(),
	}
	for _, l := range r.net.Load().links {
		s.Links = append(s.Links, l.name)
	}
	r.mu.RLock()
	s.Full = r.cache.full
	r.mu.RUnlock()
	return s
}
