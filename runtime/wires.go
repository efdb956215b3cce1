package runtime

import (
	"sync"
	"sync/atomic"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// unusedAfter is how long a connection to a peer is kept without a call.
const unusedAfter = 5 * time.Minute

type wireKey struct {
	addr  string
	unary bool
}

// wire is the way to one peer over the network.
type wire struct {
	*stream.Outbound

	peer *flow.Peer
	used atomic.Int64 // Unix seconds of the last call
}

// wires are the connections of this process to other sidecars, one for each
// address, made when first needed. The zero value is ready to use.
type wires struct {
	all sync.Map   // wireKey -> *wire
	mu  sync.Mutex // held while one is added or dropped
}

// to gives the wire to an address; instance names who is there, "" if unknown.
func (w *wires) to(addr string, unary bool, instance string) (*wire, error) {
	k := wireKey{addr, unary}
	if v, ok := w.all.Load(k); ok {
		return v.(*wire).touch(), nil //nolint:errcheck // nothing else is stored
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if v, ok := w.all.Load(k); ok {
		return v.(*wire).touch(), nil //nolint:errcheck // nothing else is stored
	}
	w.sweep()
	out, err := stream.NewOutbound(stream.OutboundOptions{Addr: addr, Unary: unary, Ours: instance != ""})
	if err != nil {
		return nil, err
	}
	made := &wire{Outbound: out, peer: &flow.Peer{Instance: instance, Transport: "grpc", Addr: addr}}
	if unary {
		made.peer.Transport = "unary"
	}
	w.all.Store(k, made.touch())
	return made, nil
}

// load gives how many calls to an address are under way.
func (w *wires) load(addr string) (n int64) {
	for _, unary := range [...]bool{false, true} {
		if v, ok := w.all.Load(wireKey{addr, unary}); ok {
			n += v.(*wire).InFlight() //nolint:errcheck // nothing else is stored
		}
	}
	return n
}

func (c *wire) touch() *wire {
	c.used.Store(time.Now().Unix())
	return c
}

// sweep retires what nobody has used for long. The lock is held.
func (w *wires) sweep() {
	old := time.Now().Add(-unusedAfter).Unix()
	w.all.Range(func(k, v any) bool {
		c := v.(*wire) //nolint:errcheck // nothing else is stored
		if c.used.Load() < old {
			if done, _ := c.Retire(); done {
				w.all.Delete(k)
			}
		}
		return true
	})
}

// drop closes the wires that match; calls that they carry break off.
func (w *wires) drop(match func(wireKey) bool) {
	var dropped []*wire
	w.mu.Lock()
	w.all.Range(func(k, v any) bool {
		if key, ok := k.(wireKey); ok && match(key) {
			w.all.Delete(k)
			dropped = append(dropped, v.(*wire)) //nolint:errcheck // nothing else is stored
		}
		return true
	})
	w.mu.Unlock()
	for _, c := range dropped {
		_ = c.Close() // of a connection to a peer that has gone
	}
}
