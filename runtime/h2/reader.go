package h2

import (
	"cmp"
	"fmt"
	"io"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/mem"

	"mesh/runtime/socket"
)

// Frames are read into memory of two sizes: the large one when the last read
// filled what there was. What is short is copied out, so that a message that
// nobody takes never holds on to much more memory than its size.
const (
	headRead  = 4 << 10 // after what the kernel has moved: little more than a head is read
	smallRead = 32 << 10
	largeRead = 256 << 10
	shortData = 16 << 10
)

// reader takes in what comes on a connection.
type reader struct {
	c      *conn
	early  []byte // was read before
	table  *hpack.Decoder
	fields fields // of the last header block
	memory memory
	lent   *[]byte // while it is being read into
	size   int     // of the next read

	window int       // what the peer may still send
	unsaid int       // bytes of it that it has not been given back yet
	carry  []byte    // the beginning of a frame that was cut off
	begun  []*Stream // calls that have come
	woken  []*Stream // for whom something has come

	data struct { // the DATA frame whose payload comes next
		open      bool
		to        *Stream // nil: nobody
		left, pad int
		begun     bool // enough has been read for the rest to be moved
		slow      bool // it comes in pieces that are too small for that
		last      bool
	}
	block struct { // the header block of which there is more to come
		open bool
		id   uint32
		last bool
		b    []byte
	}
}

// memory is what is read into. The zero value is ready to use.
type memory struct{ head, small, large sync.Pool }

var _ mem.BufferPool = (*memory)(nil)

func (m *memory) of(n int) *sync.Pool {
	switch n {
	case headRead:
		return &m.head
	case smallRead:
		return &m.small
	}
	return &m.large
}

// Get gives memory of one of the two sizes.
func (m *memory) Get(n int) *[]byte {
	if b, ok := m.of(n).Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, n)
	return &b
}

// Put takes back what Get gave.
func (m *memory) Put(b *[]byte) { m.of(len(*b)).Put(b) }

// run reads until the connection ends, and says why it did.
func (r *reader) run() error {
	if len(r.early) > 0 {
		err := r.take(mem.SliceBuffer(r.early), len(r.early))
		if r.wake(); err != nil {
			return err
		}
	}
	read := r.read()
	r.size = smallRead
	for {
		n, err := read()
		if n == 0 && err != nil {
			return err
		}
		r.c.reads.Add(1)
		buf := mem.NewBuffer(r.lent, &r.memory)
		r.size = smallRead
		if n >= smallRead {
			r.size = largeRead
		}
		r.lent = nil
		err = r.take(buf, n)
		buf.Free()
		r.wake()
		for err == nil && r.movable() {
			err = r.move()
			r.wake()
		}
		if err != nil {
			return err
		}
	}
}

// read gives the function that reads once into what it has lent. A socket lends
// it only when there is something to read.
func (r *reader) read() func() (int, error) {
	lend := func() []byte {
		r.lent = r.memory.Get(r.size)
		return *r.lent
	}
	back := func() {
		r.memory.Put(r.lent)
		r.lent = nil
	}
	if s, ok := r.c.nc.(*socket.Conn); ok {
		return func() (int, error) { return s.ReadLate(lend, back) }
	}
	return func() (int, error) { return r.c.nc.Read(lend()) }
}

// wake begins calls and tells streams that something has come, once all that one
// read has brought is there.
func (r *reader) wake() {
	for i, s := range r.begun {
		r.c.handlers.Go(s.call)
		r.begun[i] = nil
	}
	r.begun = r.begun[:0]
	for i, s := range r.woken {
		s.tellCame()
		r.woken[i] = nil
	}
	r.woken = r.woken[:0]
}

// came has a stream woken.
func (r *reader) came(s *Stream) {
	if n := len(r.woken); n == 0 || r.woken[n-1] != s {
		r.woken = append(r.woken, s)
	}
}

// take takes in the n bytes at the beginning of buf.
func (r *reader) take(buf mem.Buffer, n int) error {
	b := buf.ReadOnlyData()[:n]
	d := &r.data
	for at := 0; at < n; {
		switch {
		case d.open && d.left > 0:
			k := min(d.left, n-at)
			if d.to != nil {
				r.deliver(d.to, buf, at, at+k)
			}
			at, d.left, d.begun = at+k, d.left-k, d.begun || k >= pipeHead
		case d.open:
			k := min(d.pad, n-at)
			at, d.pad = at+k, d.pad-k
		default:
			k, err := r.begin(b[at:])
			if err != nil {
				return err
			}
			at += k
		}
		r.endData()
	}
	return nil
}

// endData ends the DATA frame if nothing of it is left.
func (r *reader) endData() {
	d := &r.data
	if !d.open || d.left+d.pad > 0 {
		return
	}
	d.open = false
	if d.to != nil && d.last {
		d.to.ended(r.c.withoutTrailers())
	}
	d.to = nil
}

// movable says whether the kernel is to move the rest of the frame.
func (r *reader) movable() bool {
	d := &r.data
	return d.open && d.begun && !d.slow && d.left >= pipeMin && d.to != nil && d.to.moves.Load() && r.c.out.raw != nil && r.c.ours()
}

// move has the kernel move what has come of the frame into a pipe.
func (r *reader) move() error {
	d := &r.data
	pipe := r.c.pipes.get()
	if pipe == nil {
		d.to.moves.Store(false)
		return nil
	}
	n, err := pipe.Fill(r.c.out.raw, min(d.left, PipePiece))
	if n == 0 {
		r.c.pipes.put(pipe)
		return cmp.Or(err, io.EOF)
	}
	r.c.reads.Add(1)
	d.left -= n
	d.to.push(r.c.pipes.filled(pipe))
	if d.left == 0 { // or nobody can do anything with it
		r.came(d.to)
	}
	if d.slow = n < pipeMin; !d.slow { // else each piece would hold a pipe
		r.size = headRead
	}
	r.endData()
	return nil
}

// deliver gives a stream part of buf.
func (r *reader) deliver(s *Stream, buf mem.Buffer, from, to int) {
	if to-from > shortData {
		s.push(buf.Slice(from, to))
	} else {
		own := r.c.pool.Get(to - from)
		n := copy(*own, buf.ReadOnlyData()[from:to])
		whole := mem.NewBuffer(own, r.c.pool)
		s.push(whole.Slice(0, n))
		whole.Free()
	}
	r.came(s)
}

// begin takes in what is to be had at once of a frame: all of it, but of DATA
// only what comes before the payload. It says how much of b that was.
func (r *reader) begin(b []byte) (used int, err error) {
	if len(r.carry) == 0 {
		need, err := r.need(b)
		switch {
		case err != nil:
			return 0, err
		case len(b) >= need:
			return need, r.frame(b[:need])
		}
		r.carry = append(r.carry, b...)
		return len(b), nil
	}
	for {
		need, err := r.need(r.carry)
		if err != nil {
			return used, err
		}
		k := min(need-len(r.carry), len(b)-used)
		r.carry = append(r.carry, b[used:used+k]...)
		used += k
		if k > 0 && len(r.carry) == need {
			continue // now more may be known of what it needs
		}
		if len(r.carry) < need {
			return used, nil
		}
		err = r.frame(r.carry)
		if r.carry = r.carry[:0]; cap(r.carry) > keepArena {
			r.carry = nil
		}
		return used, err
	}
}

// need says how much of a frame there must be before it can be taken in, as far
// as its beginning tells.
func (r *reader) need(b []byte) (int, error) {
	if len(b) < headLen {
		return headLen, nil
	}
	h := parseHead(b)
	first := false
	select {
	case <-r.c.ready:
	default:
		first = true
	}
	switch {
	case first && h.typ != http2.FrameSettings:
		return 0, &connError{http2.ErrCodeProtocol, "the connection does not begin with settings: is that HTTP/2?"}
	case h.n > maxFrame:
		return 0, &connError{http2.ErrCodeFrameSize, fmt.Sprintf("a frame of %d bytes", h.n)}
	case r.block.open && (h.typ != http2.FrameContinuation || h.id != r.block.id):
		return 0, &connError{http2.ErrCodeProtocol, fmt.Sprintf("a %v in the middle of a header block", h.typ)}
	case h.typ != http2.FrameData:
		return headLen + h.n, nil
	case !h.flags.Has(http2.FlagDataPadded):
		return headLen, nil
	case h.n == 0:
		return 0, &connError{http2.ErrCodeFrameSize, "padding without a length"}
	}
	return headLen + 1, nil
}

// frame takes in a frame, or what comes before the payload of DATA.
func (r *reader) frame(b []byte) error {
	h := parseHead(b)
	b = b[headLen:]
	switch h.typ { //nolint:exhaustive // conn.frame takes the others
	case http2.FrameData:
		return r.beginData(h, b)
	case http2.FrameHeaders:
		if h.id == 0 {
			return &connError{http2.ErrCodeProtocol, "headers of no stream"}
		}
		b, err := unpad(h, b)
		if err != nil {
			return err
		}
		if h.flags.Has(http2.FlagHeadersPriority) {
			if len(b) < 5 {
				return &connError{http2.ErrCodeFrameSize, "headers that are cut off"}
			}
			b = b[5:]
		}
		r.block.id, r.block.last, r.block.b = h.id, h.flags.Has(http2.FlagHeadersEndStream), r.block.b[:0]
		return r.headers(b, h.flags.Has(http2.FlagHeadersEndHeaders))
	case http2.FrameContinuation:
		if !r.block.open {
			return &connError{http2.ErrCodeProtocol, "the continuation of nothing"}
		}
		return r.headers(b, h.flags.Has(http2.FlagContinuationEndHeaders))
	}
	return r.c.frame(h, b)
}

// headers takes in a piece of a header block.
func (r *reader) headers(b []byte, last bool) error {
	k := &r.block
	if k.open || !last {
		if len(k.b)+len(b) > r.c.maxHead {
			return &connError{http2.ErrCodeEnhanceYourCalm, fmt.Sprintf("headers of more than %d bytes", r.c.maxHead)}
		}
		k.b = append(k.b, b...)
		b = k.b
	}
	if k.open = !last; k.open {
		return nil
	}
	err := r.c.headers(k.id, b, k.last)
	if cap(k.b) > keepArena {
		k.b = nil
	}
	return err
}

// beginData takes in what comes before the payload of DATA.
func (r *reader) beginData(h frameHead, b []byte) error {
	d := &r.data
	d.open, d.left, d.pad, d.last = true, h.n, 0, h.flags.Has(http2.FlagDataEndStream)
	d.begun, d.slow = false, false
	if len(b) > 0 {
		d.left, d.pad = h.n-1-int(b[0]), int(b[0])
	}
	switch {
	case h.id == 0:
		return &connError{http2.ErrCodeProtocol, "data of no stream"}
	case d.left < 0:
		return &connError{http2.ErrCodeProtocol, "padding is longer than its frame"}
	case h.n > r.window:
		return &connError{http2.ErrCodeFlowControl, "more data than the window lets through"}
	}
	r.window -= h.n
	if r.unsaid += h.n; r.unsaid >= connWindow/2 {
		n := r.unsaid
		r.window, r.unsaid = r.window+n, 0
		r.c.send(func(b []byte) []byte { return appendWindow(b, 0, n) })
	}
	if d.to = r.c.find(h.id); d.to != nil && !d.to.takes(h.n, h.n-d.left) {
		d.to.reset(http2.ErrCodeFlowControl, errTooMuch)
		d.to = nil
	}
	return nil
}
