package mdnsresolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	sweepEvery = time.Second
	scanEvery  = 2 * time.Second // costs about a tenth of a millisecond
	// repeatAfter is when an announcement is said again, for those that missed it.
	repeatAfter = time.Second
)

// Options say where and how a Responder works. The zero value works on the
// loopback interface and logs nothing.
type Options struct {
	// Interface is "loopback", the default: only this host is told; "all": every
	// interface that is up, the loopback interface too; or an interface's name.
	Interface string
	// Host is the host's name in our records; "": the operating system's.
	Host string
	Log  *slog.Logger
}

// Responder announces the services of this process and finds those of others.
// Its methods may be called by any goroutine at any time.
type Responder struct {
	log  *slog.Logger
	host string
	pid  int
	out  outlet

	moving sync.Mutex // of what follows, and held while net is exchanged
	mode   string
	scan   func() (*network, error)

	net    atomic.Pointer[network]
	zone   zone
	agenda *agenda
	ended  chan struct{}
	budget budget
	counts counts

	mu     sync.RWMutex // of what follows
	cache  *cache
	asking map[string]*lookup // by app id
}

// New opens the sockets. Run serves and closes them; a Responder that is not
// wanted after all is closed by a Run with an ended context.
func New(o Options) (*Responder, error) {
	mode := cmp.Or(o.Interface, loopback)
	host := o.Host
	if host == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("asking for the host's name: %w", err)
		}
		host = name
	}
	n, err := survey(mode)
	if err != nil {
		return nil, err
	}
	log := cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	out, err := openSockets(log)
	if err != nil {
		return nil, err
	}
	r := newResponder(log, hostLabel(host), out, nil)
	r.move(mode, func() (*network, error) { return scan(mode) }, n)
	return r, nil
}

// Use works on another interface from now on; iface is as Options.Interface. Those
// who are not to hear of us any more are told goodbye, the others where we are now.
// On error nothing has changed.
func (r *Responder) Use(iface string) error {
	mode := cmp.Or(iface, loopback)
	n, err := survey(mode)
	if err != nil {
		return err
	}
	r.move(mode, func() (*network, error) { return scan(mode) }, n)
	return nil
}

// move exchanges the interfaces and the way of looking at them.
func (r *Responder) move(mode string, look func() (*network, error), n *network) {
	r.moving.Lock()
	defer r.moving.Unlock()
	r.mode, r.scan = mode, look
	var left []link
	for _, l := range r.net.Load().links {
		if now, ok := n.link(l.index); !ok || !now.same(l) {
			left = append(left, l)
		}
	}
	r.zone.mu.RLock()
	r.goodbye(left)
	r.zone.mu.RUnlock()
	r.mu.Lock()
	for _, l := range left {
		r.cache.dropLink(l.index)
	}
	r.mu.Unlock()
	r.adopt(n)
}

func newResponder(log *slog.Logger, host string, out outlet, scan func() (*network, error)) *Responder {
	r := &Responder{
		log: log, host: host, pid: os.Getpid(), scan: scan, out: out,
		agenda: newAgenda(), ended: make(chan struct{}),
		cache: newCache(), asking: map[string]*lookup{},
	}
	r.net.Store(&network{})
	return r
}

// Run reads, answers, announces and keeps the cache true until ctx ends. Then
// it says goodbye for every name that is still announced and closes the
// sockets. It runs once.
func (r *Responder) Run(ctx context.Context) error {
	stop := r.out.listen(r.take)
	r.agenda.after(sweepEvery, r.sweep)
	r.agenda.after(scanEvery, r.look)
	r.agenda.run(ctx)
	close(r.ended)
	r.leave()
	if err := stop(); err != nil {
		return fmt.Errorf("closing the mDNS sockets: %w", err)
	}
	return nil
}

// look scans the interfaces again, and again.
func (r *Responder) look() {
	defer r.agenda.after(scanEvery, r.look)
	r.moving.Lock()
	defer r.moving.Unlock()
	n, err := r.scan()
	if err != nil {
		r.log.Debug("mdns keeps the interfaces it knows", slog.Any("error", err))
		return
	}
	r.adopt(n)
}

// adopt makes n the network: what is announced is told to links that are new or
// have changed, and what was heard on those that are gone is forgotten. The caller
// holds moving.
func (r *Responder) adopt(n *network) {
	old := r.net.Load()
	var fresh []link
	for _, l := range n.links {
		if was, ok := old.link(l.index); !ok || !was.same(l) {
			fresh = append(fresh, l)
			r.log.Info("mdns uses an interface", slog.String("interface", l.name), slog.String("address", l.source.String()))
		}
	}
	r.out.use(&network{links: union(old.links, n.links)})
	r.net.Store(n)
	r.out.use(n)
	for _, l := range old.links {
		if _, ok := n.link(l.index); !ok {
			r.log.Info("mdns lost an interface", slog.String("interface", l.name))
			r.mu.Lock()
			r.cache.dropLink(l.index)
			r.mu.Unlock()
		}
	}
	if len(fresh) > 0 {
		r.announceOn(fresh)
		r.agenda.after(repeatAfter, func() { r.announceOn(fresh) })
	}
}

// union gives both, so that no packet meets an interface that was left already.
func union(a, b []link) []link {
	n := network{links: b}
	u := slices.Clip(b)
	for _, l := range a {
		if _, ok := n.link(l.index); !ok {
			u = append(u, l)
		}
	}
	return u
}

// sweep lets old records go and asks again for those that are in use.
func (r *Responder) sweep() {
	r.agenda.after(sweepEvery, r.sweep)
	r.mu.Lock()
	refresh := r.cache.sweep(time.Now())
	r.mu.Unlock()
	for _, name := range refresh {
		r.query(name, false)
	}
}

// send sends and counts; an error is that of one link and no reason to stop.
func (r *Responder) send(l link, to netip.AddrPort, data []byte) {
	r.sent(l, r.out.send(l, to, data))
}

func (r *Responder) sent(l link, err error) {
	if err == nil {
		r.counts.sent.Add(1)
		return
	}
	r.counts.unsent.Add(1)
	select {
	case <-r.ended:
	default:
		r.log.Debug("mdns could not send", slog.String("interface", l.name), slog.Any("error", err))
	}
}

// errEnded says that Run has returned or is about to.
var errEnded = errors.New("the mDNS responder has ended")
