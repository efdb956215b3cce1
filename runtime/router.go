package runtime

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"mesh/runtime/appchan"
	"mesh/runtime/stream"
)

// Names finds the sidecars of apps that do not run in this process. No address
// and no error means that the app is not known.
type Names interface {
	Resolve(ctx context.Context, appID string) ([]netip.AddrPort, error)
}

// Disappointed is what Names may be besides: it is told of addresses at which
// nobody could be reached, so that it need not give them again.
type Disappointed interface {
	Failed(appID string, addr netip.AddrPort)
}

// router finds whoever a call is for and hands the call over.
type router struct {
	appID, namespace string
	transport        atomic.Pointer[stream.Transport] // may change while calls run
	stamp            *stream.Stamp
	self             *Sidecar
	peers            *Peers
	names            Names

	turns sync.Map // app id -> *atomic.Uint32, for round robin over addresses
}

// Handle passes the call to the own app, to a sidecar of this process, or to
// one that Names knows. Whoever cannot be reached is passed over while there is
// another one; that is certain not to repeat a call, because nothing was sent.
func (r *router) Handle(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	if to, err := r.self.endpoints.find(c.AppID); to != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return r.outside(ctx, c, to)
	}
	appID, namespace, err := r.split(c.AppID)
	if err != nil {
		return nil, err
	}
	if appID == r.appID && namespace == r.namespace {
		c.Flow.Route(r.self.local)
		return r.self.callApp(ctx, c.Unstamped())
	}
	to := c.StampedBy(r.stamp, appID)
	for {
		g, err := r.peers.get(ctx, appID, c.Flow)
		if err != nil {
			return nil, err
		}
		if g == nil {
			return r.elsewhere(ctx, to)
		}
		reply, err := r.here(ctx, to, g)
		if err == nil || !r.replaced(ctx, g, err) {
			return reply, err
		}
	}
}

// split takes a namespace off an app id: "app" or "app.namespace".
func (r *router) split(id string) (appID, namespace string, err error) {
	if isURL(id) { // of a gRPC call: others have been told from apps already
		return "", "", fmt.Errorf("%s is a URL: only HTTP can be called there", id)
	}
	appID, namespace, ok := strings.Cut(id, ".")
	if !ok {
		namespace = r.namespace
	}
	if appID == "" || (ok && namespace == "") || strings.Contains(namespace, ".") {
		return "", "", fmt.Errorf("invalid app id %s", id)
	}
	return appID, namespace, nil
}

// here calls an app of this process.
func (r *router) here(ctx context.Context, c *stream.Call, g *peerGroup) (reply *stream.Reply, err error) {
	if err := g.await(ctx, c.Flow); err != nil {
		return nil, err
	}
	wired := *r.transport.Load() != stream.Auto
	tries := triesOf(c, wired && len(g.all) > 1)
	for s := range g.order {
		if !wired {
			c.Flow.Route(s.local)
			reply, err = s.callApp(ctx, c)
		} else if err = s.app.Await(ctx, c.Flow); err == nil { // sooner known here than over the wire
			reply, err = r.call(ctx, tries.next(), s.wire, s.o.Instance)
		}
		if !tries.again(ctx, err) || errors.Is(err, appchan.ErrWaited) {
			break
		}
	}
	return reply, err
}

// replaced says whether a call of which nothing was sent may be made anew, because
// others have taken the place of those that could not be reached.
func (r *router) replaced(ctx context.Context, g *peerGroup, err error) bool {
	return again(ctx, err) && !errors.Is(err, appchan.ErrWaited) && r.peers.find(g.all[0].o.AppID) != g
}

// elsewhere calls an app that others run.
func (r *router) elsewhere(ctx context.Context, c *stream.Call) (reply *stream.Reply, err error) {
	addrs, n, err := r.resolve(ctx, c.AppID)
	if err != nil {
		return nil, err
	}
	tries := triesOf(c, n > 1)
	for addr := range addrs {
		if reply, err = r.call(ctx, tries.next(), addr.String(), ""); !tries.again(ctx, err) {
			break
		}
		if again(ctx, err) {
			r.missed(c.AppID, addr)
		}
	}
	return reply, err
}

// resolve gives the addresses of an app that others run, and how many there are,
// one at least, in the order in which a call should try them: each call begins
// with the next one, or with the one that has the fewest calls of this process.
func (r *router) resolve(ctx context.Context, appID string) (_ iter.Seq[netip.AddrPort], count int, _ error) {
	if r.names == nil {
		return nil, 0, r.unknown(appID)
	}
	addrs, err := r.names.Resolve(ctx, appID)
	if err != nil {
		return nil, 0, fmt.Errorf("finding %s: %w", appID, err)
	}
	if len(addrs) == 0 {
		return nil, 0, r.unknown(appID)
	}
	v, ok := r.turns.Load(appID)
	if !ok {
		v, _ = r.turns.LoadOrStore(appID, new(atomic.Uint32))
	}
	n := uint32(len(addrs))
	first := v.(*atomic.Uint32).Add(1) //nolint:errcheck // nothing else is stored
	if n > 1 && r.self.balanceOthers() == LeastInFlight {
		first = least(n, first, func(i uint32) (int64, bool) { return r.peers.wires.load(addrs[i].String()), true })
	}
	return func(yield func(netip.AddrPort) bool) {
		for i := range n {
			if !yield(addrs[(first+i)%n]) {
				return
			}
		}
	}, len(addrs), nil
}

// missed tells Names of an address at which nobody could be reached.
func (r *router) missed(appID string, addr netip.AddrPort) {
	if d, ok := r.names.(Disappointed); ok {
		d.Failed(appID, addr)
	}
}

// call calls the sidecar at an address.
func (r *router) call(ctx context.Context, c *stream.Call, addr, instance string) (*stream.Reply, error) {
	for {
		w, err := r.peers.wires.to(addr, *r.transport.Load() == stream.Unary, instance)
		if err != nil {
			return nil, err
		}
		c.Flow.Route(w.peer)
		reply, err := w.Handle(ctx, c)
		if err == nil {
			c.Flow.Replied(reply.Status)
		}
		if !errors.Is(err, stream.ErrRetired) {
			return reply, err
		}
	}
}

// tries makes a call that has to go over a wire several times, if need be: a
// peer may say that it could not reach its app after the body has been read.
type tries struct {
	call *stream.Call
	kept *stream.Kept // nil: there is no body, or nobody else to try
	last *stream.Attempt
}

func triesOf(c *stream.Call, several bool) tries {
	if !several || c.Body == nil {
		return tries{call: c}
	}
	return tries{call: c, kept: stream.Keep(c.Body, c.Length >= 0)}
}

// next gives the call for the next try.
func (t *tries) next() *stream.Call {
	if t.kept == nil {
		return t.call
	}
	if t.last != nil {
		t.last.GiveUp()
	}
	t.last = t.kept.Try()
	c := *t.call
	c.Body = t.last
	return &c
}

// again says whether a call that failed may be made to someone else.
func (t *tries) again(ctx context.Context, err error) bool {
	if again(ctx, err) {
		return true
	}
	if _, ok := errors.AsType[*stream.NotDeliveredError](err); !ok || ctx.Err() != nil {
		return false
	}
	return t.call.Body == nil || t.kept != nil && t.kept.Again() == ""
}

// again says whether a call of which nothing was sent may be made to someone else.
func again(ctx context.Context, err error) bool {
	_, missed := errors.AsType[*stream.UnreachableError](err)
	return missed && ctx.Err() == nil
}

func (r *router) unknown(appID string) error {
	return fmt.Errorf("couldn't find service: %s (apps of this mesh: %s)", appID, strings.Join(r.peers.known(), ", "))
}
