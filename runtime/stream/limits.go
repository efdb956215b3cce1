package stream

import (
	"fmt"
	"io"
	"sync/atomic"
)

// DefaultHeaderLimit is how many bytes of headers a request may have unless
// somebody says otherwise.
const DefaultHeaderLimit = 1 << 20

// Limits bound the requests that a sidecar accepts. They may change while calls
// run, and then hold for those that begin. The zero value bounds no body and
// headers by DefaultHeaderLimit.
type Limits struct{ body, header atomic.Int64 }

// Set changes both: the bytes of a request's body, 0 meaning any number, and
// those of its headers, 0 meaning DefaultHeaderLimit.
func (l *Limits) Set(body, header int64) {
	l.body.Store(body)
	l.header.Store(header)
}

// Body gives how many bytes a request's body may have, 0: any number. It may be
// asked of nil.
func (l *Limits) Body() int64 {
	if l == nil {
		return 0
	}
	return l.body.Load()
}

// Header gives how many bytes the headers of a request may have. It may be
// asked of nil.
func (l *Limits) Header() int {
	if l == nil || l.header.Load() <= 0 {
		return DefaultHeaderLimit
	}
	return int(l.header.Load())
}

// BodyLimitError says that a request's body is larger than a sidecar accepts.
type BodyLimitError struct {
	AppID string // whose sidecar it is
	Limit int64  // bytes
}

func (e *BodyLimitError) Error() string {
	return fmt.Sprintf("the request body is larger than the %d bytes that the sidecar of %s accepts: raise max_body of the app in mesh.toml (--max-body-size)", e.Limit, e.AppID)
}

// Bounded is a body of unknown length that fails when more of it comes than a
// sidecar accepts.
type Bounded struct {
	body io.Reader
	left int64
	err  *BodyLimitError
	over atomic.Bool
}

// Bound applies the body limit of an app's sidecar to a call: it gives the call
// as it is when nothing has to be watched, an error when the body is announced
// as larger, and otherwise a call whose body is Bounded.
func (l *Limits) Bound(c *Call, appID string) (*Call, *Bounded, error) {
	limit := l.Body()
	if limit <= 0 || c.Body == nil || (c.Length >= 0 && c.Length <= limit) {
		return c, nil, nil
	}
	err := &BodyLimitError{AppID: appID, Limit: limit}
	if c.Length >= 0 {
		return nil, nil, err
	}
	b := &Bounded{body: c.Body, left: limit, err: err}
	bound := *c
	bound.Body = b
	return &bound, b, nil
}

// Read implements io.Reader.
func (b *Bounded) Read(p []byte) (int, error) {
	if b.over.Load() {
		return 0, b.err
	}
	n, err := b.body.Read(p)
	if b.left -= int64(n); b.left < 0 {
		b.over.Store(true)
		return 0, b.err
	}
	return n, err
}

// Len says how much can be read without waiting.
func (b *Bounded) Len() int { return Ready(b.body) }

// Why gives the reason for which a call with this body failed: err, unless it is
// only what came of too long a body. It may be asked of nil.
func (b *Bounded) Why(err error) error {
	if b != nil && err != nil && b.over.Load() {
		return b.err
	}
	return err
}
