package appchan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"mesh/runtime/field"
	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// chunkState is what comes next in a chunked body.
type chunkState uint8

const (
	chunkSize     chunkState = iota // the line with the size
	chunkData                       // remain bytes
	chunkEnd                        // the line break after them
	chunkTrailers                   // header lines up to an empty one
)

const (
	maxChunkLine = 4 << 10
	spliceFlow   = 32 << 10  // read at once before splicing is thought of
	spliceMin    = 256 << 10 // left of a body before it is worth it
	splicePiece  = 256 << 10 // passed by one splice, and one mark
)

var errClosed = errors.New("reading the body of a reply that was closed")

// Read gives what has arrived of the body and waits only when nothing has. A
// body that the app broke off ends with an error, never with io.EOF.
func (x *exchange) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(p) >= smallBuffer && x.inData() && x.conn.r == x.conn.w {
		n, err := x.readDirect(p)
		x.mark(p[:n])
		return n, x.endWith(n, err)
	}
	if err := x.await(); err != nil {
		return 0, err
	}
	n := 0
	for {
		piece := x.piece()
		m := copy(p[n:], piece)
		n += m
		x.consume(m)
		if n == len(p) || !x.more() {
			break
		}
	}
	x.mark(p[:n])
	return n, x.endWith(n, nil)
}

// endWith tells of the body's end together with its last bytes, so that whoever
// passes them on knows that nothing follows.
func (x *exchange) endWith(n int, err error) error {
	if n > 0 && err == nil && x.done {
		return io.EOF
	}
	return err
}

// mark records bytes of the body that have been read, and the body's end.
func (x *exchange) mark(p []byte) {
	if x.done {
		x.call.Flow.PassLast(flow.Reply, flow.CalleeIn, p)
	} else {
		x.call.Flow.Pass(flow.Reply, flow.CalleeIn, p)
	}
}

// Len gives the number of bytes that Read has without waiting.
func (x *exchange) Len() int {
	if x.inData() || x.more() {
		return len(x.piece())
	}
	return 0
}

// more steps over framing that has arrived and says whether bytes of the body
// lie behind it. What is wrong with the framing shows in the next Read.
func (x *exchange) more() bool {
	for !x.inData() {
		if x.done || x.closed || x.err != nil || !x.lineBuffered() || x.line() != nil {
			return false
		}
	}
	return x.conn.r < x.conn.w
}

// WriteTo passes the body on piece by piece, as each arrives. No buffer is held
// while it waits. A body that flows gets a large one; the rest of a long body of
// known length is handed to w as the connection itself, when w can read from
// it, so that the kernel may move it.
func (x *exchange) WriteTo(w io.Writer) (total int64, err error) {
	to, _ := w.(io.ReaderFrom)
	tcp := x.conn.tcp()
	for flows := false; ; {
		if err := x.reach(); err != nil {
			return total, clean(err)
		}
		n, err := x.writePart(w, flows)
		total += int64(n)
		if err != nil {
			return total, clean(err)
		}
		flows = n >= smallBuffer/2
		if n >= spliceFlow && to != nil && tcp != nil && x.head.framing == fixed && x.conn.r == x.conn.w && !x.call.Flow.Capturing() {
			n, err := x.splice(to, tcp)
			total += n
			if err != nil {
				return total, err
			}
		}
	}
}

// writePart writes what has arrived, or most of it, and says how much.
func (x *exchange) writePart(w io.Writer, flows bool) (int, error) {
	buffered := int64(x.conn.w - x.conn.r)
	if flows && buffered == 0 || x.head.framing == chunked && x.remain < buffered {
		// Several chunks, too, are joined in a large buffer.
		buf := x.app.large.get()
		defer x.app.large.put(buf)
		n, err := x.Read(*buf)
		if n == 0 {
			return 0, err
		}
		return w.Write((*buf)[:n])
	}
	if err := x.await(); err != nil {
		return 0, err
	}
	p := x.piece()
	x.consume(len(p))
	x.mark(p)
	return w.Write(p)
}

// Splice is for a body that is passed on over another wire: it moves n bytes of it
// to a connection, inside the kernel, or none when some lie in a buffer, are to be
// seen, or are chunks.
func (x *exchange) Splice(to io.ReaderFrom, n int64) (int64, error) {
	tcp := x.conn.tcp()
	if tcp == nil || x.closed || x.err != nil || x.done || x.head.framing != fixed || x.remain < n || x.conn.r != x.conn.w || x.call.Flow.Capturing() {
		return 0, nil //nolint:nilerr // the next Read tells of it
	}
	return x.moveTo(to, tcp, n)
}

// moveTo moves n bytes of the body.
func (x *exchange) moveTo(to io.ReaderFrom, tcp *net.TCPConn, size int64) (int64, error) {
	n, err := to.ReadFrom(&io.LimitedReader{R: tcp, N: size})
	x.passed(int(n))
	x.call.Flow.Mark(flow.Reply, flow.CalleeIn, int(n))
	if err == nil && n < size && !x.done {
		err = x.lost(io.EOF)
	}
	if err != nil {
		if why := x.broken.Load(); why != nil {
			err = *why
		}
	}
	return n, err
}

// splice passes pieces while the body is long.
func (x *exchange) splice(to io.ReaderFrom, tcp *net.TCPConn) (total int64, err error) {
	for x.remain >= spliceMin && !x.call.Flow.Capturing() {
		n, err := x.moveTo(to, tcp, splicePiece)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

func clean(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// inData says whether the next bytes belong to the body, not to its framing.
func (x *exchange) inData() bool {
	return !x.done && !x.closed && x.err == nil && (x.head.framing != chunked || x.chunk == chunkData)
}

// piece gives what lies in the buffer of the body or of the current chunk.
func (x *exchange) piece() []byte {
	b := x.conn.buf[x.conn.r:x.conn.w]
	if x.head.framing != untilClose && int64(len(b)) > x.remain {
		b = b[:x.remain]
	}
	return b
}

// consume takes n bytes of the body out of the buffer.
func (x *exchange) consume(n int) {
	x.conn.r += n
	x.passed(n)
}

// passed counts n bytes of the body.
func (x *exchange) passed(n int) {
	if x.head.framing == untilClose {
		return
	}
	if x.remain -= int64(n); x.remain > 0 {
		return
	}
	if x.head.framing == chunked {
		x.chunk = chunkEnd
	} else {
		x.done = true
	}
}

// readDirect reads past the empty buffer.
func (x *exchange) readDirect(p []byte) (int, error) {
	if x.head.framing != untilClose && int64(len(p)) > x.remain {
		p = p[:x.remain]
	}
	n, err := x.conn.Read(p)
	if n > 0 {
		x.passed(n)
		return n, nil
	}
	return 0, x.lost(err)
}

// reach waits until the next byte of the body can be read. Its error is io.EOF
// at the end of the body.
func (x *exchange) reach() error {
	for {
		switch {
		case x.closed:
			return errClosed
		case x.err != nil:
			return x.err
		case x.done:
			x.call.Flow.Finish(flow.Reply, flow.CalleeIn)
			return io.EOF
		}
		if !x.inData() && x.lineBuffered() {
			if err := x.line(); err != nil {
				return err
			}
			continue
		}
		if err := x.conn.await(); err != nil {
			return x.lost(err)
		}
		if x.inData() {
			return nil
		}
		if err := x.line(); err != nil {
			return err
		}
	}
}

// await is reach, with that byte in the buffer.
func (x *exchange) await() error {
	for {
		if err := x.reach(); err != nil {
			return err
		}
		if x.conn.r < x.conn.w {
			return nil
		}
		if err := x.conn.fill(); err != nil {
			return x.lost(err) // the body may end here, and reach says so
		}
	}
}

// lost records why nothing more comes from the app.
func (x *exchange) lost(err error) error {
	switch why := x.broken.Load(); {
	case why != nil:
		x.err = *why
	case x.head.framing == untilClose && errors.Is(err, io.EOF):
		x.done = true
		return io.EOF
	case errors.Is(err, io.EOF):
		x.err = fmt.Errorf("the app closed the connection in the middle of its reply: %w", io.ErrUnexpectedEOF)
	default:
		x.err = fmt.Errorf("reading the reply: %w", err)
	}
	return x.err
}

// lineBuffered says whether the next line of the framing has arrived.
func (x *exchange) lineBuffered() bool {
	return bytes.IndexByte(x.conn.buf[x.conn.r:x.conn.w], '\n') >= 0
}

// line reads one line of a chunked body's framing.
func (x *exchange) line() error {
	limit := maxChunkLine
	if x.chunk == chunkTrailers {
		limit = maxHead
	}
	c := x.conn
	for !x.lineBuffered() {
		if c.w-c.r > limit {
			return x.malformed(fmt.Errorf("a line of its framing is longer than %d bytes (the limit)", limit))
		}
		if err := c.fill(); err != nil {
			return x.lost(err)
		}
	}
	n := bytes.IndexByte(c.buf[c.r:c.w], '\n')
	line := c.buf[c.r : c.r+n]
	c.r += n + 1
	if n == 0 || line[n-1] != '\r' {
		return x.malformed(errors.New("a line of its framing does not end with CR LF"))
	}
	line = line[:n-1]
	switch x.chunk {
	case chunkSize:
		return x.size(line)
	case chunkEnd:
		if len(line) > 0 {
			return x.malformed(errors.New("a chunk is longer than announced"))
		}
		x.chunk = chunkSize
	case chunkTrailers:
		return x.trailerLine(string(line))
	case chunkData:
	}
	return nil
}

// size reads the line before a chunk.
func (x *exchange) size(line []byte) error {
	n, err := field.ChunkSize(string(line))
	if err != nil {
		return x.malformed(err)
	}
	x.remain = n
	if x.chunk = chunkData; n == 0 {
		x.chunk = chunkTrailers
	}
	return nil
}

func (x *exchange) trailerLine(line string) error {
	if line == "" {
		x.done = true
		return nil
	}
	key, value, err := field.Parse(line)
	if err != nil {
		return x.malformed(err)
	}
	if len(x.trailer) >= maxTrailers {
		return x.malformed(fmt.Errorf("it has more than %d trailers (the limit)", maxTrailers))
	}
	if key == "Content-Length" || stream.HopByHop(key) {
		return nil
	}
	if x.trailer == nil {
		x.trailer = make(http.Header)
	}
	x.trailer[key] = append(x.trailer[key], value)
	return nil
}

// maxTrailers bounds what a reply may make us keep after its body.
const maxTrailers = 1000

func (x *exchange) malformed(err error) error {
	x.err = fmt.Errorf("reading the reply: %w", err)
	return x.err
}
