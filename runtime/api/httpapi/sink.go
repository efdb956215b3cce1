package httpapi

import (
	"fmt"
	"io"
	"net"
	"net/http"

	"mesh/runtime/flow"
	"mesh/runtime/socket"
	"mesh/runtime/stream"
)

// sink is the client as the receiver of a reply's body. Every piece is flushed
// when it was written; the end of a reply of known length is flushed by
// net/http, which ends it at once.
type sink struct {
	w       http.ResponseWriter
	flusher interface{ FlushError() error } // nil: w does not buffer
	flow    *flow.Flow
	left    int64 // bytes to come; below 0: not known
}

func (k *sink) init(w http.ResponseWriter, f *flow.Flow, length int64) {
	k.w, k.flow, k.left = w, f, length
	k.flusher, _ = w.(interface{ FlushError() error })
}

func (k *sink) flush() error {
	if k.flusher == nil {
		return nil
	}
	if err := k.flusher.FlushError(); err != nil {
		return fmt.Errorf("writing the reply: %w", err)
	}
	return nil
}

// Write implements io.Writer.
func (k *sink) Write(p []byte) (int, error) {
	k.flow.Blocked(flow.Reply, flow.CallerOut)
	n, err := k.w.Write(p)
	if err != nil {
		return n, fmt.Errorf("writing the reply: %w", err)
	}
	if k.left >= 0 {
		k.left -= int64(n)
	}
	if k.left == 0 {
		k.flow.MarkLast(flow.Reply, flow.CallerOut, n)
		return n, nil
	}
	err = k.flush()
	k.flow.Mark(flow.Reply, flow.CallerOut, n)
	return n, err
}

// Move writes front and then what the kernel has, which it moves where that is
// possible.
func (k *sink) Move(front []byte, m socket.Movable) (n int, err error) {
	k.flow.Blocked(flow.Reply, flow.CallerOut)
	if to, ok := k.w.(stream.Mover); ok && k.left >= int64(len(front)+m.Len()) {
		n, err = to.Move(front, m)
	} else {
		n, err = socket.Copy(k.w, front, m)
	}
	if k.left >= 0 {
		k.left -= int64(n)
	}
	if err != nil {
		return n, fmt.Errorf("writing the reply: %w", err)
	}
	if k.left != 0 {
		err = k.flush()
	}
	k.flow.Mark(flow.Reply, flow.CallerOut, n)
	return n, err
}

// ReadFrom takes a part of the reply from another connection, by way of the
// kernel alone where that is possible.
func (k *sink) ReadFrom(r io.Reader) (int64, error) {
	part, ok := r.(*io.LimitedReader)
	to, direct := k.w.(io.ReaderFrom)
	if ok && direct && k.left >= part.N {
		if _, ok := part.R.(*net.TCPConn); ok {
			k.flow.Blocked(flow.Reply, flow.CallerOut)
			n, err := to.ReadFrom(part)
			k.left -= n
			k.flow.Mark(flow.Reply, flow.CallerOut, int(n))
			return n, err
		}
	}
	return io.Copy(struct{ io.Writer }{k}, r)
}
