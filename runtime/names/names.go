// Package names finds sidecars by several ways in order: multicast DNS, Consul,
// a SQLite file, a pattern of host names.
//
// A Chain asks its sources one after the other and remembers which one knew an
// app. What a source has at hand already comes first, so that a slow source
// early in the order does not hold up a call for an app that another one knows.
// Late is a source that has to be started, such as a client of a server that may
// not be there yet.
package names

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
)

// Resolver finds the sidecars of apps. No address and no error means that the
// app is not known.
type Resolver interface {
	Resolve(ctx context.Context, appID string) ([]netip.AddrPort, error)
}

// Source is one way to find sidecars. Its Resolver may also be told of addresses
// at which nobody was reached (Failed), give at once what it knows (Known), and
// say in sentences what it knows (Explain).
type Source struct {
	Kind string // as people know it: mdns, consul
	Resolver
}

// Chain asks sources in order. Make it with NewChain.
type Chain struct {
	sources []Source
	last    sync.Map // app id -> index of the source that knew it
}

// NewChain gives a chain of at least one source.
func NewChain(sources ...Source) *Chain { return &Chain{sources: sources} }

// Kinds are the sources in order.
func (c *Chain) Kinds() []string {
	var all []string
	for _, s := range c.sources {
		all = append(all, s.Kind)
	}
	return all
}

// Resolve gives what the first source that knows the app says. When none does,
// the error has what each of them said.
func (c *Chain) Resolve(ctx context.Context, appID string) ([]netip.AddrPort, error) {
	for i, s := range c.sources {
		if k, ok := s.Resolver.(interface {
			Known(appID string) []netip.AddrPort
		}); ok {
			if addrs := k.Known(appID); len(addrs) > 0 {
				c.last.Store(appID, i)
				return addrs, nil
			}
		}
	}
	first := -1
	if v, ok := c.last.Load(appID); ok {
		first = v.(int) //nolint:errcheck // nothing else is stored
		if addrs, err := c.sources[first].Resolve(ctx, appID); err == nil && len(addrs) > 0 {
			return addrs, nil
		}
	}
	var said []error
	for i, s := range c.sources {
		if i == first {
			continue
		}
		addrs, err := s.Resolve(ctx, appID)
		if err == nil && len(addrs) > 0 {
			c.last.Store(appID, i)
			return addrs, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err == nil {
			err = errors.New("not known")
		}
		said = append(said, fmt.Errorf("%s: %w", s.Kind, err))
	}
	c.last.Delete(appID)
	return nil, &NotFoundError{AppID: appID, Said: said}
}

// NotFoundError says that no source knows an app.
type NotFoundError struct {
	AppID string
	Said  []error // by the sources, in order
}

func (e *NotFoundError) Error() string {
	var said []string
	for _, err := range e.Said {
		said = append(said, err.Error())
	}
	return fmt.Sprintf("couldn't find service: %s (%s)", e.AppID, strings.Join(said, "; "))
}

// Unwrap gives what the sources said.
func (e *NotFoundError) Unwrap() []error { return e.Said }

// Found gives the kind of the source that knew an app when it was last asked
// for, "" when none did or nobody has asked.
func (c *Chain) Found(appID string) string {
	if v, ok := c.last.Load(appID); ok {
		return c.sources[v.(int)].Kind //nolint:errcheck // nothing else is stored
	}
	return ""
}

// Failed tells every source that nobody was reached at an address.
func (c *Chain) Failed(appID string, addr netip.AddrPort) {
	for _, s := range c.sources {
		if d, ok := s.Resolver.(interface {
			Failed(appID string, addr netip.AddrPort)
		}); ok {
			d.Failed(appID, addr)
		}
	}
}

// Explain asks every source for an app and says in sentences what came of it,
// for a person who wonders why the app is, or is not, found. The one that calls
// go to by now is named last.
func (c *Chain) Explain(ctx context.Context, appID string) (said []string, found bool) {
	for _, s := range c.sources {
		addrs, err := s.Resolve(ctx, appID)
		found = found || err == nil && len(addrs) > 0
		if e, ok := s.Resolver.(interface{ Explain(appID string) []string }); ok {
			for _, text := range e.Explain(appID) {
				said = append(said, s.Kind+": "+text)
			}
			continue
		}
		switch {
		case err != nil:
			said = append(said, s.Kind+": "+err.Error())
		case len(addrs) == 0:
			said = append(said, fmt.Sprintf("%s: %s is not known", s.Kind, appID))
		}
		for _, a := range addrs {
			said = append(said, fmt.Sprintf("%s: %s is at %v", s.Kind, appID, a))
		}
	}
	if by := c.Found(appID); found && by != "" && len(c.sources) > 1 {
		said = append(said, fmt.Sprintf("calls go where %s says", by))
	}
	return said, found
}
