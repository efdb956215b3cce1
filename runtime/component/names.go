package component

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/dapr/components-contrib/nameresolution"
	"github.com/dapr/components-contrib/nameresolution/hashicorp/consul"
	"github.com/dapr/components-contrib/nameresolution/nameformat"
	namesqlite "github.com/dapr/components-contrib/nameresolution/sqlite"
	"github.com/dapr/kit/logger"
)

// NamesOptions say which of Dapr's name resolution components finds the
// sidecars of other apps, and for whom.
type NamesOptions struct {
	Type   string // consul, hashicorp.consul, sqlite or nameformat
	Config any    // the component's configuration, as a Configuration resource has it
	Dir    string // where relative file names in it start, absolute; "": in the folder of the process

	// The sidecar that asks, and that is registered where the component does that.
	AppID, Namespace string
	Host             string // address at which others reach the sidecar
	HTTPPort         int
	InternalPort     int
	AppPort          int

	Log *slog.Logger // nil: nowhere
}

// Names finds sidecars by a name resolution component of Dapr.
type Names struct {
	kind     string
	resolver nameresolution.Resolver
}

// NamesTypes are the types that NewNames knows.
func NamesTypes() []string { return []string{"consul", "hashicorp.consul", "nameformat", "sqlite"} }

// NewNames starts the component, which may register the sidecar with a server.
// The caller closes it.
func NewNames(ctx context.Context, o NamesOptions) (*Names, error) {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	var l logger.Logger = contribLog{log}
	var fresh func() nameresolution.Resolver
	switch o.Type {
	case "consul", "hashicorp.consul":
		fresh = func() nameresolution.Resolver { return consul.NewResolver(l) }
	case "sqlite":
		fresh = func() nameresolution.Resolver { return namesqlite.NewResolver(l) }
	case "nameformat":
		fresh = func() nameresolution.Resolver { return nameformat.NewResolver(l) }
	default:
		return nil, fmt.Errorf("there is no name resolution component %q: use consul, sqlite or nameformat", o.Type)
	}
	config, err := o.config()
	if err != nil {
		return nil, fmt.Errorf("starting name resolution by %s: %w", o.Type, err)
	}
	limit := time.Now().Add(busyLimit)
	for {
		r := fresh()
		err := o.init(ctx, r, config)
		if err == nil {
			return &Names{kind: o.Type, resolver: r}, nil
		}
		if o.Type == "sqlite" { // the others hold nothing that was not started
			err = errors.Join(err, r.Close())
		}
		if !isBusy(err) || time.Now().After(limit) {
			return nil, fmt.Errorf("starting name resolution by %s: %w", o.Type, err)
		}
		select {
		case <-time.After(busyPause/2 + rand.N(busyPause)):
		case <-ctx.Done():
			return nil, fmt.Errorf("starting name resolution by %s: %w", o.Type, err)
		}
	}
}

// SQLite does not wait for others while a file gets its first tables, whatever
// the component's busyTimeout is: sidecars that start together are tried again.
const (
	busyLimit = 10 * time.Second
	busyPause = 20 * time.Millisecond
)

// isBusy says whether SQLite refuses because somebody else is at work on the file.
func isBusy(err error) bool {
	type coded interface {
		error
		Code() int
	}
	const busy, primary = 5, 0xff // SQLITE_BUSY, and what its extended codes have in common
	e, ok := errors.AsType[coded](err)
	return ok && e.Code()&primary == busy
}

// init starts the component for the sidecar.
func (o *NamesOptions) init(ctx context.Context, r nameresolution.Resolver, config any) error {
	return r.Init(ctx, nameresolution.Metadata{
		Configuration: config,
		Instance: nameresolution.Instance{
			AppID: o.AppID, Namespace: o.Namespace, Address: o.Host,
			DaprHTTPPort: o.HTTPPort, DaprInternalPort: o.InternalPort, AppPort: o.AppPort,
		},
	})
}

// config gives the configuration in the form that the component reads.
func (o *NamesOptions) config() (any, error) {
	switch o.Type {
	case "consul", "hashicorp.consul":
		return numericPorts(o.Config), nil
	case "sqlite":
		given, ok := o.Config.(map[string]any)
		if !ok || o.Dir == "" {
			return o.Config, nil
		}
		made := maps.Clone(given)
		for key, value := range given {
			if text, ok := value.(string); ok && (strings.EqualFold(key, "connectionString") || strings.EqualFold(key, "url")) {
				var err error
				if made[key], err = database(o.Dir, text); err != nil {
					return nil, err
				}
			}
		}
		return made, nil
	}
	return o.Config, nil
}

// numericPorts makes numbers of the ports in a configuration of Consul: what
// was put in for a variable is text. Names in meta are the user's own.
func numericPorts(config any) any {
	switch c := config.(type) {
	case []any:
		all := make([]any, len(c))
		for i, v := range c {
			all[i] = numericPorts(v)
		}
		return all
	case map[string]any:
		all := make(map[string]any, len(c))
		for key, v := range c {
			all[key] = v
			if strings.EqualFold(key, "meta") {
				continue
			}
			all[key] = numericPorts(v)
			if text, ok := v.(string); ok && strings.EqualFold(key, "port") {
				if n, err := strconv.Atoi(text); err == nil {
					all[key] = n
				}
			}
		}
		return all
	}
	return config
}

// Resolve gives where a sidecar of the app listens. The component chooses when
// there are several.
func (n *Names) Resolve(ctx context.Context, appID string) ([]netip.AddrPort, error) {
	addr, err := n.ask(ctx, appID)
	if err != nil {
		return nil, fmt.Errorf("asking %s for %s: %w", n.kind, appID, err)
	}
	if addr == "" {
		return nil, nil
	}
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return []netip.AddrPort{ap}, nil
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("%s says that %s is at %q, which is no host:port", n.kind, appID, addr)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%s says that %s is at %q, whose port is no number", n.kind, appID, addr)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("%s says that %s is at %s: %w", n.kind, appID, addr, err)
	}
	var all []netip.AddrPort
	for _, ip := range ips {
		all = append(all, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	return all, nil
}

// ask asks the component. Some do not look at ctx: their answer is then not
// waited for, and dropped.
func (n *Names) ask(ctx context.Context, appID string) (string, error) {
	type answer struct {
		addr string
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // ends with the request to the server, which has a limit of its own
		addr, err := n.resolver.ResolveID(ctx, nameresolution.ResolveRequest{ID: appID})
		answers <- answer{addr, err}
	}()
	select {
	case a := <-answers:
		return a.addr, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Close takes the registration back, where that is configured, and lets go of
// the server.
func (n *Names) Close() error {
	if err := n.resolver.Close(); err != nil {
		return fmt.Errorf("ending name resolution by %s: %w", n.kind, err)
	}
	return nil
}
