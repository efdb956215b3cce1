package stream

import (
	"sync"

	"google.golang.org/grpc/mem"
)

// Frames are read into buffers of two sizes. The large one makes a message that
// fills two HTTP/2 frames of 16 KiB, with which a large body moves at full speed;
// Dapr's peers take up to 4 MiB. The small one is what a stream holds while it
// waits for its next bytes, so that thousands of quiet streams cost little.
const (
	largeBuffer = 32 << 10
	smallBuffer = 2 << 10
	maxPayload  = largeBuffer - headroom
)

// bufferPool keeps buffers of the two sizes. The zero value is ready to use.
type bufferPool struct {
	small, large sync.Pool
}

var _ mem.BufferPool = (*bufferPool)(nil)

// Get gives a buffer of smallBuffer or largeBuffer bytes with unknown contents.
func (p *bufferPool) Get(n int) *[]byte {
	from, size := &p.large, largeBuffer
	if n <= smallBuffer {
		from, size = &p.small, smallBuffer
	}
	if b, ok := from.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, size)
	return &b
}

// Put takes back what Get gave.
func (p *bufferPool) Put(b *[]byte) {
	switch len(*b) {
	case smallBuffer:
		p.small.Put(b)
	case largeBuffer:
		p.large.Put(b)
	}
}
