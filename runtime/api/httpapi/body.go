package httpapi

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"mesh/runtime/flow"
)

// body is the request's body on its way into the mesh. Whoever passes it on
// reads it, in any goroutine; end takes it away from them.
type body struct {
	from  io.Reader
	flow  *flow.Flow
	conn  *conn                    // HTTP/1; nil over HTTP/2
	http2 *http.ResponseController // HTTP/2; nil over HTTP/1

	mu    sync.Mutex // held while a Read is under way
	ready int        // bytes that can be read without waiting
	left  int64      // bytes to come; below 0: not known
	eof   bool       // all was read
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
	n, err := b.from.Read(p)
	b.ready = max(0, b.ready-n)
	if b.left > 0 {
		b.left -= int64(n)
	}
	b.flow.Mark(flow.Request, flow.CallerIn, n)
	if err != nil {
		b.eof = b.eof || errors.Is(err, io.EOF)
		if b.ended.Load() {
			err = errEnded
		}
	}
	return n, err
}

// Len gives the number of bytes that Read has without waiting.
func (b *body) Len() int { return b.ready }

// end makes a Read that waits return, and all later ones fail. It gives false
// when something of the body is left: where the next request would begin is not
// known then, and the client's connection must not be used for one.
func (b *body) end() bool {
	b.ended.Store(true)
	waits := !b.mu.TryLock()
	if waits {
		if b.conn != nil {
			b.conn.stopReading()
		} else {
			_ = b.http2.SetReadDeadline(time.Unix(1, 0)) // fails when the stream is closed, which will do
		}
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	if !b.eof && !waits && b.left > 0 && int64(b.ready) >= b.left {
		_, err := io.CopyN(io.Discard, b.from, b.left) // it is there already
		b.eof = err == nil
	}
	if !b.eof && b.conn != nil {
		b.conn.stopReading()
	}
	return b.eof
}
