package stream

import (
	"maps"
	"net"
	"slices"
)

// Caller is what a sidecar says about itself in the headers of a call.
type Caller struct {
	AppID     string
	Namespace string
	Addr      string // IP address of the host, "" when unknown
	Host      string // name of the host, "" when unknown
}

// Stamp is a Caller as headers, made once for all calls: who calls, which a
// client cannot forge, and the caller's link of the forwarding chain.
type Stamp struct {
	caller, namespace     []string
	addr, host, forwarded []string // values of the chain; nil: nothing is said
}

// Stamp gives the Stamp of a Caller.
func (c Caller) Stamp() *Stamp {
	s := &Stamp{caller: []string{c.AppID}, namespace: []string{c.Namespace}}
	forwarded := ""
	if c.Addr != "" {
		s.addr = []string{c.Addr}
		node := c.Addr
		if ip := net.ParseIP(c.Addr); ip != nil && ip.To4() == nil {
			node = `"[` + c.Addr + `]"`
		}
		forwarded = "for=" + node + ";by=" + node
	}
	if c.Host != "" {
		s.host = []string{c.Host}
		if forwarded != "" {
			forwarded += ";"
		}
		forwarded += "host=" + c.Host
	}
	if forwarded != "" {
		s.forwarded = []string{forwarded}
	}
	return s
}

// StampedBy gives the call as it leaves the caller's sidecar for an app: Headers
// gives the headers of the stamp, too. They are not copied into a map of their
// own: that was 4 % of what a small call cost.
func (c *Call) StampedBy(s *Stamp, appID string) *Call {
	to := *c
	to.AppID, to.callee, to.stamp = appID, [1]string{appID}, s
	return &to
}

// Unstamped gives the call without what only a sidecar may say of who calls whom,
// for an app that calls itself, of which nobody says anything.
func (c *Call) Unstamped() *Call {
	forged := false
	for _, key := range [...]string{HeaderDestination, HeaderCallee, HeaderCaller, HeaderCallerNamespace} {
		_, ok := c.Header[key]
		forged = forged || ok
	}
	if !forged {
		return c
	}
	to := *c
	to.Header = maps.Clone(c.Header)
	for _, key := range [...]string{HeaderDestination, HeaderCallee, HeaderCaller, HeaderCallerNamespace} {
		delete(to.Header, key)
	}
	return &to
}

// Headers goes through the headers with which the call is sent on: Header, and
// what the caller's sidecar adds to it. No key comes twice. The values must not
// be changed or kept.
func (c *Call) Headers(yield func(key string, values []string) bool) {
	s := c.stamp
	begun := c.parent[0] != ""
	if begun && !yield(headerParent, c.parent[:]) {
		return
	}
	if s == nil {
		for key, values := range c.Header {
			if begun && (key == headerParent || key == headerState) {
				continue
			}
			if !yield(key, values) {
				return
			}
		}
		return
	}
	addr, host, forwarded := s.addr, s.host, s.forwarded
	for key, values := range c.Header {
		var more *[]string
		switch key {
		case HeaderDestination, HeaderCallee, HeaderCaller, HeaderCallerNamespace:
			continue
		case headerParent, headerState:
			if begun {
				continue
			}
		case "X-Forwarded-For":
			more = &addr
		case "X-Forwarded-Host":
			more = &host
		case "Forwarded":
			more = &forwarded
		}
		if more != nil && *more != nil {
			values = slices.Concat(values, *more)
			*more = nil
		}
		if !yield(key, values) {
			return
		}
	}
	for _, own := range [...]struct {
		key    string
		values []string
	}{
		{HeaderDestination, c.callee[:]},
		{HeaderCallee, c.callee[:]},
		{HeaderCaller, s.caller},
		{HeaderCallerNamespace, s.namespace},
		{"X-Forwarded-For", addr},
		{"X-Forwarded-Host", host},
		{"Forwarded", forwarded},
	} {
		if own.values != nil && !yield(own.key, own.values) {
			return
		}
	}
}
