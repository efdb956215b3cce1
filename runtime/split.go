package runtime

import (
	"net"
	"sync"

	"mesh/runtime/h2"
	"mesh/runtime/stream"
)

// split is a listener whose connections from our own sidecars a server of ours
// takes. Those of others are accepted from it.
type split struct {
	funnel
	net.Listener // as Addr
	ours         *h2.Server
	taking       sync.WaitGroup
	once         sync.Once
}

func newSplit(ln net.Listener, ours *h2.Server) *split {
	s := &split{funnel: newFunnel(), Listener: ln, ours: ours}
	s.taking.Go(s.run) // ends when the listener is closed
	return s
}

func (s *split) run() {
	for {
		nc, err := s.Listener.Accept()
		if err != nil {
			if !s.give(nil, err) {
				return
			}
			continue
		}
		s.taking.Go(func() {
			first, ours, err := s.ours.Take(nc)
			if !ours && err == nil {
				s.give(stream.Wire(nc, first), nil)
			}
		})
	}
}

// Accept implements net.Listener.
func (s *split) Accept() (net.Conn, error) { return s.funnel.Accept() }

// Close implements net.Listener.
func (s *split) Close() error {
	s.once.Do(func() { close(s.over) })
	return s.Listener.Close()
}
