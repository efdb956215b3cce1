package component

import (
	"context"
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/dapr/components-contrib/health"
	"github.com/dapr/components-contrib/metadata"
)

// where says in which metadata the servers of a type are named.
type where struct {
	key  string // in any case
	port string // when the value has none
}

// pinger gives a way to ask whether the server of a started component answers:
// the component's own, or else a connection to one of the servers that its
// metadata name. It is nil when there is neither.
func (w where) pinger(raw any, base metadata.Base) func(context.Context) error {
	if p, ok := raw.(health.Pinger); ok {
		return p.Ping
	}
	value, _ := base.GetProperty(w.key)
	if w.key == "" || value == "" {
		return nil
	}
	servers := addresses(value, w.port)
	if len(servers) == 0 {
		return nil
	}
	return func(ctx context.Context) error { return reach(ctx, servers) }
}

// reach connects to one of the servers, and gives why it cannot.
func reach(ctx context.Context, servers []string) error {
	var errs []error
	for _, addr := range servers {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// addresses finds host:port in the ways in which metadata name servers: a
// list of addresses or URLs, or a connection string such as "host=db port=5432".
// What it cannot read, such as the path of a socket, it leaves out.
func addresses(value, port string) (all []string) {
	words := regexp.MustCompile(`(?:^|\s)(host|port)\s*=\s*('[^']*'|\S+)`)
	if found := words.FindAllStringSubmatch(value, -1); found != nil {
		host := ""
		for _, f := range found {
			if f[1] == "port" {
				port = strings.Trim(f[2], "'")
			} else {
				host = strings.Trim(f[2], "'")
			}
		}
		value = host
	}
	for one := range strings.SplitSeq(value, ",") {
		one = strings.TrimSpace(one)
		if strings.Contains(one, "://") {
			u, err := url.Parse(one)
			if err != nil {
				continue
			}
			one = u.Host
		}
		if one == "" || strings.ContainsAny(one, "/ ") {
			continue
		}
		if host, p, err := net.SplitHostPort(one); err == nil {
			all = append(all, net.JoinHostPort(host, p))
		} else {
			all = append(all, net.JoinHostPort(strings.Trim(one, "[]"), port))
		}
	}
	return all
}
