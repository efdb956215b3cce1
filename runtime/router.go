package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// router is the Handler at the caller's side: it finds the app that a call
// names, chooses one of its instances and hands the call over.
type router struct {
	s      *Sidecar
	caller stream.Caller
	next   atomic.Uint32 // for taking turns
}

func newRouter(s *Sidecar) *router {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	addr := "127.0.0.1"
	if h, _, err := net.SplitHostPort(s.o.HTTP); err == nil && h != "" {
		addr = h
	}
	return &router{s: s, caller: stream.Caller{AppID: s.o.AppID, Namespace: s.o.Namespace, Addr: addr, Host: host}}
}

// Handle implements stream.Handler.
func (r *router) Handle(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	id, err := appID(c.AppID)
	if err != nil {
		return nil, err
	}
	if id == r.s.o.AppID { // its own app: no hop, no headers of one
		c.Flow.Route(r.s.here)
		return r.s.app.Handle(ctx, c)
	}
	call := *c
	call.AppID = id
	call.Header = r.caller.Stamp(c.Header, id)
	if here := r.s.o.Peers.of(id); len(here) > 0 {
		return r.local(ctx, &call, here)
	}
	if r.s.o.Names == nil {
		return nil, fmt.Errorf("couldn't find service: %s", id)
	}
	return r.remote(ctx, &call)
}

// appID takes the namespace off an id: of the resolvers in use none knows
// namespaces.
func appID(name string) (string, error) {
	id, namespace, found := strings.Cut(name, ".")
	if id == "" || found && (namespace == "" || strings.Contains(namespace, ".")) {
		return "", fmt.Errorf("invalid app id %q", name)
	}
	return id, nil
}

// local calls an instance that lives in this process.
func (r *router) local(ctx context.Context, c *stream.Call, here []*Sidecar) (*stream.Reply, error) {
	transport := *r.s.transport.Load()
	var failed error
	turn := int(r.next.Add(1) & 0xffff)
	for _, s := range order(here, turn) {
		var reply *stream.Reply
		var err error
		if transport == stream.GRPC || transport == stream.Unary {
			reply, err = r.wire(ctx, c, s.internal.Addr().String(), transport == stream.Unary, s.o.Instance)
		} else {
			c.Flow.Route(s.here)
			reply, err = s.app.Handle(ctx, c)
		}
		if err == nil || !nextMayDo(err) {
			return reply, err
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// order puts the instances that are ready first, beginning with another one
// each turn.
func order(all []*Sidecar, turn int) []*Sidecar {
	sorted := make([]*Sidecar, 0, len(all))
	for _, ready := range []bool{true, false} {
		n := len(sorted)
		for _, s := range all {
			if s.app.Ready() == ready {
				sorted = append(sorted, s)
			}
		}
		if group := sorted[n:]; len(group) > 1 {
			rotate(group, turn%len(group))
		}
	}
	return sorted
}

func rotate[T any](list []T, by int) {
	head := append([]T(nil), list[:by]...)
	copy(list, list[by:])
	copy(list[len(list)-by:], head)
}

// remote calls an instance that other processes announce.
func (r *router) remote(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	addrs, err := r.s.o.Names.Resolve(ctx, c.AppID)
	if err != nil {
		return nil, err
	}
	addrs = append([]netip.AddrPort(nil), addrs...)
	if len(addrs) > 1 {
		rotate(addrs, int(r.next.Add(1)&0xffff)%len(addrs))
	}
	var failed error
	for _, a := range addrs {
		reply, err := r.wire(ctx, c, a.String(), *r.s.transport.Load() == stream.Unary, "")
		if err == nil || !nextMayDo(err) {
			return reply, err
		}
		r.s.o.Names.Failed(c.AppID, a)
		failed = errors.Join(failed, err)
	}
	if failed == nil {
		failed = fmt.Errorf("couldn't find service: %s", c.AppID)
	}
	return nil, failed
}

// nextMayDo says whether another instance may be tried: nothing was sent.
func nextMayDo(err error) bool {
	_, unreachable := errors.AsType[*stream.UnreachableError](err)
	return unreachable
}

func (r *router) wire(ctx context.Context, c *stream.Call, addr string, unary bool, instance string) (*stream.Reply, error) {
	out, err := r.s.o.Peers.outbound(addr, unary, instance)
	if err != nil {
		return nil, err
	}
	c.Flow.Route(out.peer)
	return out.Handle(ctx, c)
}

// outbound is a connection to a peer with the flows' name for it.
type outbound struct {
	*stream.Outbound
	peer *flow.Peer
}
