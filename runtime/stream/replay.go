package stream

import (
	"bytes"
	"errors"
	"io"
)

// maxReplay is how much of a body is kept while it is not known whether the
// peer takes streams: bodies that fit survive the discovery that it does not.
const maxReplay = 256 << 10

var errNotKept = errors.New("more of the body was read than is kept")

// replay is a body that remembers what was read of it, up to a bound.
type replay struct {
	body io.Reader
	kept []byte
	over bool // more was read than is kept
}

// Read implements io.Reader.
func (r *replay) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	switch {
	case r.over:
	case len(r.kept)+n > maxReplay:
		r.over, r.kept = true, nil
	default:
		r.kept = append(r.kept, p[:n]...)
	}
	return n, err
}

// Len says how much can be read without waiting.
func (r *replay) Len() int { return Ready(r.body) }

// again gives the body from its beginning.
func (r *replay) again() (io.Reader, error) {
	if r.over {
		return nil, errNotKept
	}
	return io.MultiReader(bytes.NewReader(r.kept), r.body), nil
}
