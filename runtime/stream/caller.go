package stream

import (
	"maps"
	"net"
	"net/http"
	"slices"
)

// Caller is what a sidecar says about itself in the headers of a call.
type Caller struct {
	AppID     string
	Namespace string
	Addr      string // IP address of the host, "" when unknown
	Host      string // name of the host, "" when unknown
}

// Stamp gives the headers of a call with the caller's own added: who calls
// whom, which a client cannot forge, and the forwarding chain. h is not changed.
func (c Caller) Stamp(h http.Header, callee string) http.Header {
	out := make(http.Header, len(h)+7)
	maps.Copy(out, h)
	values := [...]string{callee, c.AppID, c.Namespace} // one allocation for all
	out[HeaderDestination] = values[0:1:1]
	out[HeaderCallee] = values[0:1:1]
	out[HeaderCaller] = values[1:2:2]
	out[HeaderCallerNamespace] = values[2:3:3]
	appended := func(key, value string) {
		old := h[key]
		out[key] = append(slices.Clip(old), value)
	}
	var forwarded string
	if c.Addr != "" {
		appended("X-Forwarded-For", c.Addr)
		node := c.Addr
		if ip := net.ParseIP(c.Addr); ip != nil && ip.To4() == nil {
			node = `"[` + c.Addr + `]"`
		}
		forwarded = "for=" + node + ";by=" + node
	}
	if c.Host != "" {
		appended("X-Forwarded-Host", c.Host)
		if forwarded != "" {
			forwarded += ";"
		}
		forwarded += "host=" + c.Host
	}
	if forwarded != "" {
		appended("Forwarded", forwarded)
	}
	return out
}
