package runtime

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Peers are the sidecars of this process and the connections that they share
// to others. Make it with NewPeers; sidecars join while they run.
type Peers struct {
	mu       sync.Mutex // held while the snapshot is replaced
	byApp    atomic.Pointer[map[string]*peerGroup]
	expected map[string]*replacement // by app id; under mu
	made     atomic.Uint64           // sidecars so far
	wires    wires
}

// peerGroup are the instances of one app. It is immutable but for its turn.
type peerGroup struct {
	all  []*Sidecar
	turn *atomic.Uint32 // counts calls, for round robin; kept when instances come and go
}

// NewPeers gives an empty registry.
func NewPeers() *Peers {
	p := &Peers{expected: map[string]*replacement{}}
	p.byApp.Store(&map[string]*peerGroup{})
	return p
}

// find gives the instances of an app that run in this process, or nil.
func (p *Peers) find(appID string) *peerGroup { return (*p.byApp.Load())[appID] }

// known gives the app ids in order.
func (p *Peers) known() []string { return slices.Sorted(maps.Keys(*p.byApp.Load())) }

func (p *Peers) join(s *Sidecar) {
	p.change(s.o.AppID, func(all []*Sidecar) []*Sidecar {
		if s.left {
			return all
		}
		return append(slices.Clone(all), s)
	})
	p.arrived(s)
}

func (p *Peers) leave(s *Sidecar) {
	p.change(s.o.AppID, func(all []*Sidecar) []*Sidecar {
		s.left = true
		return slices.DeleteFunc(slices.Clone(all), func(o *Sidecar) bool { return o == s })
	})
}

func (p *Peers) change(appID string, f func([]*Sidecar) []*Sidecar) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := maps.Clone(*p.byApp.Load())
	g := &peerGroup{turn: new(atomic.Uint32)}
	if old := next[appID]; old != nil {
		g.all, g.turn = old.all, old.turn
	}
	if g.all = f(g.all); len(g.all) > 0 {
		next[appID] = g
	} else {
		delete(next, appID)
	}
	p.byApp.Store(&next)
}

// forget lets go of the connection to a sidecar that has stopped, and of every
// connection when that was the last one.
func (p *Peers) forget(addr string) {
	p.wires.drop(func(k wireKey) bool { return k.addr == addr || len(*p.byApp.Load()) == 0 })
}

// order gives the instances in the order in which a call should try them: those
// that are ready, beginning with the one whose turn it is, or which has the
// fewest calls, then those that make the call wait, and last those that refuse it.
func (g *peerGroup) order(yield func(*Sidecar) bool) {
	n := uint32(len(g.all))
	first := g.turn.Add(1)
	if n > 1 && g.all[0].balance() == LeastInFlight {
		first = g.least(first)
	}
	var others []*Sidecar
	for i := range n {
		s := g.all[(first+i)%n]
		if !s.app.Ready() {
			others = append(others, s)
		} else if !yield(s) {
			return
		}
	}
	for _, refuses := range []bool{false, true} {
		for _, s := range others {
			if s.app.Refuses() == refuses && !yield(s) {
				return
			}
		}
	}
}
