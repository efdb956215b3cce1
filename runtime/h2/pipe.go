package h2

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc/mem"

	"mesh/runtime/socket"
)

const (
	// pipeMin is how much of a frame must still be to come for it to be moved by
	// the kernel.
	pipeMin = 16 << 10

	// PipePiece is how much the kernel moves at most as one.
	PipePiece = 500 << 10

	// pipeHead is how much of the payload of a frame is read in any case: more
	// than what gRPC and a message of ours put before its data.
	pipeHead = 64

	// idlePipes are kept while there are streams.
	idlePipes = 4
)

// Pipe is a part of a message whose bytes the kernel keeps. Its parts must be used
// up in order, each once: by MoveTo, which copies nothing, or ReadOnlyData.
type Pipe struct {
	mem.Buffer // nil: it has methods that only gRPC can name, and nobody calls

	all      *pipeBytes
	from, to int // of all bytes
}

var _ mem.Buffer = (*Pipe)(nil)

// pipeBytes is what the parts of a Pipe have in common.
type pipeBytes struct {
	refs atomic.Int32
	home *pipes
	pipe *socket.Pipe
	gone int    // bytes that have been moved
	data []byte // the rest, once somebody wanted to see it
	err  error
}

// Len implements mem.Buffer.
func (p *Pipe) Len() int { return p.to - p.from }

// Ref implements mem.Buffer.
func (p *Pipe) Ref() { p.all.refs.Add(1) }

// Free implements mem.Buffer.
func (p *Pipe) Free() {
	if p.all.refs.Add(-1) == 0 {
		p.all.home.put(p.all.pipe)
	}
}

// Slice implements mem.Buffer.
func (p *Pipe) Slice(start, end int) mem.Buffer {
	p.Ref()
	return &Pipe{all: p.all, from: p.from + start, to: p.from + end}
}

// ReadOnlyData implements mem.Buffer: the bytes are copied after all.
func (p *Pipe) ReadOnlyData() []byte {
	a := p.all
	if a.data == nil {
		a.data = make([]byte, a.pipe.Len())
		_, a.err = io.ReadFull(a.pipe, a.data)
	}
	return a.data[p.from-a.gone : p.to-a.gone]
}

// MoveTo moves the first n bytes, which are not part of it any more then, to a
// socket: unless wait is set only what it takes at once. It gives how many.
func (p *Pipe) MoveTo(to syscall.RawConn, n int, wait bool) (int, error) {
	moved, err := p.all.pipe.Drain(to, n, wait)
	p.all.gone += moved
	p.from += moved
	return moved, err
}

// Seen says whether the bytes have been copied, so that they cannot be moved.
func (p *Pipe) Seen() bool { return p.all.data != nil }

// pipes are those of one connection.
type pipes struct {
	mu   sync.Mutex
	idle []*socket.Pipe
	keep bool
	over bool // the connection is, or there are none on this system
}

// get gives an empty pipe, or nil.
func (p *pipes) get() *socket.Pipe {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		got := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return got
	}
	if p.over {
		return nil
	}
	got, err := socket.NewPipe()
	if err != nil { // too many files are open, perhaps
		p.over = errors.Is(err, errors.ErrUnsupported)
		return nil
	}
	p.keep = true
	return got
}

// put takes a pipe back.
func (p *pipes) put(used *socket.Pipe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keep && used.Len() == 0 && len(p.idle) < idlePipes {
		p.idle = append(p.idle, used)
	} else {
		used.Close()
	}
}

// end is drop for good.
func (p *pipes) end() {
	p.drop()
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
}

// drop lets go of those that are idle.
func (p *pipes) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, idle := range p.idle {
		idle.Close()
	}
	p.idle, p.keep = nil, false
}

// filled gives what has been moved into a pipe as a buffer.
func (p *pipes) filled(pipe *socket.Pipe) *Pipe {
	all := &pipeBytes{home: p, pipe: pipe}
	all.refs.Store(1)
	return &Pipe{all: all, to: pipe.Len()}
}

// Moves says whether who receives can do with messages parts of which are a Pipe.
func (s *Stream) Moves(can bool) {
	if s.moves.Swap(can) || !can || !s.c.ours() {
		return
	}
	s.mu.Lock()
	tell := 0
	if !s.wide && s.why == nil {
		s.wide, tell, s.left = true, wideWindow, s.left+wideWindow
	}
	s.mu.Unlock()
	if tell > 0 {
		s.c.send(func(b []byte) []byte { return appendWindow(b, s.id, tell) })
	}
}

// Pipe gives an empty pipe that a part of a message can be put into, or nil.
func (s *Stream) Pipe() *socket.Pipe {
	if s.c.out.patient || !s.c.ours() {
		return nil
	}
	return s.c.pipes.get()
}

// Piped gives what was put into a pipe as a part of a message.
func (s *Stream) Piped(p *socket.Pipe) *Pipe { return s.c.pipes.filled(p) }

// Unused takes an empty pipe back.
func (s *Stream) Unused(p *socket.Pipe) { s.c.pipes.put(p) }
