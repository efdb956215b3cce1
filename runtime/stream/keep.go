package stream

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// ReplayLimit is how much of a request's body is kept so that it can be sent
// once more: bodies that are longer, and streams that have begun to flow, are
// sent once only.
const ReplayLimit = 256 << 10

// Kept is a request's body that can be read several times, one try after the
// other. What was read is kept up to ReplayLimit. A try that has failed may
// still be inside a read; what that read brings is kept for the next try.
type Kept struct {
	body  io.Reader
	known bool       // its length is known: it is no endless stream
	turn  sync.Mutex // held while body is read

	mu   sync.Mutex // of what follows
	kept []byte
	over bool  // more was read than is kept
	end  error // how the body ended; nil: not yet
}

// Keep gives body, that can be read several times then; known says that its
// length is, so that it is no endless stream.
func Keep(body io.Reader, known bool) *Kept { return &Kept{body: body, known: known} }

// Try gives the body for one more try.
func (k *Kept) Try() io.Reader { return &attempt{k: k} }

// Again says why the body cannot be sent from its beginning, or "".
func (k *Kept) Again() (why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.over:
		return fmt.Sprintf("its body is longer than the %d KiB that are kept for another try", ReplayLimit>>10)
	case len(k.kept) > 0 && k.end == nil && !k.known:
		return "its body is a stream that had begun to flow"
	}
	return ""
}

// attempt reads a kept body from the beginning.
type attempt struct {
	k  *Kept
	at int // bytes read
}

func (a *attempt) Read(p []byte) (int, error) {
	if n, err := a.replay(p); n > 0 || err != nil {
		return n, err
	}
	k := a.k
	k.turn.Lock()
	defer k.turn.Unlock()
	if n, err := a.replay(p); n > 0 || err != nil { // the read of another try was under way
		return n, err
	}
	n, err := k.body.Read(p)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over = k.over || len(k.kept)+n > ReplayLimit; k.over {
		k.kept = nil
	} else {
		k.kept = append(k.kept, p[:n]...)
	}
	k.end = err
	a.at += n
	return n, err
}

// replay gives what is kept beyond what this try has read, or the body's end.
func (a *attempt) replay(p []byte) (int, error) {
	a.k.mu.Lock()
	defer a.k.mu.Unlock()
	switch {
	case a.k.over && a.at == 0:
		return 0, errors.New("the beginning of the body is no longer kept")
	case !a.k.over && a.at < len(a.k.kept):
		n := copy(p, a.k.kept[a.at:])
		a.at += n
		return n, nil
	}
	return 0, a.k.end
}

// Len says how much can be read without waiting.
func (a *attempt) Len() int {
	a.k.mu.Lock()
	defer a.k.mu.Unlock()
	switch {
	case !a.k.over && a.at < len(a.k.kept):
		return len(a.k.kept) - a.at
	case a.k.end != nil:
		return 0
	}
	return Ready(a.k.body)
}
