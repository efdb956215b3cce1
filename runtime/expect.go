package runtime

import (
	"context"
	"fmt"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// replacement is of an app of this process whose sidecars are being replaced.
type replacement struct {
	hold    time.Duration
	most    int
	since   uint64        // sidecars made later are the new ones
	waiting int           // owned by Peers.mu
	over    chan struct{} // closed when the first of the new ones is there, or none will be
}

// Expect tells that all sidecars of an app will leave and new ones be made and join:
// calls that find none meanwhile wait for at most the time of hold, and at most that
// many of them. It holds until the first of the new ones joins, or Abandon is called.
func (p *Peers) Expect(appID string, hold time.Duration, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopExpecting(appID) // who waits for those before waits for these
	p.expected[appID] = &replacement{hold: hold, most: most, since: p.made.Load(), over: make(chan struct{})}
}

// Abandon ends what Expect began: the new sidecars will not come.
func (p *Peers) Abandon(appID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopExpecting(appID)
}

// arrived ends what Expect began if s is one of the new ones.
func (p *Peers) arrived(s *Sidecar) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.expected[s.o.AppID]; e != nil && s.made > e.since {
		p.stopExpecting(s.o.AppID)
	}
}

// stopExpecting lets those who wait look again. mu is held.
func (p *Peers) stopExpecting(appID string) {
	if e := p.expected[appID]; e != nil {
		delete(p.expected, appID)
		close(e.over)
	}
}

// get gives the instances of an app that run in this process, or nil. While they
// are being replaced it waits for the new ones.
func (p *Peers) get(ctx context.Context, appID string, f *flow.Flow) (*peerGroup, error) {
	if g := p.find(appID); g != nil {
		return g, nil
	}
	var limit *time.Timer
	for { // those who came may have left again
		g, e, err := p.queue(appID)
		if e == nil {
			return g, err
		}
		if limit == nil {
			f.Hold()
			defer f.Release()
			limit = time.NewTimer(e.hold)
			defer limit.Stop()
		}
		select {
		case <-e.over:
		case <-limit.C:
			err = &stream.UnreachableError{Addr: appID, Err: fmt.Errorf("%s is being replaced (waited %v)", appID, e.hold)}
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		p.unqueue(e)
		if err != nil {
			return nil, err
		}
	}
}

// queue counts a call that waits for an app that is expected. When there is no need
// to wait it gives what there is.
func (p *Peers) queue(appID string) (*peerGroup, *replacement, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g, e := p.find(appID), p.expected[appID]
	if g != nil || e == nil {
		return g, nil, nil
	}
	if e.waiting >= e.most {
		return nil, nil, &stream.UnreachableError{Addr: appID, Err: fmt.Errorf("%s is being replaced, and %d calls wait for it already (the limit)", appID, e.most)}
	}
	e.waiting++
	return nil, e, nil
}

func (p *Peers) unqueue(e *replacement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.waiting--
}
