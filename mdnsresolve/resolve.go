package mdnsresolve

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// giveUp is how long an unknown name is asked for.
const giveUp = time.Second

// again gives when a question that nobody has answered is asked once more,
// counted from the first time.
func again() []time.Duration {
	return []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond}
}

// Instances that do not answer for a second are forgotten; they may only have
// been busy, so they are asked for later once more.
const (
	verifyAgain = 250 * time.Millisecond
	verifyEnd   = time.Second
	secondLook  = 5 * time.Second
)

// NotFoundError says that nobody has answered for an app. Its text is the one
// that Dapr's users know.
type NotFoundError struct{ AppID string }

func (e *NotFoundError) Error() string { return "couldn't find service: " + e.AppID }

// lookup is one search that any number of Resolve calls wait for.
type lookup struct {
	until time.Time
	found chan struct{} // closed when the app has addresses
}

// Resolve gives where the sidecars of an app listen that other processes have
// announced; those of this process are not among them. Known ones are given at
// once; an unknown app is asked for, for at most a second, and the error is
// then a *NotFoundError. The slice is shared: do not change it.
func (r *Responder) Resolve(ctx context.Context, appID string) ([]netip.AddrPort, error) {
	if addrs := r.Known(appID); len(addrs) > 0 {
		return addrs, nil
	}
	name, err := serviceName(appID)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", appID, err)
	}
	l, first := r.search(appID, name)
	if first {
		r.query(name, false)
		for _, d := range again() {
			r.agenda.after(d, func() {
				if r.searching(appID, l) {
					r.query(name, true)
				}
			})
		}
	}
	timer := time.NewTimer(time.Until(l.until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("finding %s: %w", appID, context.Cause(ctx))
	case <-r.ended:
		return nil, fmt.Errorf("finding %s: %w", appID, errEnded)
	case <-l.found:
	case <-timer.C:
		r.giveUp(appID, l)
	}
	if addrs := r.Known(appID); len(addrs) > 0 {
		return addrs, nil
	}
	return nil, &NotFoundError{appID}
}

// Known is what Resolve would give at once, without asking anybody. The slice
// is shared: do not change it.
func (r *Responder) Known(appID string) []netip.AddrPort {
	r.mu.RLock()
	defer r.mu.RUnlock()
	f := r.cache.found[appID]
	if f == nil {
		return nil
	}
	// Written once a second at most, so that callers do not fight for it.
	if now := time.Now().Unix(); f.svc.used.Load() != now {
		f.svc.used.Store(now)
	}
	return f.addrs
}

// search gives the lookup for an app, a new one if there is none.
func (r *Responder) search(appID, name string) (l *lookup, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.cache.want(name, now)
	if l := r.asking[appID]; l != nil && now.Before(l.until) {
		return l, false
	}
	l = &lookup{until: now.Add(giveUp), found: make(chan struct{})}
	if r.cache.found[appID] != nil {
		close(l.found)
		return l, false
	}
	r.asking[appID] = l
	return l, true
}

func (r *Responder) searching(appID string, l *lookup) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.asking[appID] == l
}

func (r *Responder) giveUp(appID string, l *lookup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking[appID] == l {
		delete(r.asking, appID)
	}
}

// query asks everybody for a service's instances. With alone, it also asks from
// a port of our own, for responders that never answer to the group.
func (r *Responder) query(name string, alone bool) { r.ask(name, dns.TypePTR, alone) }

func (r *Responder) ask(name string, kind uint16, alone bool) {
	q, err := question(0, name, kind)
	if err != nil {
		r.log.Debug("mdns cannot ask for a name", slog.String("name", name), slog.Any("error", err))
		return
	}
	for _, l := range r.net.Load().links {
		r.send(l, netip.AddrPort{}, q)
		if alone {
			r.sent(l, r.out.ask(l, q))
		}
	}
}

// take takes in one packet from a socket.
func (r *Responder) take(p packet) {
	l, local, ok := r.net.Load().place(p.index, p.from.Addr())
	if !ok {
		r.counts.foreign.Add(1)
		return
	}
	var m dns.Msg
	if err := m.Unpack(p.data); err != nil {
		r.counts.malformed.Add(1)
		return
	}
	switch {
	case m.Opcode != dns.OpcodeQuery || m.Rcode != dns.RcodeSuccess:
		r.counts.malformed.Add(1)
	case !m.Response:
		r.counts.questions.Add(1)
		r.answer(&m, l, p.from, local)
	case p.from.Port() != mdnsPort:
		// Only a responder may answer; anybody can send from another port.
		r.counts.foreign.Add(1)
	default:
		r.counts.responses.Add(1)
		r.learn(&m, hearing{now: time.Now(), link: l, source: p.from.Addr(), local: local, oneShot: p.oneShot})
	}
}

func (r *Responder) learn(m *dns.Msg, h hearing) {
	r.zone.mu.RLock()
	rrs := slices.Concat(m.Answer, m.Ns, m.Extra)
	own := map[string]bool{}
	for _, rr := range rrs {
		if p, ok := rr.(*dns.PTR); ok {
			if name := strings.ToLower(p.Ptr); r.zone.byName[name] != nil {
				own[name] = true
			}
		}
	}
	r.zone.mu.RUnlock()

	r.mu.Lock()
	l := r.cache.learn(rrs, h, func(name string) bool { return own[name] })
	for _, appID := range l.apps {
		if s := r.asking[appID]; s != nil && r.cache.found[appID] != nil {
			close(s.found)
			delete(r.asking, appID)
		}
	}
	r.mu.Unlock()

	for _, name := range l.ask {
		r.ask(name, dns.TypeANY, true)
	}
	for _, s := range l.doubt {
		r.verify(s)
	}
}

// Failed tells that a connection to an app's sidecar at addr was refused.
// Resolve does not give that address again until its owner has answered anew;
// if it does not within a second, it is forgotten.
func (r *Responder) Failed(appID string, addr netip.AddrPort) {
	r.mu.Lock()
	s, ok := r.cache.suspect(appID, addr, time.Now())
	r.mu.Unlock()
	if ok {
		r.verify(s)
	}
}

// verify asks for the instances of s that are suspect or in doubt, and forgets
// those that do not answer.
func (r *Responder) verify(s *service) {
	asked := time.Now()
	r.query(s.name, false)
	r.agenda.after(verifyAgain, func() {
		if r.unheard(s) {
			r.query(s.name, true)
		}
	})
	r.agenda.after(verifyEnd, func() {
		r.mu.Lock()
		n := r.cache.dropIf(s, func(i *instance) bool {
			return due(i.suspect, asked) || due(i.doubt, asked)
		})
		r.mu.Unlock()
		if n > 0 {
			r.log.Info("mdns forgets sidecars that did not answer", slog.String("service", s.name), slog.Int("count", n))
			r.agenda.after(secondLook, func() { r.query(s.name, false) })
		}
	})
}

// due tells whether something marked at t was marked when it was asked about.
func due(t, asked time.Time) bool { return !t.IsZero() && !t.After(asked) }

func (r *Responder) unheard(s *service) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, i := range s.instances {
		if !i.suspect.IsZero() || !i.doubt.IsZero() {
			return true
		}
	}
	return false
}
