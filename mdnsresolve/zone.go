package mdnsresolve

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/mdns"
	"github.com/miekg/dns"
)

// The seconds for which others may keep our records: those that Dapr's
// sidecars publish.
const (
	nameTTL = 3200
	addrTTL = 120
	// oneShotTTL is for askers that do not listen to the group and so never
	// hear a goodbye.
	oneShotTTL = 10
)

// cacheFlush is the bit in a record's class that says "this replaces what you
// knew", and in a question's class "answer me directly".
const cacheFlush = 1 << 15

// Service is one sidecar to be found by others.
type Service struct {
	AppID string
	// Instance tells apart the sidecars of one app in this process; "": the port does.
	Instance string
	Port     int        // of the sidecar's internal gRPC server
	Addr     netip.Addr // where it listens; zero: the address of the interface that is asked
}

// owned is a service of ours with its names. It does not change.
type owned struct {
	Service
	label    string // the first label of name, escaped
	service  string // "orders.local."
	name     string // "host:4711-1.orders.local."
	hostname string // "host-4711-50002.local.": of this instance alone, so that its goodbye leaves others' addresses alone
}

func newOwned(s Service, host string, pid int) (*owned, error) {
	service, err := serviceName(s.AppID)
	if err != nil {
		return nil, err
	}
	if s.Port < 1 || s.Port > 65535 {
		return nil, fmt.Errorf("port %d of %s cannot be announced: it must be between 1 and 65535", s.Port, s.AppID)
	}
	instance := s.Instance
	if instance == "" {
		instance = strconv.Itoa(s.Port)
	}
	o := &owned{Service: s, service: service}
	if o.Addr = s.Addr.Unmap().WithZone(""); o.Addr.IsUnspecified() {
		o.Addr = netip.Addr{} // it listens everywhere
	}
	o.label = escape(instanceLabel(host, pid, instance), false)
	o.name = o.label + "." + service
	o.hostname = fmt.Sprintf("%s-%d-%d.%s", host, pid, s.Port, domain)
	if _, ok := dns.IsDomainName(o.name); !ok {
		return nil, fmt.Errorf("%q is no name for mDNS: app id and instance are too long together; shorten one of them", s.AppID)
	}
	return o, nil
}

// bundle is the records of one instance that belong in one packet, so that
// whoever hears it needs no second question.
type bundle struct {
	answer, extra []dns.RR
	local         bool // its address means something on this host only
}

// records gives the instance's records as they are on one interface; empty when
// it has no address there.
func (o *owned) records(l link) bundle {
	addr := o.Addr
	if !addr.IsValid() {
		addr = l.publish
	}
	if !addr.IsValid() {
		return bundle{}
	}
	ips := []net.IP{addr.AsSlice()}
	app := strings.TrimSuffix(o.service, "."+domain)
	svc, err := mdns.NewMDNSService(o.label, app, domain, o.hostname, o.Port, ips, []string{escape(o.AppID, true)})
	if err != nil {
		return bundle{}
	}
	g := bundle{local: addr.IsLoopback()}
	for _, rr := range svc.Records(dns.Question{Name: o.service, Qtype: dns.TypePTR, Qclass: dns.ClassINET}) {
		h := rr.Header()
		h.Ttl = nameTTL
		switch rr := rr.(type) {
		case *dns.PTR:
			g.answer = append(g.answer, rr)
			continue
		case *dns.SRV:
			rr.Priority, rr.Weight = 0, 0
		case *dns.A, *dns.AAAA:
			h.Ttl = addrTTL
		}
		g.extra = append(g.extra, rr)
	}
	return g
}

// announcement gives everything there is to say about the instance, unasked.
func (o *owned) announcement(l link) bundle {
	g := o.records(l)
	if len(g.answer) == 0 {
		return g
	}
	g.answer, g.extra = slices.Concat(g.answer, g.extra, []dns.RR{o.enumeration()}), nil
	return g
}

// goodbye gives the records that make others forget the instance.
func (o *owned) goodbye(l link) bundle {
	g := o.records(l)
	g.answer, g.extra = slices.Concat(g.answer, g.extra), nil
	for _, rr := range g.answer {
		rr.Header().Ttl = 0
	}
	return g
}

func (o *owned) enumeration() dns.RR {
	return &dns.PTR{
		Hdr: dns.RR_Header{Name: enumName, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: nameTTL},
		Ptr: o.service,
	}
}

// zone is the services of this process. Whatever is said about them is said
// with mu held, so that no answer can follow a goodbye.
type zone struct {
	mu     sync.RWMutex
	byName map[string]*owned   // by instance name, lower case
	byApp  map[string][]*owned // by service name, lower case; in order of appearance
}

func (z *zone) add(o *owned) {
	if z.byName == nil {
		z.byName, z.byApp = map[string]*owned{}, map[string][]*owned{}
	}
	if old := z.byName[strings.ToLower(o.name)]; old != nil {
		z.remove(old)
	}
	z.byName[strings.ToLower(o.name)] = o
	app := strings.ToLower(o.service)
	z.byApp[app] = append(z.byApp[app], o)
}

// remove reports whether o was there; another that has taken its name stays.
func (z *zone) remove(o *owned) bool {
	if !z.has(o) {
		return false
	}
	delete(z.byName, strings.ToLower(o.name))
	app := strings.ToLower(o.service)
	z.byApp[app] = slices.DeleteFunc(z.byApp[app], func(x *owned) bool { return x == o })
	if len(z.byApp[app]) == 0 {
		delete(z.byApp, app)
	}
	return true
}

func (z *zone) has(o *owned) bool { return z.byName[strings.ToLower(o.name)] == o }

// answers gives what there is to say to a question heard on l.
func (z *zone) answers(q dns.Question, l link) []bundle {
	if class := q.Qclass &^ cacheFlush; class != dns.ClassINET && class != dns.ClassANY {
		return nil
	}
	name := strings.ToLower(q.Name)
	var groups []bundle
	if name == enumName && asks(q, dns.TypePTR) {
		for _, list := range z.byApp {
			groups = append(groups, bundle{answer: []dns.RR{list[0].enumeration()}})
		}
		return groups
	}
	if asks(q, dns.TypePTR) {
		for _, o := range z.byApp[name] {
			if g := o.records(l); len(g.answer) > 0 {
				groups = append(groups, g)
			}
		}
	}
	if o := z.byName[name]; o != nil {
		groups = append(groups, o.records(l).about(q))
	}
	for _, o := range z.byName {
		if strings.EqualFold(o.hostname, name) {
			g := o.records(l).about(q)
			g.extra = nil
			groups = append(groups, g)
		}
	}
	return slices.DeleteFunc(groups, func(g bundle) bool { return len(g.answer) == 0 })
}

func asks(q dns.Question, kind uint16) bool { return q.Qtype == kind || q.Qtype == dns.TypeANY }

// about parts the records of an instance, without the pointer to it, into those
// that a question is about and the rest.
func (g bundle) about(q dns.Question) bundle {
	to := bundle{local: g.local}
	for _, rr := range g.extra {
		h := rr.Header()
		if strings.EqualFold(h.Name, q.Name) && asks(q, h.Rrtype) {
			to.answer = append(to.answer, rr)
		} else {
			to.extra = append(to.extra, rr)
		}
	}
	return to
}
