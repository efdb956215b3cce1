package stream

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"mesh/runtime/h2"
	"mesh/runtime/socket"
)

const (
	// moveMin is how much of a body must be left for it to be worth moving it
	// inside the kernel, and moveRound how much is moved before anything else is
	// looked at.
	moveMin   = h2.PipePiece
	moveRound = h2.PipePiece
)

// Splicer is a body that the kernel can move to another connection. It moves
// nothing when it cannot at the moment. When it was the body that broke off, the
// error is an io.ErrUnexpectedEOF.
type Splicer interface {
	Splice(to io.ReaderFrom, n int64) (int64, error)
}

// Mover is a writer that leads to a socket. Move writes front and then what the
// kernel has, and says how much of both.
type Mover interface {
	Move(front []byte, m socket.Movable) (int, error)
}

// move has the kernel pass on what it can of a body while much of it is left.
func (p *pump) move(body io.Reader, left int64) (moved int64, err error) {
	from, ok := body.(Splicer)
	to, ours := p.to.(ourFrames)
	if !ok || !ours {
		return 0, nil
	}
	if p.pipe = to.Pipe(); p.pipe == nil {
		return 0, nil
	}
	defer func() {
		if p.pipe != nil {
			to.Unused(p.pipe)
			p.pipe = nil
		}
	}()
	for left-moved >= moveMin {
		n, err := from.Splice(p, moveRound)
		if moved += n; err != nil || n < moveRound {
			return moved, err
		}
	}
	return moved, nil
}

// ReadFrom sends what a connection receives, by way of pipes. It is for Splice.
func (p *pump) ReadFrom(r io.Reader) (total int64, err error) {
	part, ok := r.(*io.LimitedReader)
	if !ok {
		return 0, fmt.Errorf("moving a body: %w", errors.ErrUnsupported)
	}
	conn, ok := part.R.(syscall.Conn)
	if !ok {
		return 0, fmt.Errorf("moving a body: %w", errors.ErrUnsupported)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("moving a body: %w", err)
	}
	for part.N > 0 {
		var n int
		if p.pipe != nil {
			n, err = p.movePart(raw, part)
		} else { // no more can be had
			n, err = p.copyPart(part)
		}
		if total += int64(n); n == 0 || err != nil {
			return total, err
		}
	}
	return total, nil
}

// movePart sends what has been received, by way of the pipe, and takes another for
// what follows.
func (p *pump) movePart(raw syscall.RawConn, part *io.LimitedReader) (int, error) {
	n, err := p.pipe.Fill(raw, int(min(part.N, h2.PipePiece)))
	if n == 0 || err != nil {
		return 0, err
	}
	part.N -= int64(n)
	to, _ := p.to.(ourFrames)
	full := to.Piped(p.pipe)
	p.pipe = to.Pipe()
	if err := p.sendPipe(full); err != nil {
		return n, fmt.Errorf("%w: %w", errSend, err)
	}
	return n, nil
}

// copyPart does the same without a pipe.
func (p *pump) copyPart(part *io.LimitedReader) (int, error) {
	buf := p.pool.Get(largeBuffer)
	n, err := part.Read((*buf)[headroom:])
	if n == 0 {
		p.pool.Put(buf)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return 0, err
	}
	if err := p.send(buf, n, 0); err != nil {
		return n, fmt.Errorf("%w: %w", errSend, err)
	}
	return n, nil
}

// WriteTo passes the body on, a frame at a time, and holds no buffer of its own
// while it waits for the next.
func (b *bodyReader) WriteTo(w io.Writer) (total int64, err error) {
	to, _ := w.(Mover)
	b.moves(to != nil && b.left >= moveMin)
	for {
		for b.frame.n > 0 {
			n, err := b.writeFrame(w, to)
			total += int64(n)
			if err != nil {
				return total, err
			}
		}
		if b.err != nil {
			b.ended.Store(true)
			if errors.Is(b.err, io.EOF) {
				return total, nil
			}
			return total, b.err
		}
		b.receive()
	}
}

func (b *bodyReader) moves(can bool) {
	if from, ok := b.from.(ourFrames); ok {
		from.Moves(can)
	}
}

// writeFrame writes what a frame holds, or the part that the kernel moves: as it
// lies when it is in one piece, for one copy costs less than one more write.
func (b *bodyReader) writeFrame(w io.Writer, to Mover) (int, error) {
	if to != nil && b.frame.mixed() {
		front, pipe := b.frame.next()
		if pipe == nil && len(front) > 0 {
			n, err := w.Write(front)
			b.frame.passed(len(front))
			return n, err
		}
		if pipe != nil {
			n, err := to.Move(front, pipe)
			if err != nil { // in the middle of it, where nobody can go on
				b.frame.release()
				b.err = fmt.Errorf("the body has been lost on its way: %w", err)
				return n, err
			}
			if len(front) > 0 {
				b.frame.passed(len(front))
			}
			b.frame.passed(n - len(front))
			return n, err
		}
	}
	if p := b.frame.piece(); len(p) == b.frame.n {
		n, err := w.Write(p)
		b.frame.release()
		return n, err
	}
	buf := b.pool.Get(b.frame.n)
	defer b.pool.Put(buf)
	return w.Write((*buf)[:b.frame.read(*buf)])
}

// MoveTo passes on n bytes of the body, fewer at its end, or up to a frame more, to a
// connection. It moves nothing when it cannot at the moment, and then Read can.
func (b *bodyReader) MoveTo(c *socket.Conn, n int64) (moved int64, err error) {
	if _, ours := b.from.(ourFrames); !ours || b.flow.Capturing() {
		return 0, nil
	}
	b.moves(true)
	for moved < n {
		for b.frame.n == 0 {
			if b.err != nil {
				return moved, nil //nolint:nilerr // Read says why
			}
			b.receive()
		}
		k, err := b.writeFrame(c, c)
		if moved += int64(k); err != nil {
			return moved, err
		}
	}
	return moved, nil
}
