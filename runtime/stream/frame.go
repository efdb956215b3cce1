package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"mesh/runtime/h2"
)

// Both directions of CallLocalStream send messages of one shape:
//
//	message { head = 1; payload = 2 { bytes data = 1; uint64 seq = 2 } }
//
// where head is an InternalInvokeRequest or an InternalInvokeResponse. Messages
// are written and read in place: generated code would copy each chunk twice more
// on its way.
const (
	fieldHead    = 1
	fieldPayload = 2
	fieldData    = 1
	fieldSeq     = 2

	// headroom is left free in front of the data in a send buffer for what goes
	// before it in the message: two tags and a length of at most three bytes
	// each, and a tag and a varint for the sequence number.
	headroom = 1 + 3 + 1 + 10 + 1 + 3 + 1

	// headRoom is the same in front of a head: a tag and a length.
	headRoom = 1 + 5
)

// outFrame is a message to send. Its buffer is handed over: gRPC frees it when
// it has been written.
type outFrame struct {
	head []byte   // after headRoom bytes; nil: none
	buf  *[]byte  // from pool; the data follows headroom bytes. nil: no payload, or
	pipe *h2.Pipe // the data
	n    int      // bytes of data
	seq  uint64
	pool *bufferPool
	how  int // of h2.Last and h2.Soon
}

// marshal gives the message. It may be called once.
func (f *outFrame) marshal() mem.BufferSlice {
	var out mem.BufferSlice
	if f.head != nil {
		var pre [headRoom]byte
		front := appendLen(pre[:0], fieldHead, len(f.head)-headRoom)
		start := headRoom - len(front)
		copy(f.head[start:], front)
		out = append(out, mem.SliceBuffer(f.head[start:]))
	}
	if f.buf == nil && f.pipe == nil {
		return out
	}
	var pre [headroom]byte
	inner := protowire.AppendTag(pre[:0], fieldSeq, protowire.VarintType)
	inner = protowire.AppendVarint(inner, f.seq)
	inner = appendLen(inner, fieldData, f.n)
	var outer [headroom]byte
	front := appendLen(outer[:0], fieldPayload, len(inner)+f.n)
	front = append(front, inner...)
	if f.pipe != nil {
		return append(out, mem.SliceBuffer(bytes.Clone(front)), f.pipe)
	}
	start := headroom - len(front)
	copy((*f.buf)[start:], front)
	whole := mem.NewBuffer(f.buf, f.pool)
	out = append(out, whole.Slice(start, headroom+f.n))
	whole.Free()
	f.buf = nil
	return out
}

// inFrame is a message received. It keeps the transport's buffers until its
// data has been read.
type inFrame struct {
	head    []byte // encoded; only valid until the next unmarshal
	hasHead bool
	payload bool // whether there is one, however empty
	seq     uint64
	n       int // bytes of data not yet read

	bufs mem.BufferSlice // held while n > 0
	i    int             // bufs[i][off:] is where the data goes on
	off  int
}

// unmarshal takes a message in. It holds on to data as long as it needs to.
func (f *inFrame) unmarshal(data mem.BufferSlice) error {
	f.release()
	f.head, f.hasHead, f.payload, f.seq = f.head[:0], false, false, 0
	c := cursor{bufs: data, left: data.Len()}
	for c.left > 0 {
		num, typ, err := c.tag()
		if err != nil {
			return err
		}
		switch {
		case num == fieldHead && typ == protowire.BytesType:
			// Proto says that a field sent twice is merged, and encoded
			// messages merge by concatenation.
			f.hasHead = true
			if f.head, err = c.bytes(f.head); err != nil {
				return err
			}
		case num == fieldPayload && typ == protowire.BytesType:
			f.payload = true
			if err := f.unmarshalPayload(&c); err != nil {
				return err
			}
		default:
			if err := c.skip(num, typ); err != nil {
				return err
			}
		}
	}
	if f.n > 0 {
		data.Ref()
		f.bufs = append(f.bufs[:0], data...)
	}
	return nil
}

func (f *inFrame) unmarshalPayload(c *cursor) error {
	size, err := c.length()
	if err != nil {
		return err
	}
	outer := c.left - size
	c.left = size
	for c.left > 0 {
		num, typ, err := c.tag()
		if err != nil {
			return err
		}
		switch {
		case num == fieldData && typ == protowire.BytesType:
			if f.n, err = c.length(); err != nil { // sent twice, the last one counts
				return err
			}
			f.i, f.off = c.i, c.off
			c.advance(f.n)
		case num == fieldSeq && typ == protowire.VarintType:
			if f.seq, err = c.varint(); err != nil {
				return err
			}
		default:
			if err := c.skip(num, typ); err != nil {
				return err
			}
		}
	}
	c.left = outer
	return nil
}

// read copies data out; it gives 0 when none is left.
func (f *inFrame) read(p []byte) int {
	var done int
	for f.n > 0 && done < len(p) {
		b := f.bufs[f.i].ReadOnlyData()[f.off:]
		n := copy(p[done:], b[:min(len(b), f.n)])
		done, f.n, f.off = done+n, f.n-n, f.off+n
		if n == len(b) {
			f.i, f.off = f.i+1, 0
		}
	}
	if f.n == 0 {
		f.release()
	}
	return done
}

// piece gives what of the data lies in one buffer, without taking it.
func (f *inFrame) piece() []byte {
	if f.n == 0 {
		return nil
	}
	for f.off == f.bufs[f.i].Len() {
		f.i, f.off = f.i+1, 0
	}
	b := f.bufs[f.i].ReadOnlyData()[f.off:]
	return b[:min(len(b), f.n)]
}

// mixed says whether some of the data is still in the kernel.
func (f *inFrame) mixed() bool {
	for _, b := range f.bufs[min(f.i, len(f.bufs)):] {
		if p, ok := b.(*h2.Pipe); ok && !p.Seen() {
			return true
		}
	}
	return false
}

// next gives the bytes that come next, and the pipe behind them; either may be
// missing. It is for data that is mixed.
func (f *inFrame) next() (front []byte, p *h2.Pipe) {
	for f.off == f.bufs[f.i].Len() {
		f.i, f.off = f.i+1, 0
	}
	i, left := f.i, f.n
	if p, _ = f.bufs[i].(*h2.Pipe); p == nil || f.off > 0 {
		front = f.piece()
		if left -= len(front); left == 0 {
			return front, nil
		}
		i = f.i + 1
		p, _ = f.bufs[i].(*h2.Pipe)
	}
	if p == nil || p.Seen() || p.Len() > left {
		return front, nil
	}
	return front, p
}

// passed takes n bytes of data as read, up to the end of a buffer.
func (f *inFrame) passed(n int) {
	f.n, f.i, f.off = f.n-n, f.i+1, 0
	if f.n == 0 {
		f.release()
	}
}

// pieces gives all of the data as it lies, without taking it.
func (f *inFrame) pieces() (all [][]byte) {
	left, off := f.n, f.off
	for i := f.i; left > 0; i++ {
		b := f.bufs[i].ReadOnlyData()[off:]
		b = b[:min(len(b), left)]
		all, left, off = append(all, b), left-len(b), 0
	}
	return all
}

// release lets go of the transport's buffers, dropping data not read.
func (f *inFrame) release() {
	f.bufs.Free()
	clear(f.bufs)
	f.bufs, f.n = f.bufs[:0], 0
}

var errFrame = errors.New("malformed frame")

// cursor reads protobuf out of a message that lies in several buffers.
type cursor struct {
	bufs mem.BufferSlice
	i    int // the next byte is bufs[i][off]
	off  int
	left int // bytes until the end of the message that is being read
}

func (c *cursor) byte() (byte, error) {
	if c.left == 0 {
		return 0, fmt.Errorf("%w: %w", errFrame, io.ErrUnexpectedEOF)
	}
	for c.off == c.bufs[c.i].Len() {
		c.i, c.off = c.i+1, 0
	}
	b := c.bufs[c.i].ReadOnlyData()[c.off]
	c.off++
	c.left--
	return b, nil
}

func (c *cursor) varint() (v uint64, err error) {
	for shift := 0; shift < 64; shift += 7 {
		b, err := c.byte()
		if err != nil {
			return 0, err
		}
		if shift == 63 && b > 1 {
			break
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, fmt.Errorf("%w: overlong number", errFrame)
}

func (c *cursor) tag() (protowire.Number, protowire.Type, error) {
	v, err := c.varint()
	if err != nil {
		return 0, 0, err
	}
	num, typ := protowire.DecodeTag(v)
	if num < protowire.MinValidNumber {
		return 0, 0, fmt.Errorf("%w: field number %d", errFrame, num)
	}
	return num, typ, nil
}

// length reads the length of what follows and makes sure that it is there.
func (c *cursor) length() (int, error) {
	n, err := c.varint()
	if err != nil {
		return 0, err
	}
	if n > uint64(c.left) {
		return 0, fmt.Errorf("%w: %w", errFrame, io.ErrUnexpectedEOF)
	}
	return int(n), nil
}

// advance skips n bytes, which are known to be there.
func (c *cursor) advance(n int) {
	c.left -= n
	for n > 0 {
		k := min(n, c.bufs[c.i].Len()-c.off)
		n, c.off = n-k, c.off+k
		if n > 0 {
			c.i, c.off = c.i+1, 0
		}
	}
}

// bytes appends a length-delimited field to dst.
func (c *cursor) bytes(dst []byte) ([]byte, error) {
	n, err := c.length()
	if err != nil {
		return dst, err
	}
	c.left -= n
	for n > 0 {
		b := c.bufs[c.i].ReadOnlyData()[c.off:]
		k := min(n, len(b))
		dst = append(dst, b[:k]...)
		n, c.off = n-k, c.off+k
		if n > 0 {
			c.i, c.off = c.i+1, 0
		}
	}
	return dst, nil
}

// skip passes over a field that is not known.
func (c *cursor) skip(num protowire.Number, typ protowire.Type) error {
	switch typ {
	case protowire.VarintType:
		_, err := c.varint()
		return err
	case protowire.Fixed32Type, protowire.Fixed64Type:
		n := 4
		if typ == protowire.Fixed64Type {
			n = 8
		}
		if c.left < n {
			return fmt.Errorf("%w: %w", errFrame, io.ErrUnexpectedEOF)
		}
		c.advance(n)
		return nil
	case protowire.BytesType:
		n, err := c.length()
		if err == nil {
			c.advance(n)
		}
		return err
	case protowire.StartGroupType, protowire.EndGroupType:
	}
	return fmt.Errorf("%w: field %d has type %d", errFrame, num, typ)
}
