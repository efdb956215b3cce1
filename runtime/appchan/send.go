package appchan

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"mesh/runtime/field"
	"mesh/runtime/flow"
	"mesh/runtime/socket"
	"mesh/runtime/stream"
)

const (
	smallBuffer = 4 << 10   // of a stream that trickles: thousands may wait
	largeBuffer = 128 << 10 // of one that flows
	frameRoom   = 10        // before a chunk, for its size in hexadecimal and a line break
)

// buffers is a pool of buffers of one size; the zero size is not usable.
type buffers struct {
	size int
	pool sync.Pool
}

func (b *buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	p := make([]byte, b.size)
	return &p
}

// put takes a buffer back; one that has grown far is left to the collector.
func (b *buffers) put(p *[]byte) {
	if cap(*p) >= b.size && cap(*p) <= 2*b.size+inlineMax {
		*p = (*p)[:b.size]
		b.pool.Put(p)
	}
}

// errUnwanted says that the app answered before it wanted the body.
var errUnwanted = errors.New("the app did not want the body")

// send streams the body to the app while the reply is read elsewhere. Each
// piece that a Read gives is written at once, and a Write that waits for the
// app holds up the next Read. left is the number of bytes to come; below 0: it
// is not known, and the body is chunked.
func (x *exchange) send(left int64) {
	defer close(x.sent)
	defer func() {
		if x.sendErr == nil {
			x.call.Flow.Finish(flow.Request, flow.CalleeOut)
		}
	}()
	if x.proceed != nil {
		t := time.NewTimer(stream.LeaveWait)
		defer t.Stop()
		select {
		case wanted := <-x.proceed:
			if !wanted {
				x.sendErr = errUnwanted
				return
			}
		case <-t.C:
		}
	}
	pool := &x.app.small
	buf := pool.get()
	defer func() { pool.put(buf) }()
	for {
		room := (*buf)[frameRoom : len(*buf)-2]
		if x.call.Length >= 0 && left < int64(len(room)) {
			room = room[:left]
		}
		n, err := x.call.Body.Read(room)
		if n > 0 {
			if x.call.Length >= 0 {
				left -= int64(n)
				x.finishing.Store(left == 0)
			}
			if x.sendErr = x.writePiece(*buf, n); x.sendErr != nil {
				// The app may have answered all it wants to: the reply
				// decides, it is not over because the request is.
				return
			}
		}
		switch {
		case x.call.Length >= 0 && left == 0:
			return
		case err == nil:
		case !errors.Is(err, io.EOF):
			x.giveUp(fmt.Errorf("reading the request's body: %w", err))
			return
		case x.call.Length >= 0:
			x.giveUp(fmt.Errorf("the request's body ended %d bytes early: %w", left, io.ErrUnexpectedEOF))
			return
		default:
			x.finishing.Store(true)
			x.sendErr = x.writeEnd((*buf)[:0])
			return
		}
		if n == len(room) && left >= spliceMin {
			moved, err := x.spliceBody(left)
			if left -= moved; errors.Is(err, io.ErrUnexpectedEOF) {
				x.giveUp(err)
				return
			}
			if err != nil {
				x.sendErr = err // as above
				return
			}
		}
		if n == len(room) && pool == &x.app.small {
			pool.put(buf)
			pool = &x.app.large
			buf = pool.get()
		}
	}
}

// mover gives what moves about n bytes of the body to the app, nil when nothing
// can. It moves nothing when it cannot at the moment.
func (x *exchange) mover() func(n int64) (int64, error) {
	sock, _ := x.conn.Conn.(*socket.Conn)
	to := x.conn.tcp()
	if to == nil {
		return nil
	}
	switch from := x.call.Body.(type) {
	case stream.Splicer: // another connection
		return func(n int64) (int64, error) { return from.Splice(to, n) }
	case interface {
		MoveTo(c *socket.Conn, n int64) (int64, error)
	}: // the wire
		return func(n int64) (int64, error) { return from.MoveTo(sock, n) }
	}
	return nil
}

// spliceBody moves pieces of a body of known length while much of it is left.
func (x *exchange) spliceBody(left int64) (total int64, err error) {
	move := x.mover()
	if move == nil {
		return 0, nil
	}
	for left-total >= spliceMin {
		x.call.Flow.Blocked(flow.Request, flow.CalleeOut)
		n, err := move(splicePiece)
		total += n
		x.call.Flow.Mark(flow.Request, flow.CalleeOut, int(n))
		if err != nil {
			return total, fmt.Errorf("passing the request's body on: %w", err)
		}
		if n < splicePiece {
			break
		}
	}
	return total, nil
}

// giveUp makes a body that broke off look broken off to the app.
func (x *exchange) giveUp(err error) {
	x.sendErr = err
	x.Abort(err)
}

// writePiece writes n bytes that lie in buf after the room for a frame.
func (x *exchange) writePiece(buf []byte, n int) error {
	piece := buf[frameRoom : frameRoom+n]
	if x.call.Length < 0 {
		piece = frameChunk(buf, n)
	}
	x.call.Flow.Blocked(flow.Request, flow.CalleeOut)
	if _, err := x.conn.Write(piece); err != nil {
		return fmt.Errorf("sending the request's body: %w", err)
	}
	x.call.Flow.Mark(flow.Request, flow.CalleeOut, n)
	return nil
}

// frameChunk makes a chunk around the n bytes after the room for a frame.
func frameChunk(buf []byte, n int) []byte {
	var size [frameRoom]byte
	line := append(strconv.AppendUint(size[:0], uint64(n), 16), '\r', '\n')
	start := frameRoom - len(line)
	copy(buf[start:], line)
	end := frameRoom + n
	buf[end], buf[end+1] = '\r', '\n'
	return buf[start : end+2]
}

// writeEnd writes the last chunk and the trailers.
func (x *exchange) writeEnd(b []byte) error {
	b = append(b, "0\r\n"...)
	if x.call.Trailer != nil {
		b = appendTrailers(b, x.call.Trailer())
	}
	b = append(b, "\r\n"...)
	if _, err := x.conn.Write(b); err != nil {
		return fmt.Errorf("ending the request's body: %w", err)
	}
	return nil
}

// appendTrailers appends those trailers that may be sent; one that cannot be
// written as a header is left out, as it is too late for an error.
func appendTrailers(b []byte, trailer http.Header) []byte {
	for key, values := range trailer {
		name, ok := stream.RequestToApp(key)
		if !ok || !field.IsToken(name) {
			continue
		}
		for _, v := range values {
			if field.IsValue(v) {
				b = appendField(b, name, v)
			}
		}
	}
	return b
}
