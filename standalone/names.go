package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"mesh/mdnsresolve"
	"mesh/runtime/component"
	"mesh/runtime/names"
	"mesh/runtime/resource"
)

// mdnsKind is what the resolver that needs nothing is called in configurations.
const mdnsKind = "mdns"

// configurations reads the files with Dapr's Configuration.
func (s *Sidecar) configurations() ([]resource.Configuration, error) {
	var all []resource.Configuration
	for _, file := range s.o.Configs {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		r, err := resource.Parse(file, os.Expand(string(text), s.variable))
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		all = append(all, r.Configurations...)
	}
	return all, nil
}

// resolvers gives the resolvers that configurations ask for, in order; mDNS when
// they ask for none.
func resolvers(configs []resource.Configuration) ([]resource.NameResolution, error) {
	var all []resource.NameResolution
	for i := range configs {
		n := configs[i].NameResolution
		if n == nil || n.Component == "" {
			continue
		}
		if n.Component != mdnsKind && !slices.Contains(component.NamesTypes(), n.Component) {
			return nil, fmt.Errorf("%v: there is no name resolution component %q; there are mdns, %s", n.Place, n.Component, strings.Join(component.NamesTypes(), ", "))
		}
		all = append(all, *n)
	}
	if len(all) == 0 {
		all = append(all, resource.NameResolution{Component: mdnsKind})
	}
	return all, nil
}

func usesMDNS(all []resource.NameResolution) bool {
	return slices.ContainsFunc(all, func(n resource.NameResolution) bool { return n.Component == mdnsKind })
}

func describe(all []resource.NameResolution) string {
	var kinds []string
	for _, n := range all {
		kinds = append(kinds, n.Component)
	}
	return strings.Join(kinds, ", ")
}

// variable gives the value of a ${NAME} in a configuration: what the sidecar
// itself is, then the environment. The environment of the process stays as it
// is: there may be other sidecars in it.
func (s *Sidecar) variable(name string) string {
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	switch name {
	case "APP_ID":
		return s.o.AppID
	case "APP_PORT":
		return number(s.o.AppPort)
	case "HOST_ADDRESS":
		return s.host.String()
	case "DAPR_PROFILE_PORT":
		return number(s.o.ProfilePort)
	}
	if s.inner != nil { // the ports are known
		p := s.inner.Ports()
		switch name {
		case "DAPR_PORT":
			return number(p.Internal)
		case "DAPR_HTTP_PORT":
			return number(p.HTTP)
		case "DAPR_GRPC_PORT":
			return number(p.GRPC)
		case "DAPR_METRICS_PORT":
			return number(p.Metrics)
		}
	}
	return s.o.Environ(name)
}

// keep holds components and resolvers to what files declare, now and whenever
// Reload is called, until ctx ends.
func (s *Sidecar) keep(ctx context.Context) error {
	have, err := s.supply() // again: now the ports are known
	if err != nil {
		return err
	}
	for {
		s.findBy(have.names)
		s.restock(ctx, have)
		s.loaded.Store(true)
		if have, err = s.awaitReload(ctx); err != nil {
			return nil //nolint:nilerr // the end
		}
	}
}

// awaitReload gives the next declarations that can be used; the error is that of
// ctx.
func (s *Sidecar) awaitReload(ctx context.Context) (*supplies, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.reload:
		}
		have, err := s.supply()
		if err == nil {
			s.o.Log.InfoContext(ctx, "the configuration has been read anew", slog.String("name_resolution", describe(have.names)), slog.Int("components", len(have.want.Components)))
			return have, nil
		}
		s.o.Log.ErrorContext(ctx, "the configuration cannot be used, so nothing changes", slog.Any("error", err))
	}
}

// findBy says by which resolvers names are found from now on.
func (s *Sidecar) findBy(all []resource.NameResolution) {
	var wants []names.Want
	for _, n := range all {
		wants = append(wants, names.Want{Kind: n.Component, Config: n.Options})
	}
	s.finder.Set(wants)
}

// errNoMulticast is what a sidecar without a socket for mDNS says.
var errNoMulticast = errors.New("it was not asked for, or not possible, when this sidecar started")

// deaf is mDNS where that is not possible.
type deaf struct{}

func (deaf) Resolve(context.Context, string) ([]netip.AddrPort, error) { return nil, errNoMulticast }

// source makes one way to find names, which may also make the sidecar known.
func (s *Sidecar) source(w names.Want) (names.Resolver, func(context.Context) error) {
	if w.Kind == mdnsKind {
		if s.mdns == nil {
			return deaf{}, nil
		}
		return s.mdns, s.announce
	}
	late := names.NewLate(w.Kind, s.o.Log, func(ctx context.Context) (names.Started, error) {
		p := s.inner.Ports()
		return component.NewNames(ctx, component.NamesOptions{
			Type: w.Kind, Config: w.Config, Dir: s.o.Dir, AppID: s.o.AppID, Namespace: s.o.Namespace,
			Host: s.host.String(), HTTPPort: p.HTTP, InternalPort: p.Internal, AppPort: s.o.AppPort, Log: s.o.Log,
		})
	})
	return late, late.Run
}

// announce tells others by mDNS where the sidecar is until ctx ends.
func (s *Sidecar) announce(ctx context.Context) error {
	var at netip.Addr // of the interface that is asked
	if s.o.Host != "" {
		at = s.host
	}
	withdraw := s.mdns.Announce(mdnsresolve.Service{AppID: s.o.AppID, Port: s.inner.Ports().Internal, Addr: at})
	<-ctx.Done()
	withdraw()
	return nil
}

// showNames tells in the metadata which resolvers are asked.
func (s *Sidecar) showNames(kinds []string) {
	if err := s.inner.SetMetadata("nameResolution", strings.Join(kinds, ", ")); err != nil {
		s.o.Log.Warn("the order of resolvers is not shown", slog.Any("error", err))
	}
}
