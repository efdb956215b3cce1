package runtime

import (
	"slices"
	"sync"
	"sync/atomic"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// Peers are the sidecars of this process, by app id. Readers take a snapshot
// and never wait.
type Peers struct {
	mu   sync.Mutex // held to replace the map
	apps atomic.Pointer[map[string][]*Sidecar]

	wires sync.Map // wireKey -> *outbound; connections close by themselves when they idle
}

type wireKey struct {
	addr  string
	unary bool
}

// outbound gives the connection to a peer, which all sidecars share.
func (p *Peers) outbound(addr string, unary bool, instance string) (*outbound, error) {
	key := wireKey{addr, unary}
	if w, ok := p.wires.Load(key); ok {
		return w.(*outbound), nil //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	out, err := stream.NewOutbound(stream.OutboundOptions{Addr: addr, Unary: unary})
	if err != nil {
		return nil, err
	}
	transport := stream.GRPC
	if unary {
		transport = stream.Unary
	}
	fresh := &outbound{Outbound: out, peer: &flow.Peer{Instance: instance, Transport: string(transport), Addr: addr}}
	if w, raced := p.wires.LoadOrStore(key, fresh); raced {
		_ = out.Close()
		return w.(*outbound), nil //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	return fresh, nil
}

// NewPeers gives an empty registry.
func NewPeers() *Peers {
	p := &Peers{}
	p.apps.Store(&map[string][]*Sidecar{})
	return p
}

// of gives the sidecars of an app; the slice is not to be changed.
func (p *Peers) of(appID string) []*Sidecar { return (*p.apps.Load())[appID] }

func (p *Peers) add(s *Sidecar) {
	p.change(s.o.AppID, func(list []*Sidecar) []*Sidecar { return append(slices.Clone(list), s) })
}

func (p *Peers) remove(s *Sidecar) {
	p.change(s.o.AppID, func(list []*Sidecar) []*Sidecar {
		return slices.DeleteFunc(slices.Clone(list), func(o *Sidecar) bool { return o == s })
	})
}

func (p *Peers) change(appID string, f func([]*Sidecar) []*Sidecar) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := make(map[string][]*Sidecar, len(*p.apps.Load())+1)
	for id, list := range *p.apps.Load() {
		fresh[id] = list
	}
	if list := f(fresh[appID]); len(list) > 0 {
		fresh[appID] = list
	} else {
		delete(fresh, appID)
	}
	p.apps.Store(&fresh)
}
