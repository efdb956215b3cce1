package runtime

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/appchan"
	"mesh/runtime/rpc"
	"mesh/runtime/stream"
)

var _ rpc.Handler = (*router)(nil)

// Pass passes a call of an app's own gRPC services on, by the ways that Handle
// takes. Whole bodies have no meaning for it: the transport "unary" is a wire
// like "grpc".
func (r *router) Pass(ctx context.Context, c *rpc.Call) error {
	appID, namespace, err := r.split(c.AppID)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if appID == r.appID && namespace == r.namespace {
		c.Flow.Route(r.self.local)
		return r.self.Pass(ctx, c)
	}
	md := c.Header.Copy()
	md.Set(rpc.KeyCaller, r.appID)
	md.Set(rpc.KeyCallee, appID)
	c = c.With(appID, md)
	for {
		g, err := r.peers.get(ctx, appID, c.Flow)
		if err != nil {
			return err
		}
		if g == nil {
			break
		}
		if err := r.passHere(ctx, c, g); err == nil || !r.replaced(ctx, g, err) {
			return err
		}
	}
	addrs, n, err := r.resolve(ctx, appID)
	if err != nil {
		return err
	}
	if n > 1 {
		c.Keep()
	}
	for addr := range addrs {
		if err = r.passTo(ctx, c, addr.String(), ""); !c.Again(ctx, err) {
			break
		}
		if again(ctx, err) {
			r.missed(appID, addr)
		}
	}
	return err
}

// passHere passes a call on to an app of this process.
func (r *router) passHere(ctx context.Context, c *rpc.Call, g *peerGroup) (err error) {
	if err := g.await(ctx, c.Flow); err != nil {
		return err
	}
	if len(g.all) > 1 {
		c.Keep()
	}
	wired := *r.transport.Load() != stream.Auto
	for s := range g.order {
		if !wired {
			c.Flow.Route(s.local)
			err = s.Pass(ctx, c)
		} else if err = s.app.Await(ctx, c.Flow); err == nil { // sooner known here than over the wire
			err = r.passTo(ctx, c, s.wire, s.o.Instance)
		}
		if !c.Again(ctx, err) || errors.Is(err, appchan.ErrWaited) {
			break
		}
	}
	return err
}

// passTo passes a call on to the sidecar at an address.
func (r *router) passTo(ctx context.Context, c *rpc.Call, addr, instance string) error {
	for {
		w, err := r.peers.wires.to(addr, false, instance)
		if err != nil {
			return fmt.Errorf("calling %s: %w", c.AppID, err)
		}
		c.Flow.Route(w.peer)
		if err := rpc.Forward(ctx, c, w, rpc.ToPeer); !errors.Is(err, stream.ErrRetired) {
			return err
		}
	}
}
