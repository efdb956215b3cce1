package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"mesh/runtime/field"
	"mesh/runtime/socket"
)

const (
	maxChunkLine = 4 << 10 // of the line before a chunk
	maxTrailers  = 1000
)

// bodyState is what comes next in a body.
type bodyState uint8

const (
	bodyDone      bodyState = iota // nothing
	bodyData                       // remain bytes
	chunkSize                      // the line before a chunk
	chunkEnd                       // the line break after one
	chunkTrailers                  // header lines up to an empty one
)

// Body is the body of a request that is being read. One goroutine at a time
// uses it; Stop may be called by another.
type Body struct {
	c        *conn
	state    bodyState
	chunked  bool
	tunnel   bool  // the body is all that comes
	remain   int64 // bytes left of the body or of the current chunk
	trailer  *http.Header
	trailers int
	response *Response // when the client waits for leave to send
	err      error     // sticky
}

var errStopped = errors.New("reading a body whose connection no longer reads")

func (b *Body) done() bool { return b.state == bodyDone }

// Len gives the number of bytes that Read has without waiting; it may give
// fewer, and gives 0 for a chunked body.
func (b *Body) Len() int {
	if b.chunked || b.state != bodyData {
		return 0
	}
	return int(min(int64(b.c.w-b.c.r), b.remain))
}

// Trailer gives the trailers that followed the body, once Read has given io.EOF.
// Those of the request may be missing in a copy of it, which middleware may make.
func (b *Body) Trailer() http.Header { return *b.trailer }

// Stop ends the reading side of the connection: a Read that waits returns, and
// the connection will carry no other request.
func (b *Body) Stop() { b.c.stopReading() }

// Close implements io.Closer. What is left of the body is not the caller's
// business.
func (b *Body) Close() error { return nil }

// Read gives what has arrived of the body and waits only when nothing has.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b.proceed()
	if b.state == bodyData && len(p) >= bufferSize && b.c.r == b.c.w && b.err == nil {
		return b.readDirect(p)
	}
	if err := b.reach(true); err != nil {
		return 0, err
	}
	n := b.take(p)
	for n < len(p) && b.reach(false) == nil {
		n += b.take(p[n:])
	}
	return n, nil
}

// take copies from the buffer, in which bytes of the body lie.
func (b *Body) take(p []byte) int {
	piece := b.c.buf[b.c.r:b.c.w]
	if int64(len(piece)) > b.remain {
		piece = piece[:b.remain]
	}
	n := copy(p, piece)
	b.c.r += n
	b.passed(int64(n))
	return n
}

// readDirect reads past the empty buffer.
func (b *Body) readDirect(p []byte) (int, error) {
	if b.c.over.Load() {
		return 0, errStopped
	}
	b.c.release()
	if int64(len(p)) > b.remain {
		p = p[:b.remain]
	}
	n, err := b.c.nc.Read(p)
	b.passed(int64(n))
	if n > 0 {
		return n, nil
	}
	return 0, b.lost(err)
}

// Splice moves n bytes of the body to another connection, inside the kernel
// where that is possible, and says how many were moved. It moves none when
// some of the body lies in a buffer, or is chunked. The error is an
// io.ErrUnexpectedEOF when it was the client who broke off.
func (b *Body) Splice(to io.ReaderFrom, n int64) (int64, error) {
	tcp, ok := b.c.nc.Conn.(*net.TCPConn)
	if !ok || b.chunked || b.err != nil || b.state != bodyData || b.remain < n || b.c.r < b.c.w || b.c.over.Load() {
		return 0, nil //nolint:nilerr // the next Read tells of it
	}
	b.c.release()
	moved, err := to.ReadFrom(&io.LimitedReader{R: tcp, N: n})
	b.passed(moved)
	switch {
	case err == nil && moved < n:
		err = b.lost(io.EOF)
	case err != nil && b.c.nc.Pending() == socket.Gone:
		err = b.lost(fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err))
	}
	return moved, err
}

// proceed gives the client leave to send the body if it waits for that.
func (b *Body) proceed() {
	if b.response != nil {
		b.response.sayContinue()
		b.response = nil
	}
}

// passed counts n bytes of the body.
func (b *Body) passed(n int64) {
	b.remain -= n
	if b.remain > 0 || b.state != bodyData {
		return
	}
	if b.chunked {
		b.state = chunkEnd
		return
	}
	b.finish()
}

func (b *Body) finish() {
	b.state = bodyDone
	b.c.settle()
}

// reach goes on to the next byte of the body, which then lies in the buffer.
// Without wait, an error only means that this cannot be done at once.
func (b *Body) reach(wait bool) error {
	for {
		switch {
		case b.err != nil:
			return b.err
		case b.state == bodyDone:
			return io.EOF
		case b.state == bodyData && b.c.r < b.c.w:
			return nil
		case b.state != bodyData && bytes.IndexByte(b.c.buf[b.c.r:b.c.w], '\n') >= 0:
			if err := b.line(); err != nil {
				return err
			}
			continue
		case !wait:
			return io.ErrNoProgress
		case b.state != bodyData && b.c.w-b.c.r > b.lineLimit():
			return b.malformed("a line of its framing is longer than %d bytes (the limit)", b.lineLimit())
		}
		if err := b.c.fill(); err != nil {
			return b.lost(err)
		}
	}
}

func (b *Body) lineLimit() int {
	if b.state == chunkTrailers {
		return b.c.s.o.MaxHeader()
	}
	return maxChunkLine
}

// lost records why nothing more comes.
func (b *Body) lost(err error) error {
	switch {
	case b.c.over.Load():
		b.err = errStopped
	case b.tunnel && errors.Is(err, io.EOF):
		b.err = io.EOF
	case err == nil, errors.Is(err, io.EOF):
		b.err = io.ErrUnexpectedEOF
	default:
		b.err = err
	}
	return b.err
}

// line reads one line of a chunked body's framing, which is in the buffer.
func (b *Body) line() error {
	c := b.c
	n := bytes.IndexByte(c.buf[c.r:c.w], '\n')
	line := c.buf[c.r : c.r+n]
	c.r += n + 1
	if n == 0 || line[n-1] != '\r' {
		return b.malformed("a line of its framing does not end with CR LF")
	}
	line = line[:n-1]
	switch b.state {
	case chunkSize:
		return b.size(line)
	case chunkEnd:
		if len(line) > 0 {
			return b.malformed("a chunk is longer than announced")
		}
		b.state = chunkSize
	case chunkTrailers:
		return b.trailerLine(string(line))
	case bodyDone, bodyData:
	}
	return nil
}

// size reads the line before a chunk.
func (b *Body) size(line []byte) error {
	n, err := field.ChunkSize(string(line))
	if err != nil {
		return b.malformed("%w", err)
	}
	b.remain = n
	if b.state = bodyData; n == 0 {
		b.state = chunkTrailers
	}
	return nil
}

func (b *Body) trailerLine(line string) error {
	if line == "" {
		b.finish()
		return nil
	}
	key, value, err := parseField(line)
	if err != nil {
		return b.malformed("%w", err)
	}
	if b.trailers++; b.trailers > maxTrailers {
		return b.malformed("it has more than %d trailers (the limit)", maxTrailers)
	}
	switch key {
	case "Content-Length", "Transfer-Encoding", "Trailer", "Host", "Connection":
		return nil
	}
	if *b.trailer == nil {
		*b.trailer = make(http.Header)
	}
	(*b.trailer)[key] = append((*b.trailer)[key], value)
	return nil
}

func (b *Body) malformed(format string, args ...any) error {
	b.err = fmt.Errorf("reading the request's body: "+format, args...)
	return b.err
}

// discard reads what is left of a body that nobody wants, up to a limit, and
// says whether that was all.
func (b *Body) discard(limit int64) bool {
	b.response = nil
	buf := b.c.s.buffer()
	defer b.c.s.buffers.Put(buf)
	for b.state != bodyDone && limit > 0 {
		n, err := b.Read(*buf)
		if err != nil {
			break
		}
		limit -= int64(n)
	}
	return b.state == bodyDone
}

var _ io.ReadCloser = (*Body)(nil)
