package mdnsresolve

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	maxQuestions = 64 // answered of one packet
	// answersPerSecond and answersAtOnce bound what a flood of questions can
	// make us send: a mesh of hundreds of apps starts well within them.
	answersPerSecond = 1000
	answersAtOnce    = 4000
)

// Announce tells others about s, at once and again after a second, and answers
// questions about it until withdraw is called or Run ends, which takes it back
// at once. A service that cannot be announced is logged as an error, and the
// rest goes on. An instance announced twice has the port of the second.
func (r *Responder) Announce(s Service) (withdraw func()) {
	o, err := newOwned(s, r.host, r.pid)
	if err != nil {
		r.log.Error("mdns cannot announce a sidecar", slog.String("app_id", s.AppID), slog.Any("error", err))
		return func() {}
	}
	r.zone.mu.Lock()
	r.zone.add(o)
	r.zone.mu.Unlock()
	r.announce(o)
	r.agenda.after(repeatAfter, func() { r.announce(o) })
	return sync.OnceFunc(func() { r.withdraw(o) })
}

func (r *Responder) announce(o *owned) {
	r.zone.mu.RLock()
	defer r.zone.mu.RUnlock()
	if !r.zone.has(o) {
		return
	}
	for _, l := range r.net.Load().links {
		r.say(l, []bundle{o.announcement(l)})
	}
}

func (r *Responder) announceOn(links []link) {
	r.zone.mu.RLock()
	defer r.zone.mu.RUnlock()
	for _, l := range links {
		if now, ok := r.net.Load().link(l.index); !ok || !now.same(l) {
			continue
		}
		var groups []bundle
		for _, o := range r.zone.byName {
			groups = append(groups, o.announcement(l))
		}
		r.say(l, groups)
	}
}

func (r *Responder) withdraw(o *owned) {
	r.zone.mu.Lock()
	defer r.zone.mu.Unlock()
	if !r.zone.remove(o) {
		return
	}
	for _, l := range r.net.Load().links {
		r.say(l, []bundle{o.goodbye(l)})
	}
}

// leave says goodbye for everything.
func (r *Responder) leave() {
	r.zone.mu.Lock()
	defer r.zone.mu.Unlock()
	r.goodbye(r.net.Load().links)
	r.zone.byName, r.zone.byApp = nil, nil
}

// goodbye takes everything back on links. The zone is locked.
func (r *Responder) goodbye(links []link) {
	for _, l := range links {
		var groups []bundle
		for _, o := range r.zone.byName {
			groups = append(groups, o.goodbye(l))
		}
		r.say(l, groups)
	}
}

// say sends groups to everybody on a link. The zone is locked.
func (r *Responder) say(l link, groups []bundle) {
	var here, everywhere []bundle
	for _, g := range groups {
		if g.local && !l.loopback {
			here = append(here, g)
		} else {
			everywhere = append(everywhere, g)
		}
	}
	r.tell(l, everywhere)
	// An address like 127.0.0.1 would lead other hosts to themselves.
	l.hostOnly = true
	r.tell(l, here)
}

func (r *Responder) tell(l link, groups []bundle) {
	packets, err := response(groups)
	if err != nil {
		r.log.Error("mdns cannot write its records", slog.Any("error", err))
		return
	}
	for _, p := range packets {
		r.send(l, netip.AddrPort{}, p)
	}
}

// answer answers a query to everybody, since several programs share our port
// and only the group reaches them all; an asker that wants an answer for itself
// gets that too.
func (r *Responder) answer(query *dns.Msg, l link, from netip.AddrPort, local bool) {
	if !r.budget.take(0, time.Now()) {
		r.counts.refused.Add(1)
		return
	}
	r.zone.mu.RLock()
	defer r.zone.mu.RUnlock()
	var groups []bundle
	direct := from.Port() != mdnsPort
	asked := map[dns.Question]bool{}
	for _, q := range query.Question[:min(len(query.Question), maxQuestions)] {
		if asked[q] {
			continue
		}
		asked[q] = true
		g := r.zone.answers(q, l)
		groups = append(groups, g...)
		direct = direct || len(g) > 0 && q.Qclass&cacheFlush != 0
	}
	if len(groups) == 0 {
		return
	}
	r.budget.take(len(groups), time.Now())
	r.say(l, groups)
	if !direct {
		return
	}
	// One instance a packet, since simple clients read no more from one.
	for _, g := range groups {
		if g.local && !local {
			continue
		}
		if p, err := reply(query, g, from.Port() != mdnsPort); err == nil {
			r.send(l, from, p)
		}
	}
}

// budget is a bucket of tokens, one for each answer. The last packet that finds
// any may overdraw it.
type budget struct {
	mu   sync.Mutex
	left float64
	last time.Time
}

func (b *budget) take(n int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last.IsZero() {
		b.left = answersAtOnce
	} else {
		b.left = min(answersAtOnce, b.left+now.Sub(b.last).Seconds()*answersPerSecond)
	}
	b.last = now
	if b.left <= 0 {
		return false
	}
	b.left -= float64(n)
	return true
}
