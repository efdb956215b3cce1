package appchan

import (
	"fmt"

	"mesh/runtime/flow"
)

// tunnel is the way to an app that has agreed to speak another protocol.
type tunnel struct{ x *exchange }

// beginTunnel makes the reply with which the connection becomes a tunnel: what
// the app sends from now on, up to its end, is the reply's body.
func (x *exchange) beginTunnel(h *head) {
	h.framing, h.length, h.reuse = untilClose, -1, false
	x.begin(h)
	x.reply.Tunnel = tunnel{x}
}

// Write implements io.Writer.
func (t tunnel) Write(p []byte) (int, error) {
	t.x.call.Flow.Blocked(flow.Request, flow.CalleeOut)
	n, err := t.x.conn.Write(p)
	if err != nil {
		return n, fmt.Errorf("writing to the app: %w", err)
	}
	t.x.call.Flow.Mark(flow.Request, flow.CalleeOut, n)
	return n, nil
}

// Close implements io.Closer: the app reads an end.
func (t tunnel) Close() error {
	tcp := t.x.conn.tcp()
	if tcp == nil {
		return nil
	}
	if err := tcp.CloseWrite(); err != nil {
		return fmt.Errorf("ending what is sent to the app: %w", err)
	}
	return nil
}
