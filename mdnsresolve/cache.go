package mdnsresolve

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxInstances   = 4096 // remembered in all
	maxPerApp      = 256  // remembered of one app
	maxPerHost     = 256  // given a new address by one record
	maxTTL         = 75 * time.Minute
	interest       = 30 * time.Minute // how long an app that was asked for is kept fresh
	recently       = 5 * time.Second  // heard so lately, an instance needs no second look
	maxInterrogate = 16               // questions that one packet can make us ask
)

// cache is what other responders say. It knows nothing of sockets and takes
// the time from its callers, who also lock it.
type cache struct {
	services map[string]*service // by service name, lower case
	found    map[string]*found   // by app id: what Resolve reads
	hosts    map[place]crowd     // instances by the host that their SRV record names
	count    int                 // of instances
	full     uint64              // instances turned away for want of room
}

// service is one service name and the instances behind it.
type service struct {
	name      string // as first heard or asked for
	used      atomic.Int64
	instances map[place]*instance
}

// found is the usable instances of an app. The slice is replaced, never changed.
type found struct {
	addrs []netip.AddrPort
	svc   *service
}

// crowd is instances in no order.
type crowd map[*instance]struct{}

// place is where an instance or its host was heard: the same name on two interfaces may
// have two addresses.
type place struct {
	link int
	name string // lower case
}

// instance is what has been heard of one sidecar on one interface. It is
// usable when all four kinds of records are known.
type instance struct {
	place
	title    string // name as heard
	linkName string
	nearby   bool       // heard on the loopback interface
	source   netip.Addr // who said so last
	local    bool       // and whether that is this host
	appID    string     // "" until its TXT record is heard
	target   string     // host name, lower case; "" until its SRV record is heard
	port     uint16
	v4, v6   netip.Addr

	since, heard time.Time // first and last
	lives        [kinds]life
	asked        int       // refreshing questions since it was last heard
	suspect      time.Time // when it was reported unreachable; zero: not
	doubt        time.Time // when a newcomer made us ask for it; zero: not
}

// The kinds of records that an instance is made of.
const (
	ptrLife = iota
	srvLife
	txtLife
	addrLife
	kinds
)

// life is how long a record is good for.
type life struct {
	until time.Time
	ttl   time.Duration
}

func newCache() *cache {
	return &cache{services: map[string]*service{}, found: map[string]*found{}, hosts: map[place]crowd{}}
}

// addr gives where the instance listens; zero when that is not known.
func (i *instance) addr() netip.AddrPort {
	switch {
	case i.target == "" || i.port == 0:
		return netip.AddrPort{}
	case i.v4.IsValid():
		return netip.AddrPortFrom(i.v4, i.port)
	case i.v6.IsValid():
		return netip.AddrPortFrom(i.v6, i.port)
	}
	return netip.AddrPort{}
}

// complete tells whether everything is known that makes an instance of an app.
func (i *instance) complete() bool { return i.appID != "" && i.addr().IsValid() }

// end gives the record that runs out first among those that are known.
func (i *instance) end() life {
	var first life
	for _, l := range i.lives {
		if !l.until.IsZero() && (first.until.IsZero() || l.until.Before(first.until)) {
			first = l
		}
	}
	return first
}

// want marks the service of that name as asked for.
func (c *cache) want(name string, now time.Time) {
	c.service(name).used.Store(now.Unix())
}

func (c *cache) service(name string) *service {
	key := strings.ToLower(name)
	s := c.services[key]
	if s == nil {
		s = &service{name: name, instances: map[place]*instance{}}
		c.services[key] = s
	}
	return s
}

func (s *service) wanted(now time.Time) bool {
	return now.Unix()-s.used.Load() < int64(interest/time.Second)
}

// drop forgets one instance; publish makes it known.
func (c *cache) drop(s *service, i *instance) {
	if s.instances[i.place] != i {
		return
	}
	delete(s.instances, i.place)
	c.count--
	c.leave(i)
	if len(s.instances) == 0 && s.used.Load() == 0 {
		delete(c.services, strings.ToLower(s.name))
	}
}

// move gives an instance another host, whose address is not known yet.
func (c *cache) move(i *instance, target string) {
	c.leave(i)
	i.target, i.v4, i.v6, i.lives[addrLife] = target, netip.Addr{}, netip.Addr{}, life{}
	at := place{i.link, target}
	if c.hosts[at] == nil {
		c.hosts[at] = crowd{}
	}
	c.hosts[at][i] = struct{}{}
}

func (c *cache) leave(i *instance) {
	at := place{i.link, i.target}
	delete(c.hosts[at], i)
	if len(c.hosts[at]) == 0 {
		delete(c.hosts, at)
	}
}

// publish makes found say what the instances of an app are now.
func (c *cache) publish(s *service, appID string) {
	if appID == "" {
		return
	}
	best := map[string]*instance{} // by name: the nearest of several interfaces
	for _, i := range s.instances {
		if i.appID != appID || !i.complete() || !i.suspect.IsZero() {
			continue
		}
		if b := best[i.name]; b == nil || nearer(i, b) {
			best[i.name] = i
		}
	}
	at := make(map[netip.AddrPort]*instance, len(best))
	for _, i := range best {
		old := at[i.addr()]
		if old == nil {
			at[i.addr()] = i
			continue
		}
		// Two names at one address: only one can listen there, and it is the
		// one that came last. The other ended without a goodbye.
		if old.since.After(i.since) {
			old, i = i, old
		}
		at[i.addr()] = i
		for _, x := range s.instances {
			if x.name == old.name {
				c.drop(s, x)
			}
		}
	}
	if len(at) == 0 {
		delete(c.found, appID)
		return
	}
	c.found[appID] = &found{addrs: sortedAddrs(at), svc: s}
}

func nearer(a, b *instance) bool {
	if a.nearby != b.nearby {
		return a.nearby
	}
	return a.link < b.link
}

// sweep forgets what has run out and gives the names of services to ask about
// again so that they do not run out while they are in use.
func (c *cache) sweep(now time.Time) (refresh []string) {
	for key, s := range c.services {
		gone := map[string]bool{}
		again := false
		for _, i := range s.instances {
			end := i.end()
			if !now.Before(end.until) {
				c.drop(s, i)
				gone[i.appID] = true
				continue
			}
			if s.wanted(now) && i.stale(end, now) {
				i.asked++
				again = true
			}
		}
		for appID := range gone {
			c.publish(s, appID)
		}
		if again {
			refresh = append(refresh, s.name)
		}
		if len(s.instances) == 0 && !s.wanted(now) {
			delete(c.services, key)
		}
	}
	return refresh
}

// stale tells whether it is time to ask for i again: when its first record to
// end has 20, 10 and 5 per cent of its life left.
func (i *instance) stale(end life, now time.Time) bool {
	percent := []float64{20, 10, 5}
	return i.asked < len(percent) && end.until.Sub(now).Seconds() < end.ttl.Seconds()/100*percent[i.asked]
}

// dropLink forgets what was heard on an interface that is gone.
func (c *cache) dropLink(index int) {
	for _, s := range c.services {
		c.dropIf(s, func(i *instance) bool { return i.link == index })
	}
}

// dropIf forgets some instances of a service and reports how many.
func (c *cache) dropIf(s *service, gone func(*instance) bool) int {
	apps := map[string]bool{}
	n := 0
	for _, i := range s.instances {
		if gone(i) {
			c.drop(s, i)
			apps[i.appID] = true
			n++
		}
	}
	for appID := range apps {
		c.publish(s, appID)
	}
	return n
}

// suspect marks an app's instances at addr as unreachable until they are heard
// again; it gives the service and whether there were any.
func (c *cache) suspect(appID string, addr netip.AddrPort, now time.Time) (*service, bool) {
	f := c.found[appID]
	if f == nil {
		return nil, false
	}
	hit := false
	for _, i := range f.svc.instances {
		if i.appID == appID && i.addr() == addr && i.suspect.IsZero() {
			i.suspect, hit = now, true
		}
	}
	if hit {
		c.publish(f.svc, appID)
	}
	return f.svc, hit
}
