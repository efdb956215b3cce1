package httpapi

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/http1"
)

// body is the request's body on its way into the mesh. Whoever passes it on
// reads it, in any goroutine; end takes it away from them.
type body struct {
	from  io.Reader
	flow  *flow.Flow
	http1 *http1.Body              // from, over HTTP/1; nil over HTTP/2
	http2 *http.ResponseController // HTTP/2; nil over HTTP/1

	mu    sync.Mutex // held while a Read is under way
	left  int64      // bytes to come; below 0: not known
	eof   bool       // all was read
	begun bool       // somebody has begun to read

	request *http.Request // whose trailers follow; nil: none do
	trailer http.Header   // once eof; whoever reads may ask for it when the request is over

	ended atomic.Bool
}

var errEnded = errors.New("reading the body of a request that was answered")

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended.Load() {
		return 0, errEnded
	}
	b.begun = true
	n, err := b.from.Read(p)
	if b.took(int64(n)) {
		b.flow.PassLast(flow.Request, flow.CallerIn, p[:n])
	} else {
		b.flow.Pass(flow.Request, flow.CallerIn, p[:n])
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			b.eof = true
			switch {
			case b.request == nil:
			case b.http1 != nil:
				b.trailer = b.http1.Trailer()
			default:
				b.trailer = b.request.Trailer
			}
			b.flow.Finish(flow.Request, flow.CallerIn)
		}
		if b.ended.Load() {
			err = errEnded
		}
	}
	return n, err
}

// took counts n bytes that were read, and says whether they are the last of a
// body of known length.
func (b *body) took(n int64) (last bool) {
	if b.left <= 0 {
		return false
	}
	b.left -= n
	b.eof = b.left == 0
	return b.eof
}

// Splice moves n bytes of the body to another connection, inside the kernel
// where that is possible, and says how many were moved; none when it is not, or
// when the bytes are to be seen.
func (b *body) Splice(to io.ReaderFrom, n int64) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.http1 == nil || b.ended.Load() || b.flow.Capturing() {
		return 0, nil
	}
	n, err := b.http1.Splice(to, n)
	if n > 0 {
		if b.took(n) {
			b.flow.MarkLast(flow.Request, flow.CallerIn, int(n))
		} else {
			b.flow.Mark(flow.Request, flow.CallerIn, int(n))
		}
	}
	return n, err
}

// Len gives the number of bytes that Read has without waiting. It is to be
// called by who reads.
func (b *body) Len() int {
	if b.http1 == nil {
		return 0
	}
	return b.http1.Len()
}

// unread says whether nobody has begun to read.
func (b *body) unread() bool {
	if !b.mu.TryLock() {
		return false
	}
	defer b.mu.Unlock()
	return !b.begun
}

// stop makes a Read that waits return, and all later ones fail.
func (b *body) stop() {
	b.ended.Store(true)
	switch {
	case b.mu.TryLock():
		b.mu.Unlock()
	case b.http1 != nil:
		b.http1.Stop()
	default:
		_ = b.http2.SetReadDeadline(time.Unix(1, 0)) // fails when the stream is closed, which will do
	}
}

// end is stop, and waits for the Read. It gives false when something of the body is
// left: where the next request would begin is not known then, and the client's
// connection must not be used for one.
func (b *body) end() bool {
	b.stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.eof && b.http1 != nil && b.left > 0 && int64(b.http1.Len()) >= b.left {
		_, err := io.CopyN(io.Discard, b.from, b.left) // it is there already
		b.eof = err == nil
	}
	if !b.eof && b.http1 != nil {
		b.http1.Stop()
	}
	return b.eof
}
