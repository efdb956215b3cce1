package h2

import (
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc/mem"

	"mesh/runtime/socket"
)

const (
	// copyMax is how much of a message is copied beside its frame's head: less
	// work than one more piece of a write.
	copyMax = 8 << 10

	// keepArena is how much memory a connection keeps for its next frames.
	keepArena = 16 << 10

	// maxAhead is how much may wait to be written before no more of messages is
	// added. The windows of our own sidecars let no more through anyway.
	maxAhead = connWindow

	// maxQueued ends a connection whose peer makes us answer and does not read: so
	// much beside messages waits to be written.
	maxQueued = 2 * connWindow

	// maxRounds is how often whoever has sent something writes what others have
	// added meanwhile.
	maxRounds = 4
)

// out holds the frames that are to be written to a connection, in order. Whoever
// adds some writes them unless somebody is writing; nobody waits for the socket:
// what it does not take at once a goroutine writes that ends with the last byte.
type out struct {
	w       pieceWriter
	raw     syscall.RawConn
	patient bool        // there is no file descriptor, nothing can be moved
	broke   func(error) // told once, without the lock
	room    func()      // told, with the lock, when it is full no more
	full    atomic.Bool // more than maxAhead waits to be written

	mu     sync.Mutex
	queue  []*batch // that end with a pipe, to be written first
	fill   *batch   // what is written after them
	spare  *batch   // nil: none
	busy   bool     // somebody writes
	closed bool
	pieces [][]byte // of whoever writes
	late   sync.WaitGroup
}

// pieceWriter writes several pieces as one, only what can be written at once
// unless wait is set; more follows if that is said. It gives what is left.
type pieceWriter interface {
	WritePieces(p [][]byte, wait, more bool) (left [][]byte, err error)
}

// patient writes to a connection that has no file descriptor.
type patient struct{ net.Conn }

func (p patient) WritePieces(b [][]byte, wait, _ bool) ([][]byte, error) {
	if !wait {
		return b, nil
	}
	bufs := net.Buffers(b)
	_, err := bufs.WriteTo(p.Conn)
	return nil, err
}

func newOut(nc net.Conn, broke func(error), room func()) *out {
	o := &out{broke: broke, room: room, fill: &batch{}, spare: &batch{}}
	if c, ok := nc.(*socket.Conn); ok {
		o.w, o.raw = c, c.Raw
	} else {
		o.w, o.patient = patient{nc}, true
	}
	return o
}

// batch is what one write takes: an arena of bytes and, in places, buffers of
// messages that are not copied; behind all that what is in a pipe, perhaps.
type batch struct {
	arena []byte
	parts []part
	size  int // of the parts
	pipe  *Pipe
	data  int // bytes of messages
}

// part is a buffer that goes between arena[:at] and the rest.
type part struct {
	buf mem.Buffer
	at  int
}

func (b *batch) len() int {
	n := len(b.arena) + b.size
	if b.pipe != nil {
		n += b.pipe.Len()
	}
	return n
}

// message adds n bytes of a message from where it is read.
func (o *out) message(m *message, n int) {
	for n > 0 {
		b := o.fill
		if m.off < prefixLen {
			k := min(n, prefixLen-m.off)
			b.arena = append(b.arena, m.prefix[m.off:m.off+k]...)
			b.data += k
			m.off, n = m.off+k, n-k
			continue
		}
		at := m.off - prefixLen - m.before
		buf := m.bufs[m.i]
		k := min(n, buf.Len()-at)
		b.data += k
		if pipe, ok := buf.(*Pipe); ok && !o.patient && !pipe.Seen() {
			part, _ := pipe.Slice(at, at+k).(*Pipe)
			b.pipe = part
			o.queue = append(o.queue, b)
			o.fill, o.spare = o.spare, nil
			if o.fill == nil {
				o.fill = &batch{}
			}
		} else if k <= copyMax {
			b.arena = append(b.arena, buf.ReadOnlyData()[at:at+k]...)
		} else {
			b.parts = append(b.parts, part{buf.Slice(at, at+k), len(b.arena)})
			b.size += k
		}
		m.off, n = m.off+k, n-k
		if at+k == buf.Len() {
			m.before += buf.Len()
			m.i++
		}
	}
}

// message is one that is being sent, and how far it has been.
type message struct {
	prefix [prefixLen]byte
	bufs   mem.BufferSlice
	off    int // of prefix and bufs
	i      int // bufs[i] is where it goes on
	before int // bytes in bufs[:i]
}

// appendTo gives the batch as pieces.
func (b *batch) appendTo(p [][]byte) [][]byte {
	at := 0
	for _, part := range b.parts {
		if part.at > at {
			p = append(p, b.arena[at:part.at])
		}
		p = append(p, part.buf.ReadOnlyData())
		at = part.at
	}
	if at < len(b.arena) {
		p = append(p, b.arena[at:])
	}
	return p
}

func (b *batch) reset() {
	for i := range b.parts {
		b.parts[i].buf.Free()
		b.parts[i].buf = nil
	}
	b.parts, b.size, b.data = b.parts[:0], 0, 0
	if b.pipe != nil {
		b.pipe.Free()
		b.pipe = nil
	}
	if b.arena = b.arena[:0]; cap(b.arena) > keepArena {
		b.arena = nil
	}
}

// flush writes what there is, unless somebody else does. It unlocks.
func (o *out) flush() {
	if o.closed {
		o.drop()
	} else if !o.busy {
		o.write()
		return
	}
	all, messages := o.waiting()
	o.full.Store(all > maxAhead)
	if !o.closed && all-messages > maxQueued {
		o.mu.Unlock()
		o.failed(errors.New("the peer does not read what it is sent"))
		return
	}
	o.mu.Unlock()
}

// write writes until there is nothing more, or something that has to wait. It unlocks.
func (o *out) write() {
	o.busy = true
	for round := range maxRounds + 1 {
		b := o.next()
		if b == nil {
			break
		}
		o.mu.Unlock()
		o.pieces = b.appendTo(o.pieces[:0])
		left, done, err := o.pieces, false, error(nil)
		if round < maxRounds { // else others have something to be sent, and who began with this has other things to do
			if left, done, err = o.put(b, left, false); err != nil {
				b.reset()
				o.failed(err)
				return
			}
		}
		o.mu.Lock()
		if !done && !o.closed {
			o.late.Go(func() { o.rest(b, left) })
			break
		}
		o.wrote(b)
	}
	o.mu.Unlock()
}

// rest writes what is left of a batch, and whatever is added meanwhile.
func (o *out) rest(b *batch, left [][]byte) {
	for b != nil {
		if _, _, err := o.put(b, left, true); err != nil {
			b.reset()
			o.failed(err)
			return
		}
		o.mu.Lock()
		o.wrote(b)
		b = o.next()
		o.mu.Unlock()
		if b != nil {
			o.pieces = b.appendTo(o.pieces[:0])
			left = o.pieces
		}
	}
}

// waiting gives how many bytes wait to be written, and how many of them belong to
// messages. The lock is held.
func (o *out) waiting() (all, messages int) {
	all, messages = o.fill.len(), o.fill.data
	for _, b := range o.queue {
		all, messages = all+b.len(), messages+b.data
	}
	return all, messages
}

// next takes what is to be written, or ends the writing. The lock is held.
func (o *out) next() *batch {
	b := o.pop()
	if o.full.Load() {
		if all, _ := o.waiting(); all <= maxAhead {
			o.full.Store(false)
			o.room()
		}
	}
	return b
}

func (o *out) pop() *batch {
	switch {
	case o.closed:
	case len(o.queue) > 0:
		b := o.queue[0]
		o.queue = slices.Delete(o.queue, 0, 1)
		return b
	case o.fill.len() > 0:
		b := o.fill
		if o.fill, o.spare = o.spare, nil; o.fill == nil {
			o.fill = &batch{}
		}
		return b
	}
	o.busy = false
	return nil
}

// put writes what is left of a batch, its pipe last. Unless wait is set it may not
// be done with it.
func (o *out) put(b *batch, left [][]byte, wait bool) (_ [][]byte, done bool, err error) {
	if len(left) > 0 {
		if left, err = o.w.WritePieces(left, wait, b.pipe != nil); err != nil || len(left) > 0 {
			return left, false, err
		}
	}
	if b.pipe != nil {
		if _, err = b.pipe.MoveTo(o.raw, b.pipe.Len(), wait); err != nil || b.pipe.Len() > 0 {
			return nil, false, err
		}
	}
	return nil, true, nil
}

// wrote takes a batch back. The lock is held.
func (o *out) wrote(b *batch) {
	clear(o.pieces)
	b.reset()
	o.spare = b
}

func (o *out) failed(err error) {
	if o.close() {
		o.broke(err)
	}
}

// close drops what has not been written, and says whether it was open.
func (o *out) close() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := !o.closed
	o.closed = true
	o.drop()
	return was
}

// drop lets go of what was to be written. The lock is held.
func (o *out) drop() {
	o.fill.reset()
	for _, b := range o.queue {
		b.reset()
	}
	o.queue = nil
}
