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

// end makes a Read that waits return, and all later ones fail. When something
// of the body is left, the client's connection carries no further request.
func (b *body) end() {
	b.ended.Store(true)
	if !b.mu.TryLock() {
		if b.conn != nil {
			b.conn.unblock()
		} else {
			_ = b.http2.SetReadDeadline(time.Unix(1, 0)) // fails when the stream is closed, which will do
		}
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	if !b.eof && b.conn != nil {
		b.conn.cut()
	}
}
