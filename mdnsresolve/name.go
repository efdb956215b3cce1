package mdnsresolve

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

const (
	domain   = "local."
	enumName = "_services._dns-sd._udp." + domain // asking for it lists the services of a network

	maxLabel = 63 // bytes, by the DNS
	maxHost  = 40 // of a label; the rest is for the process and the instance
)

// serviceName gives the name under which an app's sidecars are found, as it
// appears in an unpacked packet: "orders" is "orders.local.".
func serviceName(appID string) (string, error) {
	name := escape(appID, true) + "." + domain
	switch {
	case appID == "" || strings.HasPrefix(appID, ".") || strings.HasSuffix(appID, ".") || strings.Contains(appID, ".."):
		return "", fmt.Errorf("%q is no name for mDNS: an app id has at least one character and no empty part between dots", appID)
	case strings.HasPrefix(appID, "_"):
		return "", fmt.Errorf("%q is no name for mDNS: a leading underscore marks protocols; give the app an id without it", appID)
	}
	if _, ok := dns.IsDomainName(name); !ok {
		return "", fmt.Errorf("%q is no name for mDNS: each part of an app id has at most %d bytes; give the app a shorter id", appID, maxLabel)
	}
	return name, nil
}

// isService tells whether name could be an app's: in the local domain and not
// one of the "_protocol._tcp" services of others.
func isService(name string) bool {
	return len(name) > len(domain) && name[0] != '_' && hasSuffixFold(name, "."+domain)
}

// isInstance tells whether name is an instance of service: one label in front of it.
func isInstance(name, service string) bool {
	at, end := dns.NextLabel(name, 0)
	return !end && strings.EqualFold(name[at:], service)
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// instanceLabel gives the first label of an instance's name: host, process and
// what tells apart the instances of one process. It is cut to fit.
func instanceLabel(host string, pid int, instance string) string {
	label := fmt.Sprintf("%s:%d-%s", host, pid, instance)
	return label[:min(len(label), maxLabel)]
}

// hostLabel makes a label of letters, digits and hyphens from a host's name.
// Only the part before the first dot counts, since the rest is a domain.
func hostLabel(name string) string {
	name, _, _ = strings.Cut(name, ".")
	label := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, name)
	label = strings.Trim(label[:min(len(label), maxHost)], "-")
	if label == "" {
		return "host"
	}
	return label
}

// escape writes bytes as the DNS library writes them when it unpacks a name, so
// that names can be compared as strings. With dots, a dot separates labels.
func escape(raw string, dots bool) string {
	var b strings.Builder
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == '.' && dots:
			b.WriteByte(c)
		case strings.IndexByte(`. '@;()"\`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape undoes escape, and the escapes of TXT strings.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		if i+2 < len(s) && digit(s[i]) && digit(s[i+1]) && digit(s[i+2]) {
			b = append(b, (s[i]-'0')*100+(s[i+1]-'0')*10+(s[i+2]-'0'))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
