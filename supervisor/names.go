package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mesh/runtime/component"
	"mesh/runtime/names"
	"mesh/runtime/resource"
	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

// mdnsKind is what the resolver that every mesh has is called.
const mdnsKind = "mdns"

// namesOf gives the resolvers of a mesh in the order in which they are asked:
// those of mesh.toml, or else those that Configurations ask for, and then mDNS.
func namesOf(m *config.Mesh, found []resource.Configuration) []resource.NameResolution {
	var all []resource.NameResolution
	for i := range m.Resolvers {
		r := &m.Resolvers[i]
		n := resource.NameResolution{Component: r.Kind, Place: resource.Place(m.Places["mesh.names.resolvers"])}
		if r.Settings != nil {
			n.Options = r.Settings
		}
		all = append(all, n)
	}
	if len(all) > 0 {
		return all
	}
	for i := range found {
		if n := found[i].NameResolution; n != nil && n.Component != "" {
			all = append(all, *n)
		}
	}
	if !slices.ContainsFunc(all, func(n resource.NameResolution) bool { return n.Component == mdnsKind }) {
		all = append(all, resource.NameResolution{Component: mdnsKind})
	}
	return all
}

// Resolvers gives the ways by which a mesh finds the apps of others, in order;
// nothing when its resources cannot be read.
func Resolvers(m *config.Mesh) []string {
	have, err := supply(m)
	if err != nil {
		return nil
	}
	var kinds []string
	for _, n := range have.names {
		kinds = append(kinds, n.Component)
	}
	return kinds
}

// checkNames finds resolvers that do not exist.
func checkNames(all []resource.NameResolution) (errs resource.Errors) {
	for _, n := range all {
		if n.Component != mdnsKind && !slices.Contains(component.NamesTypes(), n.Component) {
			errs = append(errs, &resource.Error{
				Place: n.Place, Msg: fmt.Sprintf("there is no name resolution component %q", n.Component),
				Hint: "there are mdns, " + strings.Join(component.NamesTypes(), ", "),
			})
		}
	}
	return errs
}

// newFinder gives what a unit's sidecar finds the apps of others by.
func (s *Supervisor) newFinder(u *unit) *names.Finder {
	return names.NewFinder(func(w names.Want) (names.Resolver, func(context.Context) error) {
		return s.source(u, w)
	}, s.o.Log, func(kinds []string) {
		if err := u.sidecar.SetMetadata("nameResolution", strings.Join(kinds, ", ")); err != nil {
			s.o.Log.Warn("the order of resolvers is not shown", slog.Any("error", err))
		}
	})
}

// findBy tells the unit which resolvers to use: those of h, with what the unit
// itself is put in for variables. Only the loop, and New before it, call it.
func (s *Supervisor) findBy(u *unit, m *config.Mesh, h *supplies) {
	var wants []names.Want
	for _, n := range h.names {
		w := names.Want{Kind: n.Component, Config: names.Expand(n.Options, func(name string) string { return s.variable(name, u, m) })}
		if w.Kind != mdnsKind {
			w.Host = s.hostAddress(m)
		}
		wants = append(wants, w)
	}
	u.finder.Set(wants)
}

// errNoMulticast is what a mesh without a socket for mDNS says.
var errNoMulticast = errors.New("it could not be started with this mesh")

// deaf is mDNS where that is not possible.
type deaf struct{}

func (deaf) Resolve(context.Context, string) ([]netip.AddrPort, error) { return nil, errNoMulticast }

// source makes one way to find names for a unit, which may also make the unit
// known to others by it.
func (s *Supervisor) source(u *unit, w names.Want) (names.Resolver, func(context.Context) error) {
	if w.Kind == mdnsKind {
		if s.o.Names == nil {
			return deaf{}, nil
		}
		return s.o.Names, u.announce
	}
	late := names.NewLate(w.Kind, s.o.Log, func(ctx context.Context) (names.Started, error) {
		return component.NewNames(ctx, component.NamesOptions{
			Type: w.Kind, Config: w.Config, Dir: s.o.First.Dir, AppID: u.app, Host: w.Host,
			HTTPPort: u.at.http, InternalPort: u.internal, AppPort: u.at.app, Log: s.o.Log,
		})
	})
	return late, late.Run
}

// announce makes the unit known by mDNS until ctx ends.
func (u *unit) announce(ctx context.Context) error {
	if u.at.index > 1 { // the first one does; others must not wait at one that is not there yet
		select {
		case <-u.able:
		case <-ctx.Done():
			return nil
		}
	}
	withdraw := u.s.o.Names.Announce(u.app, u.name, u.internal)
	<-ctx.Done()
	withdraw()
	return nil
}

// moveTo makes the mesh known on another interface: its sidecars listen there, then
// others hear of it. On error nothing has changed. Only the loop calls it.
func (s *Supervisor) moveTo(iface string) error {
	was := s.cfg.Interface
	if iface == was {
		return nil
	}
	listen := func(iface string) error {
		for _, u := range s.units {
			if err := u.sidecar.ListenForPeers(peerHost(iface)); err != nil {
				return fmt.Errorf("%s cannot be reached on the interface %q: %w", u.name, iface, portTaken(err, u.internal))
			}
		}
		return nil
	}
	err := listen(iface)
	if err == nil && s.o.Move != nil {
		err = s.o.Move(iface)
	}
	if err != nil {
		return errors.Join(err, listen(was))
	}
	return nil
}

// hostAddress is where others reach the sidecars of a mesh: on this host, unless
// it is announced beyond.
func (s *Supervisor) hostAddress(m *config.Mesh) string {
	if host := newEnviron(s.o.Environ).value["DAPR_HOST_IP"]; host != "" {
		return host
	}
	const here = "127.0.0.1"
	switch m.Interface {
	case "", "loopback":
		return here
	case "all":
		return names.Outbound().String()
	}
	iface, err := net.InterfaceByName(m.Interface)
	if err != nil {
		return here
	}
	addrs, err := iface.Addrs()
	if err != nil {
		return here
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	return here
}

// variable gives what a ${NAME} in the configuration of a resolver stands for,
// which differs from sidecar to sidecar.
func (s *Supervisor) variable(name string, u *unit, m *config.Mesh) string {
	switch name {
	case "APP_ID":
		return u.app
	case "HOST_ADDRESS":
		return s.hostAddress(m)
	case "DAPR_PROFILE_PORT": // daprd has one; here one process serves all sidecars
		return ""
	}
	ports := map[string]int{
		"APP_PORT": u.at.app, "DAPR_PORT": u.internal, "DAPR_HTTP_PORT": u.at.http, "DAPR_GRPC_PORT": u.at.grpc, "DAPR_METRICS_PORT": u.at.metrics,
	}
	if p, ok := ports[name]; ok {
		return strconv.Itoa(p)
	}
	if v, ok := newEnviron(s.o.Environ).value[name]; ok {
		return v
	}
	for _, pair := range m.Env {
		if key, v, _ := strings.Cut(pair, "="); key == name {
			return v
		}
	}
	return ""
}

// Explain looks for an app and says where it is and who knows it, or why it is
// not found, as the sidecars of this mesh find it.
func (s *Supervisor) Explain(ctx context.Context, appID string) (said []string, found bool) {
	var own []string
	var finder *names.Finder
	if err := s.ask(ctx, func() {
		for _, u := range s.units {
			switch {
			case u.app != appID:
				if finder == nil {
					finder = u.finder
				}
				continue
			case u.shown.Phase == state.Ready:
				found = true
			}
			own = append(own, fmt.Sprintf("%s is %s, its sidecar listens at 127.0.0.1:%d", u.name, strings.TrimSpace(string(u.shown.Phase)+" "+u.shown.Reason), u.internal))
		}
	}); err != nil {
		return []string{err.Error()}, false
	}
	switch {
	case len(own) > 0:
		return append([]string{fmt.Sprintf("%s belongs to the mesh %s, so nobody is asked", appID, s.State().Name)}, own...), found
	case finder == nil:
		return []string{"the mesh runs no app whose sidecar could ask"}, false
	}
	return finder.Explain(ctx, appID)
}
