// Package policy holds what may be put around the path of a call: time limits,
// retries, circuit breakers and faults on purpose. Each is a stream.Handler
// around a stream.Handler, so that which of them apply, and in which order, is
// a matter of composition.
//
// All of them are made for streams: a limit on silence is apart from a limit on
// the whole, nothing is tried again once a byte of the reply was seen, and a
// body is never read further than the app reads it.
package policy

import (
	"io"

	"mesh/runtime/stream"
)

// Policy is what applies to the calls of one target. The zero value changes
// nothing.
type Policy struct {
	Timeout Timeout
	Retry   *Retry
	Breaker *Breaker // shared by all calls of the target
}

// Wrap puts the policy around a handler: the limit on the whole is outermost,
// then retries, then the breaker, which sees every single try, then the limits
// of each try.
func (p Policy) Wrap(next stream.Handler) stream.Handler {
	h := next
	if t := p.Timeout.perTry(); t != (Timeout{}) {
		h = t.wrap(h)
	}
	if p.Breaker != nil {
		h = p.Breaker.Wrap(h)
	}
	if p.Retry != nil {
		h = p.Retry.Wrap(h)
	}
	if p.Timeout.Total > 0 {
		h = Timeout{Total: p.Timeout.Total}.wrap(h)
	}
	return h
}

// endBody is a reply's body that tells when it is over.
type endBody struct {
	io.ReadCloser
	read func(n int, err error)
	end  func()
}

func (b *endBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.read != nil {
		b.read(n, err)
	}
	return n, err
}

func (b *endBody) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}
