package httpapi

import (
	"errors"
	"io"
	"sync"

	"mesh/runtime/stream"
)

const (
	smallBuffer = 4 << 10  // for a reply that trickles: thousands may wait
	largeBuffer = 64 << 10 // for one that flows
)

// buffers are what replies are copied with. The zero value is ready to use.
type buffers struct{ small, large sync.Pool }

// copy passes a body on, piece by piece, as each arrives. A body that can write
// itself knows best how.
func (b *buffers) copy(k *sink, from io.Reader) error {
	if to, ok := from.(io.WriterTo); ok {
		_, err := to.WriteTo(k)
		return err
	}
	for flows := false; ; {
		pool, size := &b.small, smallBuffer
		if flows || stream.Ready(from) > smallBuffer {
			pool, size = &b.large, largeBuffer
		}
		buf, ok := pool.Get().(*[]byte)
		if !ok {
			fresh := make([]byte, size)
			buf = &fresh
		}
		n, err := from.Read(*buf)
		if n > 0 {
			if _, werr := k.Write((*buf)[:n]); werr != nil {
				return werr
			}
		}
		flows = n == size || size == largeBuffer && n > smallBuffer
		pool.Put(buf)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
