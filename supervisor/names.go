package supervisor

import (
	"context"
	"strconv"

	"mesh/runtime"
	"mesh/runtime/component"
	"mesh/runtime/names"
)

// mdnsKind is what the resolver that every mesh has is called.
const mdnsKind = "mdns"

// resolvers gives how a unit's sidecar finds the apps of others: by what the
// Configurations in the resources folders ask for, in order, and then by mDNS.
// Those that the unit has to run are put into it.
func (s *Supervisor) resolvers(u *unit, internal int) runtime.Names {
	var chain []names.Source
	multicast := s.o.Names != nil
	for _, n := range s.stock.have.names {
		if n.Component == mdnsKind {
			if multicast {
				chain = append(chain, names.Source{Kind: mdnsKind, Resolver: s.o.Names})
				multicast = false
			}
			continue
		}
		o := component.NamesOptions{
			Type: n.Component, AppID: u.app, Host: s.hostAddress(),
			HTTPPort: u.at.http, InternalPort: internal, AppPort: u.at.app, Log: s.o.Log,
		}
		o.Config = names.Expand(n.Options, func(name string) string { return s.variable(name, o, u.at) })
		late := names.NewLate(n.Component, s.o.Log, func(ctx context.Context) (names.Started, error) {
			return component.NewNames(ctx, o)
		})
		chain = append(chain, names.Source{Kind: n.Component, Resolver: late})
		u.resolvers = append(u.resolvers, late)
	}
	switch {
	case len(chain) == 0 && s.o.Names == nil:
		return nil
	case len(chain) == 0:
		return s.o.Names
	case multicast:
		chain = append(chain, names.Source{Kind: mdnsKind, Resolver: s.o.Names})
	}
	return names.NewChain(chain...)
}

// hostAddress is where others reach the sidecars.
func (s *Supervisor) hostAddress() string {
	if host := newEnviron(s.o.Environ).value["DAPR_HOST_IP"]; host != "" {
		return host
	}
	return "127.0.0.1"
}

// variable gives what a ${NAME} in the configuration of a resolver stands for,
// which differs from sidecar to sidecar.
func (s *Supervisor) variable(name string, o component.NamesOptions, at place) string {
	switch name {
	case "APP_ID":
		return o.AppID
	case "HOST_ADDRESS":
		return o.Host
	}
	ports := map[string]int{
		"APP_PORT": at.app, "DAPR_PORT": o.InternalPort, "DAPR_HTTP_PORT": at.http, "DAPR_GRPC_PORT": at.grpc, "DAPR_METRICS_PORT": at.metrics,
	}
	if p, ok := ports[name]; ok {
		return strconv.Itoa(p)
	}
	return newEnviron(s.o.Environ).value[name]
}
