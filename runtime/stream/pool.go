package stream

import (
	"sync"

	"google.golang.org/grpc/mem"
)

// Frames are read into buffers of three sizes. The large one is for a body that
// flows, and as much as Dapr itself puts into a message. The small one is what a
// stream holds while it waits for its next bytes, so that thousands of quiet
// streams cost little.
const (
	largeBuffer  = 64 << 10
	middleBuffer = 16 << 10
	smallBuffer  = 2 << 10
	maxPayload   = largeBuffer - headroom
)

// fitting gives the size of the buffer that n bytes fit into, or the largest.
func fitting(n int64) int {
	switch {
	case n <= smallBuffer:
		return smallBuffer
	case n <= middleBuffer:
		return middleBuffer
	}
	return largeBuffer
}

// sizeAfter gives the size of the buffer for the next piece of a body when n bytes
// came for one of that size. Bytes that fill a buffer promise more; a trickle
// does not.
func sizeAfter(size, n int) int {
	switch {
	case n == size-headroom:
		return fitting(int64(size) + 1)
	case n < smallBuffer/2:
		return smallBuffer
	case n < middleBuffer/2:
		return min(size, middleBuffer)
	}
	return size
}

// bufferPool keeps buffers of the three sizes. The zero value is ready to use.
type bufferPool struct{ small, middle, large sync.Pool }

var _ mem.BufferPool = (*bufferPool)(nil)

// of gives the pool of the buffers of a size, nil for any other.
func (p *bufferPool) of(size int) *sync.Pool {
	switch size {
	case smallBuffer:
		return &p.small
	case middleBuffer:
		return &p.middle
	case largeBuffer:
		return &p.large
	}
	return nil
}

// Get gives a buffer with unknown contents for n bytes, or the largest.
func (p *bufferPool) Get(n int) *[]byte {
	size := fitting(int64(n))
	if b, ok := p.of(size).Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, size)
	return &b
}

// Put takes back what Get gave.
func (p *bufferPool) Put(b *[]byte) {
	if of := p.of(len(*b)); of != nil {
		of.Put(b)
	}
}
